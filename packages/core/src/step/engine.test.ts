/**
 * Goal: the engine decides what XState would, as data, and refuses what could not be durable.
 * Method: small machines, stepped with an encode and decode between every two steps; the action table row by row; and
 * the same machines run beside a live XState actor, whose states and order of actions must be the same.
 */
import {
  type ActorRef,
  type AnyActorRef,
  type AnyStateMachine,
  and,
  assign,
  cancel,
  createActor,
  createMachine,
  emit,
  enqueueActions,
  forwardTo,
  fromCallback,
  fromObservable,
  fromPromise,
  fromTransition,
  log,
  not,
  raise,
  sendParent,
  sendTo,
  setup,
  type Snapshot,
  spawnChild,
  stopChild,
} from "xstate";
import { describe as suite, expect, test } from "vitest";
import { message, now, random, ref, reply, replyTo, uuid } from "../agent/actions.ts";
import type { Address } from "../agent/address.ts";
import { AgentRef } from "../agent/agent-ref.ts";
import { agent } from "../agent/definition.ts";
import { DormouseError } from "../agent/errors.ts";
import type { EventData, WayOut } from "../agent/way-out.ts";
import type { StepContext } from "./context.ts";
import {
  type ActorLogic,
  decode,
  describe,
  doneEvent,
  encode,
  type EngineResult,
  errorEvent,
  init,
  isReservedEvent,
  type Live,
  type MachineData,
  prepare,
  type PreparedMachine,
  type PrepareOptions,
  snapshotEvent,
  step,
} from "./engine.ts";

const me = "test/one" as Address;

function contextOf(seq: number, over: Partial<StepContext> = {}): StepContext {
  return {
    agent: me,
    seq,
    now: 1_000 * seq,
    birth: new Uint8Array(16).fill(7),
    message: { id: `m${seq}` as StepContext["message"]["id"], sentAt: 0, isAsked: false },
    ...over,
  };
}

/** One agent under test: every step is encoded, copied as a store would, and decoded before the next. */
class Driver {
  readonly machine: PreparedMachine;
  readonly over: Partial<StepContext>;
  live: Live;
  seq = 1;
  last: EngineResult;

  constructor(
    logic: ActorLogic,
    options: Partial<PrepareOptions> & { input?: unknown; over?: Partial<StepContext> } = {},
  ) {
    this.machine = prepare(logic, { type: "test", version: 1, ...options });
    this.over = options.over ?? {};
    this.last = init(this.machine, options.input, contextOf(1, this.over));
    this.live = this.last.next;
  }

  get ways(): readonly WayOut[] {
    return this.last.waysOut;
  }
  get data(): MachineData {
    return encode(this.live);
  }
  get value(): unknown {
    return describe(this.live).value;
  }
  get context(): unknown {
    return describe(this.live).context;
  }

  send(event: EventData | string): readonly WayOut[] {
    this.seq += 1;
    const restored = decode(this.machine, copy(this.data));
    this.last = step(
      this.machine,
      restored,
      typeof event === "string" ? { type: event } : event,
      contextOf(this.seq, this.over),
    );
    this.live = this.last.next;
    return this.ways;
  }
}

/** What storing does to data: nothing is the same object afterwards, refs are refs. */
function copy<T>(value: T): T {
  if (value instanceof AgentRef) return new AgentRef(value.sessionId, value.id) as T;
  if (Array.isArray(value)) return value.map(copy) as T;
  if (value instanceof Map) return new Map([...value].map(([key, held]) => [copy(key), copy(held)] as const)) as T;
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, held]) => [key, copy(held)])) as T;
}

function withoutRun(ways: readonly WayOut[]): unknown[] {
  return ways.map((way) => {
    if (way.kind !== "action") return way;
    const { run: _run, ...data } = way;
    return data;
  });
}

function refused(act: () => unknown): DormouseError {
  try {
    act();
  } catch (error) {
    if (error instanceof DormouseError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const child = setup({ types: {} as { input: { n: number }; output: number } }).createMachine({
  context: ({ input }) => ({ n: input.n }),
  initial: "a",
  states: { a: { on: { go: "b" } }, b: { type: "final" } },
});
const work = fromPromise(async ({ input }: { input: number }) => input * 2);

const on = (actions: unknown, more: object = {}): Driver =>
  new Driver(
    setup({
      actors: { child, work, sum: fromTransition((state: number) => state + 1, 0) },
      actions: { named: () => {} },
      delays: { soon: ({ context }: { context: { d: number } }) => context.d, later: 5_000 },
    }).createMachine({
      context: { d: 250 },
      initial: "on",
      states: { on: { on: { go: { actions } } } },
      ...more,
    } as never),
  );

const parentSetup = setup({
  types: {} as { context: { kid?: ActorRef<Snapshot<unknown>, EventData>; kids: unknown[]; got?: unknown } },
  actors: {
    child,
    work,
    sum: fromTransition((state: number, event: { type: string }) => (event.type === "x" ? state + 1 : state), 0),
  },
});

const tried = (act: (kid: AnyActorRef, self: AnyActorRef) => unknown): (() => unknown) => {
  const driver = new Driver(
    parentSetup.createMachine({
      context: { kids: [] },
      on: {
        go: {
          actions: assign(({ spawn, self }) => {
            const kid = spawn("child", { id: "kid", input: { n: 1 } });
            act(kid as AnyActorRef, self as unknown as AnyActorRef);
            return {};
          }),
        },
      },
    }),
  );
  return () => driver.send("go");
};

const trail = (name: string) => ({ type: "trail", params: { name } }) as const;
const make = (config: object, log_: string[]): AnyStateMachine =>
  setup({
    actions: { trail: (_, params: { name: string }) => void log_.push(params.name) },
    guards: { even: ({ context }) => (context as { n: number }).n % 2 === 0 },
  }).createMachine(config as never) as unknown as AnyStateMachine;

const fail = (): never => {
  throw new Error("boom");
};

const refuse = (logic: AnyStateMachine): DormouseError => refused(() => prepare(logic, { type: "test", version: 1 }));

suite("the action table", () => {
  test("an assign changes the context and asks for nothing", () => {
    const driver = on([assign({ d: 9 })]);
    expect(driver.send("go")).toEqual([]);
    expect(driver.context).toEqual({ d: 9 });
    expect(driver.last.isTaken).toBe(true);
  });

  test("a raise without delay is consumed in its step", () => {
    const driver = on(raise({ type: "x" }), { on: { x: { actions: assign({ d: 1 }) } } });
    expect(driver.send("go")).toEqual([]);
    expect(driver.context).toEqual({ d: 1 });
  });

  test.for([
    { how: "a number", action: raise({ type: "x" }, { delay: 100, id: "t" }), id: "t", delayMs: 100 },
    {
      how: "a name of a function",
      action: raise({ type: "x" }, { delay: "soon" as never, id: "t" }),
      id: "t",
      delayMs: 250,
    },
    {
      how: "a name of a number",
      action: raise({ type: "x" }, { delay: "later" as never, id: "t" }),
      id: "t",
      delayMs: 5_000,
    },
    { how: "no id", action: raise({ type: "x" }, { delay: 0 }), id: "2:0", delayMs: 0 },
    { how: "less than nothing", action: raise({ type: "x" }, { delay: -5, id: "t" }), id: "t", delayMs: 0 },
  ])("a raise with a delay ($how) is a timer", ({ action, id, delayMs }) => {
    expect(on(action).send("go")).toEqual([{ kind: "timer", id, delayMs, event: { type: "x" } }]);
  });

  test("an after is a timer, cancelled when its state is left", () => {
    const driver = new Driver(
      createMachine({ id: "m", initial: "a", states: { a: { after: { 50: "b" }, on: { go: "b" } }, b: {} } }),
    );
    const id = "xstate.after.50.m.a";
    expect(driver.ways).toEqual([{ kind: "timer", id, delayMs: 50, event: { type: id } }]);
    expect(driver.send("go")).toEqual([{ kind: "cancel-timer", id }]);
  });

  test("a sendTo is a send; with a delay it is a timer to the other agent", () => {
    const other = ref("other/key");
    expect(on(sendTo(other, { type: "hi" })).send("go")).toEqual([
      { kind: "send", to: "other/key", event: { type: "hi" } },
    ]);
    expect(on(sendTo(other, { type: "hi" }, { delay: 10, id: "s" })).send("go")).toEqual([
      { kind: "timer", id: "s", delayMs: 10, event: { type: "hi" }, to: "other/key" },
    ]);
  });

  test("a sendTo to self is a send to the own address, and a plain timer with a delay", () => {
    expect(on(sendTo(({ self }) => self, { type: "hi" })).send("go")).toEqual([
      { kind: "send", to: me, event: { type: "hi" } },
    ]);
    expect(on(sendTo(({ self }) => self, { type: "hi" }, { delay: 1 })).send("go")).toEqual([
      { kind: "timer", id: "2:0", delayMs: 1, event: { type: "hi" } },
    ]);
  });

  test("sendParent goes to the parent, and throws without one", () => {
    const machine = createMachine({ on: { go: { actions: sendParent({ type: "hi" }) } } });
    const parent = { address: "boss/b" as Address };
    const driver = new Driver(machine, { over: { parent } });
    expect(driver.send("go")).toEqual([{ kind: "send", to: "boss/b", event: { type: "hi" } }]);
    const orphan = new Driver(machine);
    expect(() => orphan.send("go")).toThrow("Unable to send event to actor '#_parent'");
  });

  test("forwardTo sends the event on to a child", () => {
    const driver = on(forwardTo("kid"), { invoke: { src: "child", id: "kid", input: { n: 1 } } });
    const address = driver.data.children["kid"]?.address;
    expect(driver.send({ type: "go", x: 1 })).toEqual([{ kind: "send", to: address, event: { type: "go", x: 1 } }]);
  });

  test("a target that is no child, undefined or no ref fails the step", () => {
    expect(() => on(sendTo("nobody", { type: "hi" })).send("go")).toThrow("Unable to send event to actor 'nobody'");
    const named = on(sendTo(({ system }) => system.get("nobody") as AnyActorRef, { type: "hi" }));
    expect(refused(() => named.send("go")).message).toBe(
      'No actor with systemId "nobody". Address it by its agent id.',
    );
    const foreign = on(sendTo(createActor(child, { input: { n: 1 } }), { type: "hi" } as never));
    expect(refused(() => foreign.send("go")).code).toBe("machine.unknown-target");
  });

  test("emit, log, cancel, reply and replyTo are data", () => {
    expect(on(emit({ type: "progress", n: 1 })).send("go")).toEqual([
      { kind: "emit", event: { type: "progress", n: 1 } },
    ]);
    expect(on([log("plain"), log(({ context }) => context, "state")]).send("go")).toEqual([
      { kind: "log", value: "plain" },
      { kind: "log", label: "state", value: { d: 250 } },
    ]);
    expect(on(cancel("t")).send("go")).toEqual([{ kind: "cancel-timer", id: "t" }]);
    expect(on(reply(({ context }: { context: unknown }) => context)).send("go")).toEqual([
      { kind: "reply", value: { d: 250 } },
    ]);
    expect(on(replyTo("order" as never, () => 3 as never)).send("go")).toEqual([
      { kind: "reply-to", eventType: "order", value: 3 },
    ]);
    expect(on(replyTo({ type: "order", id: () => message().id } as never, () => 3 as never)).send("go")).toEqual([
      { kind: "reply-to", eventType: "order", messageId: "m2", value: 3 },
    ]);
  });

  test("a reply is computed in its place among the actions, also within enqueueActions and by name", () => {
    const machine = setup({
      types: {} as { context: { n: number } },
      actions: { answer: reply(({ context }) => context.n) },
    }).createMachine({
      context: { n: 0 },
      on: {
        a: { actions: [assign({ n: 1 }), reply(({ context }) => context.n), assign({ n: 99 })] },
        b: { actions: "answer" },
        c: {
          actions: enqueueActions(({ enqueue }) => {
            enqueue.assign({ n: 5 });
            enqueue(reply(({ context }) => context.n));
          }),
        },
        d: { actions: raise({ type: "b" }) },
      },
    });
    const driver = new Driver(machine);
    const answers = ["a", "b", "c", "d"].map((event) => driver.send(event).filter(({ kind }) => kind === "reply"));
    expect(answers).toEqual([1, 99, 5, 5].map((value) => [{ kind: "reply", value }]));
  });

  test("a custom action is owed under its name, or inline at most once, and runs as XState would", () => {
    const ran: unknown[] = [];
    const machine = setup({
      types: {} as { context: { n: number } },
      actions: { named: ({ context, event }, params: { to: string }) => ran.push([context.n, event.type, params.to]) },
    }).createMachine({
      context: { n: 1 },
      on: {
        go: {
          actions: [
            { type: "named", params: ({ context }) => ({ to: `t${context.n}` }) },
            assign({ n: 2 }),
            function inline({ context }) {
              ran.push(context.n);
            },
            () => ran.push("anonymous"),
          ],
        },
      },
    });
    const driver = new Driver(machine);
    const ways = driver.send("go");
    const event = { type: "go" };
    expect(withoutRun(ways)).toEqual([
      { kind: "action", name: "named", params: { to: "t1" }, event, isNamed: true },
      { kind: "action", name: "inline", params: undefined, event, isNamed: false },
      { kind: "action", name: expect.any(String), params: undefined, event, isNamed: false },
    ]);
    expect(ran).toEqual([]);
    for (const way of ways) if (way.kind === "action") way.run();
    expect(ran).toEqual([[1, "go", "t1"], 2, "anonymous"]);

    driver.machine.action("named", { to: "again" }, { machine: driver.data, event })();
    expect(ran.at(-1)).toEqual([2, "go", "again"]);
    expect(refused(() => driver.machine.action("gone", {}, { machine: driver.data })).code).toBe(
      "machine.action-removed",
    );
  });

  test("what an inner action asks for in enqueueActions arrives in order", () => {
    const driver = on(
      enqueueActions(({ enqueue, check }) => {
        enqueue.emit({ type: "one" } as never);
        if (check(() => true)) enqueue.cancel("t");
        enqueue.sendTo(ref("other/key"), { type: "two" });
        enqueue.raise({ type: "x" }, { delay: 3, id: "r" });
      }),
    );
    expect(driver.send("go").map(({ kind }) => kind)).toEqual(["emit", "cancel-timer", "send", "timer"]);
  });
});

suite("children", () => {
  test("an invoked machine is a child agent, stopped when its state is left", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        initial: "a",
        states: { a: { invoke: { src: "child", id: "kid", input: { n: 4 } }, on: { go: "b" } }, b: {} },
      }),
    );
    const address = driver.data.children["kid"]?.address;
    expect(address).toMatch(/^test\/~[0-9a-f]{32}$/);
    expect(driver.ways).toEqual([
      {
        kind: "start-child",
        id: "kid",
        address,
        path: ["child"],
        src: "child",
        input: { n: 4 },
        isSnapshotSynced: false,
      },
    ]);
    expect(driver.data.children).toEqual({ kid: { address, src: "child", kind: "machine" } });
    expect(driver.send("go")).toEqual([{ kind: "stop", address }]);
    expect(driver.data.children).toEqual({});
  });

  test("an invoked promise is an effect; its result is the event XState would give", async () => {
    const machine = parentSetup.createMachine({
      context: { kids: [] },
      initial: "a",
      states: {
        a: {
          invoke: {
            src: "work",
            id: "w",
            input: 21,
            onDone: { target: "b", actions: assign({ got: ({ event }) => event.output }) },
            onError: { target: "c", actions: assign({ got: ({ event }) => event.error }) },
          },
        },
        b: {},
        c: {},
      },
    });
    const driver = new Driver(machine);
    const address = driver.data.children["w"]?.address ?? "";
    expect(driver.ways).toEqual([{ kind: "start-effect", id: "w", address, src: "work", input: 21 }]);
    const { signal } = new AbortController();
    const call = { agent: me, input: 21, signal, attempt: 1, idempotencyKey: address };
    const output = await driver.machine.runPromise("work", call);
    expect(output).toBe(42);
    // Its end was heard, so there is nothing to abort.
    expect(driver.send(doneEvent("w", output))).toEqual([]);
    expect(driver.value).toBe("b");
    expect(driver.context).toEqual({ kids: [], got: 42 });

    const failing = new Driver(machine);
    expect(failing.send(errorEvent("w", { message: "no" }))).toEqual([]);
    expect([failing.value, failing.context]).toEqual(["c", { kids: [], got: { message: "no" } }]);
    await expect(driver.machine.runPromise("gone", call)).rejects.toMatchObject({ code: "machine.actor-removed" });
  });

  test("a promise gets its signal, and a throw before its first await is its rejection", async () => {
    const seen: unknown[] = [];
    const machine = setup({
      actors: {
        waits: fromPromise(({ signal, self }) => {
          seen.push(signal.aborted, self.sessionId);
          return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
        }),
        throws: fromPromise(() => {
          throw new Error("at once");
        }),
      },
    }).createMachine({});
    const { machine: prepared } = new Driver(machine);
    const controller = new AbortController();
    const call = { agent: me, input: undefined, signal: controller.signal, attempt: 1, idempotencyKey: "test/~k" };
    const running = prepared.runPromise("waits", call);
    controller.abort();
    await expect(running).rejects.toThrow("aborted");
    await expect(prepared.runPromise("throws", call)).rejects.toThrow("at once");
    expect(seen).toEqual([false, "test/~k"]);
  });

  test("an error that nobody handles ends the parent with it", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        invoke: [
          { src: "work", id: "w", input: 1 },
          { src: "child", id: "k", input: { n: 1 } },
        ],
      }),
    );
    const kid = driver.data.children["k"]?.address;
    expect(driver.send(errorEvent("w", { message: "no" }))).toEqual([{ kind: "stop", address: kid }]);
    expect(driver.data).toMatchObject({ status: "error", error: { message: "no" } });
  });

  test("spawn in assign is found, its ref in context is a value, and it can be sent to in the same step", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        on: {
          go: {
            actions: [
              assign(({ context, spawn }) => {
                const kid = spawn("child", { id: "kid", input: { n: 1 } });
                return { kid, kids: [...context.kids, { deep: new Map([["k", kid]]) }] };
              }),
              sendTo("kid", { type: "first" }),
              sendTo(({ context }) => context.kid as never, { type: "second" } as never),
            ],
          },
          again: { actions: sendTo(({ context }) => context.kid as never, { type: "third" } as never) },
          end: { actions: stopChild("kid") },
        },
      }),
    );
    const ways = driver.send("go");
    const address = driver.data.children["kid"]?.address;
    expect(ways.map((way) => [way.kind, "event" in way ? way.event.type : way.kind])).toEqual([
      ["start-child", "start-child"],
      ["send", "first"],
      ["send", "second"],
    ]);
    const kid = new AgentRef(String(address), "kid");
    expect(driver.context).toEqual({ kid, kids: [{ deep: new Map([["k", kid]]) }] });
    expect((driver.context as { kid: unknown }).kid).toBeInstanceOf(AgentRef);
    expect(driver.send("again")).toEqual([{ kind: "send", to: address, event: { type: "third" } }]);
    expect(driver.send("end")).toEqual([{ kind: "stop", address }]);
  });

  test("spawn in the context of the machine", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: ({ spawn }) => ({ kids: [], kid: spawn("child", { id: "kid", input: { n: 1 } }) as never }),
      }),
    );
    expect(driver.ways.map(({ kind }) => kind)).toEqual(["start-child"]);
    expect((driver.context as { kid: AgentRef }).kid.sessionId).toBe(driver.data.children["kid"]?.address);
  });

  test("spawn without an id: the id is the address", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        on: { go: { actions: assign({ kid: ({ spawn }) => spawn("sum") as never }) } },
      }),
    );
    driver.send("go");
    const [id, data] = Object.entries(driver.data.children)[0] ?? [];
    expect(id).toBe(data?.address);
    expect(driver.ways).toMatchObject([{ kind: "start-child", id, address: id, src: "sum" }]);
  });

  test("a child spawned and stopped in one step leaves no trace", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        on: {
          go: {
            actions: [
              spawnChild("child", { id: "kid", input: { n: 1 } }),
              sendTo("kid", { type: "lost" }),
              stopChild("kid"),
            ],
          },
        },
        initial: "a",
        states: {
          a: { on: { through: "b" } },
          b: { invoke: { src: "work", id: "w", input: 1 }, always: "c" },
          c: {},
        },
      }),
    );
    expect(driver.send("go")).toEqual([]);
    expect(driver.data.children).toEqual({});
    expect(driver.send("through")).toEqual([]);
  });

  test("an id that is taken over stops the child that had it", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        on: {
          go: {
            actions: [
              sendTo(({ context, self }) => (context.kid ?? self) as never, { type: "bye" } as never),
              assign({ kid: ({ spawn }) => spawn("child", { id: "kid", input: { n: 1 } }) as never }),
            ],
          },
        },
      }),
    );
    driver.send("go");
    const old = driver.data.children["kid"]?.address;
    expect(driver.send("go")).toMatchObject([
      { kind: "send", to: old },
      { kind: "start-child", address: driver.data.children["kid"]?.address },
      { kind: "stop", address: old },
    ]);
    expect(driver.data.children["kid"]?.address).not.toBe(old);
  });

  test("re-entering: cancel and stop, then timer and start, with the same ids and another address", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        id: "m",
        context: { kids: [] },
        initial: "a",
        states: {
          a: {
            entry: sendTo("kid", { type: "welcome" }),
            exit: sendTo("kid", { type: "bye" }),
            after: { 10: "b" },
            invoke: { src: "child", id: "kid", input: { n: 1 } },
            on: { again: { target: "a", reenter: true } },
          },
          b: {},
        },
      }),
    );
    const first = driver.data.children["kid"]?.address;
    driver.send("again");
    const second = driver.data.children["kid"]?.address;
    expect(second).not.toBe(first);
    expect(driver.ways.map((way) => [way.kind, "address" in way ? way.address : "to" in way ? way.to : ""])).toEqual([
      ["send", first],
      ["cancel-timer", ""],
      ["stop", first],
      // Sent before the invoke began: XState keeps it for the child, so the start goes first.
      ["start-child", second],
      ["send", second],
      ["timer", ""],
    ]);
  });

  test("systemId: found across steps, refused twice, free again after stop and after the child's end", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        initial: "a",
        states: {
          a: {
            invoke: { src: "child", id: "kid", systemId: "the-kid", input: { n: 1 } },
            on: {
              again: { target: "a", reenter: true },
              tell: { actions: sendTo(({ system }) => system.get("the-kid") as AnyActorRef, { type: "hi" }) },
              clash: { actions: spawnChild("child", { id: "other", systemId: "the-kid", input: { n: 1 } }) },
            },
          },
        },
      }),
    );
    expect(driver.ways).toMatchObject([{ kind: "start-child", systemId: "the-kid" }]);
    expect(driver.data.children).toMatchObject({ kid: { systemId: "the-kid" } });
    expect(driver.send("tell")).toMatchObject([{ to: driver.data.children["kid"]?.address }]);
    expect(() => driver.send("clash")).toThrow("Actor with system ID 'the-kid' already exists.");
    expect(driver.send("again").map(({ kind }) => kind)).toEqual(["stop", "start-child"]);
    driver.send(doneEvent("kid", 1));
    expect(driver.data.children["kid"]?.isEnded).toBe(true);
    expect(() => driver.send("tell")).toThrow('No actor with systemId "the-kid"');
    expect(driver.send("clash")).toMatchObject([{ kind: "start-child", id: "other" }]);
  });

  test("a child's end is noted also when nobody handles it, and what is sent to it then goes nowhere", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        invoke: { src: "child", id: "kid", input: { n: 1 } },
        on: { tell: { actions: sendTo("kid", { type: "hi" }) } },
      }),
    );
    driver.send(doneEvent("kid", 1));
    expect(driver.last.isTaken).toBe(true);
    expect(driver.send("tell")).toEqual([]);
    expect(driver.send(snapshotEvent("kid", {}))).toEqual([]);
  });

  test("onSnapshot makes the child report", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        invoke: {
          src: "child",
          id: "kid",
          input: { n: 1 },
          onSnapshot: { actions: assign({ got: ({ event }) => event.snapshot }) },
        },
      }),
    );
    expect(driver.ways).toMatchObject([{ isSnapshotSynced: true }]);
    driver.send(snapshotEvent("kid", { value: "a" }));
    expect(driver.context).toMatchObject({ got: { value: "a" } });
  });

  test("a child whose logic is a registered agent has that type", () => {
    const worker = agent("worker", { machine: child });
    const machine = setup({
      actors: { worker: worker.logic, own: fromTransition((state: number) => state, 0) },
    }).createMachine({
      invoke: [
        { src: "worker", id: "w", input: { n: 1 } },
        { src: "own", id: "o" },
      ],
    });
    const driver = new Driver(machine, { registered: new Map([[worker.logic, "worker"]]) });
    expect(driver.ways).toMatchObject([
      { address: expect.stringMatching(/^worker\/~/), path: [] },
      { address: expect.stringMatching(/^test\/~/), path: ["own"] },
    ]);
    expect(driver.machine.child("worker")).toBeUndefined();
    expect(driver.machine.child("own")?.path).toEqual(["own"]);
    expect(driver.machine.actor("worker")).toEqual({ kind: "machine", logic: child });
  });

  test("the machine of a child is found along its path, and nothing of it is computed in the parent", () => {
    let computed = 0;
    const grandchild = createMachine({ context: () => ({ n: (computed += 1) }) });
    const middle = setup({ actors: { grandchild } }).createMachine({ invoke: { src: "grandchild" } });
    const driver = new Driver(createMachine({ id: "m", invoke: { src: middle } }));
    expect(computed).toBe(0);
    const below = driver.machine.child("xstate.invoke.0.m")?.child("grandchild");
    expect(below?.path).toEqual(["xstate.invoke.0.m", "grandchild"]);
    expect(driver.machine.warnings.join()).toContain("reordering invokes breaks stored agents");
  });

  test("replacements stand in for actors by name", async () => {
    const canned = fromPromise(async () => "canned");
    const driver = new Driver(
      parentSetup.createMachine({ context: { kids: [] }, invoke: { src: "work", id: "w", input: 1 } }),
      { actors: { work: canned as never } },
    );
    const { signal } = new AbortController();
    const call = { agent: me, input: 1, signal, attempt: 1, idempotencyKey: "k" };
    expect(await driver.machine.runPromise("work", call)).toBe("canned");
  });

  test("self and parent in an event or in context become refs", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        on: {
          go: {
            actions: [
              assign({ kids: ({ self }) => [self] }),
              sendTo(ref("other/key"), ({ self }) => ({ type: "hi", from: self })),
            ],
          },
        },
      }),
    );
    expect(driver.send("go")).toEqual([
      { kind: "send", to: "other/key", event: { type: "hi", from: new AgentRef(me) } },
    ]);
    expect(driver.context).toEqual({ kids: [new AgentRef(me)] });
  });

  test("what a ref cannot do says so", () => {
    expect(tried((kid) => kid.send({ type: "x" }))).toThrow("ref.send() is not durable; use sendTo(ref, event).");
    expect(tried((_, self) => self.send({ type: "x" }))).toThrow("ref.send() is not durable");
    expect(tried((kid) => kid.subscribe(() => {}))).toThrow("use invoke.onSnapshot");
    expect(tried((kid) => kid.on("x", () => {}))).toThrow("use invoke.onSnapshot");
    expect(tried((kid) => (kid.getSnapshot() as { context: unknown }).context)).toThrow("it is a separate agent");
    expect(tried((kid) => expect((kid.getSnapshot() as { status: unknown }).status).toBe("active"))).not.toThrow();
  });

  test("stopping what is no child is refused", () => {
    const driver = new Driver(
      parentSetup.createMachine({
        context: { kids: [] },
        on: { go: { actions: stopChild(() => ref("other/key") as never) } },
      }),
    );
    expect(refused(() => driver.send("go")).code).toBe("machine.not-a-child");
  });
});

suite("a transition function is an agent through the same functions", () => {
  test("it begins, steps, is restored and described", () => {
    const sum = fromTransition(
      (state: { n: number }, event: { type: string; by?: number }, { emit: tell, self }) => {
        if (event.type !== "add") return state;
        tell({ type: "added", self } as never);
        return { n: state.n + (event.by ?? 0) };
      },
      ({ input }: { input: { n: number } }) => ({ n: input.n }),
    );
    const driver = new Driver(sum as never, { input: { n: 1 } });
    expect(driver.send({ type: "add", by: 2 })).toEqual([
      { kind: "emit", event: { type: "added", self: new AgentRef(me) } },
    ]);
    expect(driver.data).toMatchObject({ status: "active", context: { n: 3 }, nodes: [] });
    driver.send("other");
    expect(driver.last.isTaken).toBe(false);
    expect(driver.context).toEqual({ n: 3 });
    expect(describe(driver.live)).toMatchObject({ accepts: ["*"], tags: [] });
  });
});

suite("state at rest", () => {
  test("what did not change keeps its identity", () => {
    const machine = setup({
      types: {} as { context: { a: { x: number }; b: { y: number } } },
      actors: { child },
    }).createMachine({
      context: { a: { x: 1 }, b: { y: 1 } },
      invoke: { src: "child", id: "kid", input: { n: 1 } },
      initial: "s",
      states: {
        s: { on: { go: { actions: assign({ a: { x: 2 } }) }, out: "t" } },
        t: { on: { nothing: {} } },
        h: { type: "history" },
      },
    });
    const prepared = prepare(machine, { type: "test", version: 1 });
    const first = init(prepared, undefined, contextOf(1)).next;
    const second = step(prepared, first, { type: "go" }, contextOf(2)).next;
    const [before, after] = [encode(first), encode(second)];
    expect(after.nodes).toBe(before.nodes);
    expect(after.value).toBe(before.value);
    expect(after.children).toBe(before.children);
    expect(after.history).toBe(before.history);
    expect((after.context as { b: unknown }).b).toBe((before.context as { b: unknown }).b);
    expect(after.context).not.toBe(before.context);
    expect(after.context).toBe(describe(second).context);
    const third = step(prepared, second, { type: "out" }, contextOf(3)).next;
    expect(encode(third).context).toBe(after.context);
    expect(encode(third).children).toBe(after.children);
    const fourth = step(prepared, third, { type: "nothing" }, contextOf(4));
    expect(fourth).toEqual({ next: third, isTaken: false, waysOut: [] });
    expect(fourth.next).toBe(third);
  });

  test.for(["unknown", "forbidden", "guarded"])("an event that nothing takes (%s) is not taken", (type) => {
    const driver = new Driver(
      createMachine({
        on: {
          forbidden: {},
          guarded: { guard: () => false, actions: () => {} },
          fine: { actions: raise({ type: "x" }) },
        },
      }),
    );
    driver.send(type);
    expect(driver.last).toMatchObject({ isTaken: false, waysOut: [] });
    driver.send("fine");
    expect(driver.last.isTaken).toBe(true);
  });

  test("an event whose handler decides to do nothing was taken", () => {
    const driver = new Driver(createMachine({ on: { go: { actions: enqueueActions(() => {}) } } }));
    driver.send("go");
    expect(driver.last.isTaken).toBe(true);
  });

  test("an ended machine takes nothing, and its output is kept", () => {
    const driver = new Driver(
      createMachine({
        context: { n: 2 },
        output: ({ context }) => ({ n: context.n }),
        initial: "a",
        states: { a: { on: { go: "b" } }, b: { type: "final" } },
        on: { late: { actions: assign({ n: 3 }) } },
      }),
    );
    driver.send("go");
    expect(driver.data).toMatchObject({ status: "done", output: { n: 2 } });
    driver.send("late");
    expect(driver.last.isTaken).toBe(false);
    expect(describe(driver.live)).toMatchObject({ status: "done", accepts: [], context: { n: 2 } });
  });

  test("a state that is gone is named", () => {
    const driver = new Driver(createMachine({ id: "m", initial: "a", states: { a: {} } }));
    const later = prepare(createMachine({ id: "m", initial: "b", states: { b: {} } }), { type: "test", version: 3 });
    const error = refused(() => decode(later, driver.data));
    expect(error).toMatchObject({ kind: "failed", code: "machine.state-removed" });
    expect(error.message).toContain(
      'is in state "m.a" which machine "m" version 3 no longer has. Bring the state back, or redeploy version 2',
    );
  });

  test("describe tells value, tags and what is accepted now", () => {
    const driver = new Driver(
      createMachine({
        initial: "a",
        on: { always: { actions: () => {} } },
        states: { a: { tags: ["busy"], after: { 5: "b" }, on: { go: "b" } }, b: {} },
      }),
    );
    expect(describe(driver.live)).toMatchObject({ value: "a", tags: ["busy"], accepts: ["go", "always"] });
  });

  test("the same step twice gives the same data and ways out (D2)", () => {
    const machine = setup({ actors: { child, work } }).createMachine({
      context: {} as Record<string, unknown>,
      on: {
        go: {
          actions: [
            assign({
              now: () => now(),
              random: () => random(),
              uuid: () => uuid(),
              // oxlint-disable-next-line no-restricted-properties, no-restricted-globals -- what users write
              platform: () => [Date.now(), new Date().toISOString(), Math.random(), crypto.randomUUID()],
              message: () => message(),
              kid: ({ spawn }) => spawn("child", { input: { n: random() } }),
            }),
            spawnChild("work", { id: "w", input: () => random() as never }),
          ],
        },
      },
    });
    const prepared = prepare(machine, { type: "test", version: 1 });
    const before = init(prepared, undefined, contextOf(1)).next;
    const once = step(prepared, before, { type: "go" }, contextOf(2));
    const twice = step(prepared, decode(prepared, copy(encode(before))), { type: "go" }, contextOf(2));
    expect(encode(twice.next)).toEqual(encode(once.next));
    expect(twice.waysOut).toEqual(once.waysOut);
    const later = step(prepared, before, { type: "go" }, contextOf(3));
    expect(encode(later.next)).not.toEqual(encode(once.next));
    const elsewhere = step(prepared, before, { type: "go" }, contextOf(2, { birth: new Uint8Array(16) }));
    expect(encode(elsewhere.next)).not.toEqual(encode(once.next));
  });
});

suite("beside a live XState actor", () => {
  const both = (name: string): object => ({ entry: trail(`+${name}`), exit: trail(`-${name}`) });
  const inc = assign({ n: ({ context }: { context: { n: number } }) => context.n + 1 });

  const machines: { readonly [name: string]: { config: object; events: readonly string[] } } = {
    "nested and re-entering": {
      config: {
        context: { n: 0 },
        ...both("root"),
        initial: "a",
        on: { home: ".a", inc: { actions: [inc, trail("inc")] } },
        states: {
          a: { ...both("a"), on: { go: "b", again: { target: "a", reenter: true } } },
          b: {
            ...both("b"),
            initial: "x",
            onDone: "a",
            states: {
              x: { ...both("x"), on: { go: "y" } },
              y: { ...both("y"), always: { guard: "even", target: "z" }, on: { go: "z" } },
              z: { ...both("z"), type: "final" },
            },
          },
        },
      },
      events: ["go", "inc", "go", "again", "go", "go", "inc", "go", "home", "again", "inc", "go", "go", "nothing"],
    },
    "parallel regions with always transitions": {
      config: {
        context: { n: 0 },
        type: "parallel",
        on: { inc: { actions: inc } },
        states: Object.fromEntries(
          ["p", "q", "r"].map((region) => [
            region,
            {
              initial: "one",
              ...both(region),
              states: {
                one: { ...both(`${region}1`), on: { go: "two", [region]: "two" } },
                two: { ...both(`${region}2`), always: { guard: "even", target: "three" } },
                three: {
                  ...both(`${region}3`),
                  always: { guard: not("even"), target: "one", actions: trail(`${region}!`) },
                },
              },
            },
          ]),
        ),
      },
      events: ["q", "inc", "r", "inc", "inc", "p", "go", "inc", "inc", "go", "q", "inc", "go", "inc", "inc"],
    },
    "deep and shallow history with parallel regions": {
      config: {
        context: { n: 0 },
        initial: "work",
        states: {
          work: {
            ...both("work"),
            type: "parallel",
            on: { off: "idle" },
            states: {
              left: {
                initial: "l1",
                states: {
                  l1: { ...both("l1"), on: { go: "l2" } },
                  l2: { ...both("l2"), initial: "m", states: { m: { on: { go: "n" } }, n: both("n") } },
                },
              },
              right: { initial: "r1", states: { r1: { ...both("r1"), on: { go: "r2" } }, r2: both("r2") } },
              deep: { type: "history", history: "deep" },
            },
          },
          plain: {
            initial: "one",
            on: { off: "idle" },
            states: {
              one: { ...both("one"), on: { go: "two" } },
              two: { ...both("two"), initial: "t", states: { t: { on: { go: "u" } }, u: {} } },
              hist: { type: "history" },
            },
          },
          idle: { ...both("idle"), on: { back: "work.deep", plain: "plain.hist", fresh: "work" } },
        },
      },
      events: [
        "go",
        "off",
        "back",
        "go",
        "off",
        "plain",
        "go",
        "go",
        "off",
        "plain",
        "off",
        "back",
        "off",
        "fresh",
        "go",
        "off",
        "back",
      ],
    },
    "raise, choose and done states": {
      config: {
        context: { n: 0 },
        initial: "a",
        states: {
          a: {
            on: {
              go: { target: "b", actions: [raise({ type: "next" }), trail("go")] },
              maybe: [{ guard: and(["even", () => true]), target: "b" }, { actions: [inc, trail("odd")] }],
            },
          },
          b: {
            ...both("b"),
            on: {
              next: {
                actions: enqueueActions(({ enqueue, check }) => {
                  enqueue(trail("next"));
                  if (check("even" as never)) enqueue.raise({ type: "end" });
                  enqueue.assign({ n: 7 });
                }),
              },
              end: "c",
              go: "c",
            },
          },
          c: {
            type: "parallel",
            onDone: "a",
            states: {
              x: { initial: "f", states: { f: { type: "final", entry: trail("f") } } },
              y: { initial: "g", states: { g: { on: { go: "h" } }, h: { type: "final" } } },
            },
          },
        },
      },
      events: ["go", "go", "maybe", "maybe", "go", "go", "maybe", "go"],
    },
  };

  test.for(Object.entries(machines))("%s", ([, { config, events }]) => {
    const liveTrail: string[] = [];
    const ourTrail: string[] = [];
    const actor = createActor(make(config, liveTrail)).start();
    const driver = new Driver(make(config, ourTrail));
    const compare = (event: string): void => {
      for (const way of driver.ways) if (way.kind === "action") way.run();
      const snapshot = actor.getSnapshot();
      const nodes = (snapshot as unknown as { _nodes: { id: string }[] })._nodes.map(({ id }) => id);
      const history = (snapshot as unknown as { historyValue: { [id: string]: { id: string }[] } }).historyValue;
      expect({
        event,
        value: driver.value,
        context: driver.context,
        nodes: driver.data.nodes,
        trail: ourTrail,
      }).toEqual({
        event,
        value: snapshot.value,
        context: snapshot.context,
        nodes,
        trail: liveTrail,
      });
      expect(driver.data.history).toEqual(
        Object.fromEntries(Object.entries(history).map(([id, held]) => [id, held.map((node) => node.id)])),
      );
    };
    compare("init");
    for (const event of events) {
      actor.send({ type: event });
      driver.send(event);
      compare(event);
    }
    actor.stop();
  });
});

suite("a step that throws leaves nothing", () => {
  test.for([
    { what: "an assign", config: { on: { go: { actions: assign(fail) } } } },
    { what: "a guard", config: { on: { go: { guard: fail, target: ".a" } }, initial: "a", states: { a: {} } } },
    { what: "an entry", config: { initial: "a", states: { a: { on: { go: "b" } }, b: { entry: assign(fail) } } } },
    { what: "a delay", config: { on: { go: { actions: raise({ type: "x" }, { delay: fail }) } } } },
    {
      what: "an output",
      config: { initial: "a", output: fail, states: { a: { on: { go: "b" } }, b: { type: "final" } } },
    },
    {
      what: "an input",
      config: { initial: "a", states: { a: { on: { go: "b" } }, b: { invoke: { src: work, input: fail } } } },
    },
  ])("$what throws: what it threw comes out, and the platform's clock is back", ({ config }) => {
    const driver = new Driver(createMachine({ context: { n: 1 }, ...config } as never));
    const before = driver.data;
    expect(() => driver.send("go")).toThrow("boom");
    expect(driver.data).toBe(before);
    // oxlint-disable-next-line no-restricted-globals -- the platform's own is what is looked at
    expect(Date.now()).toBeGreaterThan(1_000_000);
  });

  test("init throws what its code threw", () => {
    const machine = prepare(createMachine({ context: () => fail() }), { type: "test", version: 1 });
    expect(() => init(machine, undefined, contextOf(1))).toThrow("boom");
  });

  test("an endless loop ends with XState's error, in a step and in init", () => {
    const loop = createMachine({
      initial: "a",
      states: { a: { on: { go: "b" } }, b: { always: "c" }, c: { always: "b" } },
    });
    expect(() => new Driver(loop).send("go")).toThrow("processed more than 1000 microsteps");
    const raising = createMachine({
      context: () => ({}),
      entry: raise({ type: "x" }),
      on: { x: { actions: raise({ type: "x" }) } },
    });
    expect(() => new Driver(raising)).toThrow("processed more than 1000 microsteps");
  });
});

suite("what cannot be durable is refused", () => {
  const observable = fromObservable(() => ({ subscribe: () => ({ unsubscribe: () => {} }) }) as never);
  const custom = {
    start: () => {},
    transition: (state: unknown) => state,
    getInitialSnapshot: () => ({ status: "active" }),
    getPersistedSnapshot: (state: unknown) => state,
  };

  const later = (async () => false) as never;
  test.for([
    ...[
      createMachine({ id: "m", on: { go: { guard: later } } }),
      setup({ guards: { late: later } }).createMachine({ id: "m", on: { go: { guard: "late" } } }),
      createMachine({ id: "m", on: { go: { guard: not(later) } } }),
    ].map((logic) => ({ code: "machine.async-function", logic, text: 'Machine "m" has a guard that is async' })),
    ...[
      createMachine({ id: "m", entry: assign(later) }),
      createMachine({ id: "m", context: { a: 1 }, exit: assign({ a: later }) }),
      setup({ actions: { late: assign(later) } }).createMachine({ id: "m", on: { go: { actions: "late" } } }),
    ].map((logic) => ({ code: "machine.async-function", logic, text: 'Machine "m" has an assign that is async' })),
    {
      code: "machine.callback-actor",
      logic: setup({ actors: { cb: fromCallback(() => {}) } }).createMachine({ id: "m" }),
      text: 'Actor "cb" in machine "m" is a callback actor. Its state lives in a running closure and cannot survive a crash or move. Use fromPromise or a machine.',
    },
    {
      code: "machine.callback-actor",
      logic: createMachine({ id: "m", invoke: { src: fromCallback(() => {}) } }),
      text: 'Actor "xstate.invoke.0.m" in machine "m" is a callback actor.',
    },
    {
      code: "machine.callback-actor",
      logic: createMachine({
        id: "m",
        invoke: { src: createMachine({ id: "inner", invoke: { src: fromCallback(() => {}) } }) },
      }),
      text: 'in machine "inner"',
    },
    {
      code: "machine.observable-actor",
      logic: setup({ actors: { o: observable } }).createMachine({ id: "m" }),
      text: 'Actor "o" in machine "m" is an observable actor; its subscription cannot be persisted. Poll with after + fromPromise, or send events from outside.',
    },
    {
      code: "machine.custom-actor",
      logic: setup({ actors: { c: custom as never } }).createMachine({ id: "m" }),
      text: 'Actor "c" has a start() method, so it does work the runtime cannot see. Only machines, fromPromise and logic without start() are durable.',
    },
    {
      code: "machine.spawn-without-id",
      logic: setup({ actors: { child } }).createMachine({
        id: "m",
        entry: spawnChild("child", { input: { n: 1 } } as never),
      }),
      text: 'spawnChild("child") in machine "m" needs an id; XState stores it under "undefined" and a second one replaces the first.',
    },
    {
      code: "machine.inline-actor",
      logic: createMachine({ id: "m", entry: spawnChild(child, { id: "kid", input: { n: 1 } }) }),
      text: 'spawnChild/spawn in machine "m" was given a logic object. After a restart it could not be found again.',
    },
    {
      code: "machine.missing-implementation",
      logic: createMachine({ id: "m", initial: "s", states: { s: { on: { go: { actions: "nope" } } } } }),
      text: 'Machine "m" refers to action "nope" (state m.s) but it is not implemented.',
    },
    {
      code: "machine.missing-implementation",
      logic: createMachine({ id: "m", on: { go: { guard: and([not("nope")]), actions: [] } } }),
      text: 'Machine "m" refers to guard "nope" (state m) but it is not implemented.',
    },
    {
      code: "machine.missing-implementation",
      logic: createMachine({ id: "m", initial: "s", states: { s: { after: { nope: "s" } } } }),
      text: 'Machine "m" refers to delay "nope" (state m.s) but it is not implemented.',
    },
    {
      code: "machine.missing-implementation",
      logic: createMachine({ id: "m", invoke: { src: "nope" } }),
      text: 'Machine "m" refers to actor "nope" (state m) but it is not implemented.',
    },
    {
      code: "machine.missing-implementation",
      logic: createMachine({ id: "m", exit: spawnChild("nope", { id: "x" }) }),
      text: 'Machine "m" refers to actor "nope" (state m) but it is not implemented.',
    },
    {
      code: "machine.bad-initial",
      logic: createMachine({
        id: "m",
        initial: "s",
        states: { s: {}, t: { initial: "nope", states: { u: {} } } },
      } as never),
      text: 'Machine "m" cannot enter state m.t: Initial state node "nope" not found',
    },
  ])("$code at registration: $text", ({ code, logic, text }) => {
    const error = refuse(logic);
    expect(error).toMatchObject({ kind: "invalid", code });
    expect(error.message).toContain(text);
  });

  test.for([
    { what: "an action nobody implemented", code: "machine.missing-implementation", action: "nope" },
    {
      what: "a delay nobody implemented",
      code: "machine.missing-implementation",
      action: raise({ type: "x" }, { delay: "nope" as never }),
    },
    {
      what: "an actor nobody implemented",
      code: "machine.missing-implementation",
      action: spawnChild("nope", { id: "x" }),
    },
    { what: "a spawnChild without id", code: "machine.spawn-without-id", action: spawnChild("child") },
    {
      what: "a spawnChild of logic",
      code: "machine.inline-actor",
      action: spawnChild(child, { id: "x", input: { n: 1 } }),
    },
    {
      what: "a spawn of logic",
      code: "machine.inline-actor",
      action: assign(({ spawn }) => ({ x: spawn(child, { id: "x", input: { n: 1 } }) })),
    },
    { what: "an endless delay", code: "machine.bad-delay", action: raise({ type: "x" }, { delay: Infinity }) },
    {
      what: "a reserved event",
      code: "event.reserved",
      action: sendTo(() => ref("other/key"), { type: "xstate.done.actor.x" }),
    },
    {
      what: "an event without type",
      code: "machine.bad-event",
      action: sendTo(
        () => ref("other/key"),
        () => undefined as never,
      ),
    },
  ])("in the step, where only enqueueActions shows it: $what", ({ code, action }) => {
    const machine = setup({ actors: { child } }).createMachine({
      context: {},
      on: { go: { actions: enqueueActions(({ enqueue }) => enqueue(action as never)) } },
    });
    const driver = new Driver(machine);
    expect(refused(() => driver.send("go")).code).toBe(code);
  });

  test("warnings name inline actions, and what cannot begin without input", () => {
    const { warnings } = prepare(
      createMachine({
        id: "m",
        initial: "s",
        states: { s: { entry: () => {} } },
        exit: assign(({ event }) => ({ x: event["input"].y })),
      }),
      { type: "test", version: 1 },
    );
    expect(warnings).toEqual([expect.stringContaining("inline actions (states m.s)")]);
    const begins = prepare(createMachine({ id: "m", entry: assign(({ event }) => ({ x: event["input"].y })) }), {
      type: "test",
      version: 1,
    });
    expect(begins.warnings).toEqual([expect.stringContaining('Machine "m" cannot begin without input')]);
  });

  test("the machine's own events are reserved", () => {
    expect(["xstate.done.actor.x", "xstate.stop", "xstate.route", "add"].map(isReservedEvent)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
