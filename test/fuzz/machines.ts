/**
 * Random machines as plain data, so that they can be made smaller, and what builds XState machines of them.
 *
 * What the engine refuses is not drawn (FACTS.md, 3.8), nor where it differs from a live actor on purpose: a timer under
 * an id that is pending replaces it, a child under an id that is taken stops the one before; so ids are freed first.
 * Nor is what depends on which of two machines is faster: a child has no timers and tells its parent of
 * its end alone, and its parent sends nothing to itself.
 */
import type { Random } from "@dormouse/testing";
import {
  and,
  type AnyStateMachine,
  assign,
  cancel,
  emit,
  enqueueActions,
  fromPromise,
  log,
  not,
  or,
  raise,
  sendTo,
  setup,
  spawnChild,
  stateIn,
  stopChild,
} from "xstate";

export interface MachineSpec {
  readonly root: StateSpec;
  readonly child: StateSpec | undefined;
}

export interface StateSpec {
  readonly key: string;
  readonly kind: "atomic" | "compound" | "parallel" | "final" | "history";
  readonly isDeep: boolean;
  readonly initial: string | undefined;
  readonly states: readonly StateSpec[];
  readonly entry: readonly ActionSpec[];
  readonly exit: readonly ActionSpec[];
  readonly transitions: readonly TransitionSpec[];
  readonly invokes: readonly InvokeSpec[];
}

export interface TransitionSpec {
  readonly on:
    | { readonly kind: "event"; readonly type: string }
    | { readonly kind: "always" }
    | { readonly kind: "after"; readonly delay: number | "slow" }
    | { readonly kind: "done" };
  readonly guard: GuardSpec | undefined;
  readonly targets: readonly string[];
  readonly isReentering: boolean;
  readonly actions: readonly ActionSpec[];
}

export type GuardSpec =
  | { readonly kind: "odd" | "big" | "throws" }
  | { readonly kind: "in"; readonly state: string }
  | { readonly kind: "not" | "and" | "or"; readonly of: readonly GuardSpec[] };

export type ActionSpec =
  | { readonly kind: "named" | "inline" | "emit" | "log"; readonly name: string }
  | { readonly kind: "assign"; readonly how: "inc" | "take" | "push" | "throw" }
  | { readonly kind: "raise" | "self"; readonly event: string; readonly delay?: number; readonly id?: string }
  | { readonly kind: "cancel"; readonly id: string }
  | { readonly kind: "enqueue"; readonly guard: GuardSpec; readonly actions: readonly ActionSpec[] }
  | { readonly kind: "spawn" | "stop"; readonly id: string; readonly src: string }
  | { readonly kind: "tell"; readonly child: string; readonly event: string };

export interface InvokeSpec {
  readonly id: string;
  readonly src: "work" | "child";
  readonly onDone: TransitionSpec | undefined;
  readonly onError: TransitionSpec | undefined;
}

export const eventTypes: readonly string[] = ["a", "b", "c", "d.e", "d.f"];

// --- drawing ---------------------------------------------------------------------------------------------------------

interface Drawing {
  readonly random: Random;
  readonly isChild: boolean;
  readonly hasChild: boolean;
  count: number;
  readonly ids: string[];
  /** Of children that are there while the state that is drawn is active. */
  invokeIds: readonly string[];
}

export function drawMachine(random: Random): MachineSpec {
  const hasChild = random.chance(0.35);
  const root = drawRoot(random.fork("root"), false, hasChild);
  return { root, child: hasChild ? drawRoot(random.fork("child"), true, false) : undefined };
}

function drawRoot(random: Random, isChild: boolean, hasChild: boolean): StateSpec {
  const drawing: Drawing = { random, isChild, hasChild, count: 0, ids: [], invokeIds: [] };
  const shape = drawShape(drawing, "m", "m", isChild ? 2 : 3, true);
  return fill(drawing, shape, "m", hasChild);
}

/** States first: transitions lead to any of them. */
function drawShape(drawing: Drawing, key: string, id: string, depth: number, mayHold: boolean): StateSpec {
  const { random, ids } = drawing;
  ids.push(id);
  const holds = mayHold && depth > 0 && drawing.count < 14;
  const kind = holds ? random.pick(["compound", "compound", "parallel", "atomic"] as const) : "atomic";
  const blank = { key, isDeep: false, entry: [], exit: [], transitions: [], invokes: [] };
  if (kind === "atomic" && id !== "m") return { ...blank, kind, initial: undefined, states: [] };
  const isParallel = kind === "parallel";
  const states: StateSpec[] = [];
  for (let n = random.between(2, isParallel ? 3 : 4); n > 0; n -= 1) {
    drawing.count += 1;
    const name = `s${drawing.count}`;
    states.push(drawShape(drawing, name, `${id}.${name}`, depth - 1, isParallel || random.chance(0.6)));
  }
  const [first] = states;
  if (!isParallel && random.chance(0.5)) {
    ids.push(`${id}.end`);
    states.push({ ...blank, key: "end", kind: "final", initial: undefined, states: [] });
  }
  if (random.chance(0.4)) {
    ids.push(`${id}.hist`);
    states.push({ ...blank, key: "hist", kind: "history", isDeep: random.chance(0.5), initial: undefined, states: [] });
  }
  return { ...blank, kind: isParallel ? "parallel" : "compound", initial: isParallel ? undefined : first?.key, states };
}

function fill(drawing: Drawing, shape: StateSpec, id: string, hasChild: boolean): StateSpec {
  const { random, isChild } = drawing;
  if (shape.kind === "history") return shape;
  const actions = (): ActionSpec[] => drawActions(drawing, 2);
  if (shape.kind === "final") return { ...shape, entry: actions() };
  const outer = drawing.invokeIds;
  // A root that is a target is entered again without an exit, so what it began is begun twice under one id.
  const isRoot = id === "m";
  const invokes = isChild || isRoot ? [] : drawInvokes(drawing, id, hasChild);
  drawing.invokeIds = [...outer, ...invokes.map((invoke) => invoke.id)];
  const drawn = Array.from({ length: random.between(0, 4) }, () => drawTransition(drawing, shape));
  const transitions = drawn.filter(({ on }) => !(isRoot || isChild) || on.kind !== "after");
  const states = shape.states.map((state) => fill(drawing, state, `${id}.${state.key}`, hasChild));
  const [entry, exit] = [actions(), actions()];
  drawing.invokeIds = outer;
  return { ...shape, states, entry, exit, transitions, invokes };
}

function drawInvokes(drawing: Drawing, id: string, hasChild: boolean): InvokeSpec[] {
  const { random } = drawing;
  if (!random.chance(0.25)) return [];
  const src = hasChild && random.chance(0.6) ? "child" : "work";
  const invoke = { id: `${src}:${id}`, src } as const;
  const transition = (): TransitionSpec => ({ ...drawTransition(drawing, undefined), on: { kind: "done" } });
  return [
    {
      ...invoke,
      onDone: random.chance(0.8) ? transition() : undefined,
      onError: random.chance(0.8) ? transition() : undefined,
    },
  ];
}

function drawTransition(drawing: Drawing, of: StateSpec | undefined): TransitionSpec {
  const { random, ids } = drawing;
  const kinds = [
    "event",
    "event",
    "event",
    "event",
    "event",
    "event",
    "event",
    "event",
    "always",
    "after",
    "after",
    ...(of?.kind === "atomic" ? [] : ["done"]),
  ];
  const kind = random.pick(kinds);
  const types = [...eventTypes, ...eventTypes, "d.*", "*", "tick"];
  const targets = random.chance(0.7) ? [random.pick(ids)] : [];
  return {
    on:
      kind === "event"
        ? { kind, type: random.pick(types) }
        : kind === "after"
          ? { kind, delay: random.pick([0, 10, 20, "slow" as const]) }
          : { kind: kind === "done" ? "done" : "always" },
    // An `always` without a guard is a loop more often than not.
    guard: random.chance(kind === "always" ? 0.95 : 0.3) ? drawGuard(drawing, 2) : undefined,
    targets,
    isReentering: random.chance(0.25),
    actions: drawActions(drawing, 3),
  };
}

function drawGuard(drawing: Drawing, depth: number): GuardSpec {
  const { random, ids } = drawing;
  const kind = random.pick(
    depth > 0 ? (["odd", "big", "in", "not", "and", "or"] as const) : (["odd", "big", "in"] as const),
  );
  if (kind === "in") return { kind, state: random.pick(ids) };
  if (kind === "not") return { kind, of: [drawGuard(drawing, depth - 1)] };
  if (kind === "and" || kind === "or") return { kind, of: [drawGuard(drawing, depth - 1), drawGuard(drawing, 0)] };
  return { kind: random.chance(0.02) ? "throws" : kind };
}

function drawActions(drawing: Drawing, countMax: number): ActionSpec[] {
  return Array.from({ length: drawing.random.int(countMax + 1) }, () => drawAction(drawing)).flat();
}

function drawAction(drawing: Drawing): ActionSpec[] {
  const { random, isChild, hasChild } = drawing;
  drawing.count += 1;
  const name = `x${drawing.count}`;
  const event = random.pick([...eventTypes, "tick", "tick"]);
  const drawn = random.int(16);
  if ((isChild && [8, 9, 10].includes(drawn)) || (hasChild && drawn === 10)) return [{ kind: "raise", event }];
  switch (drawn) {
    case 0:
      return [{ kind: "emit", name }];
    case 1:
      // One logger hears of all actors, and not of which.
      return [{ kind: isChild ? "named" : "log", name }];
    case 2:
      return [{ kind: "inline", name }];
    case 3:
    case 4:
      return [{ kind: "assign", how: "inc" }];
    case 5:
      return [{ kind: "assign", how: random.pick(["take", "push"]) }];
    case 6:
      return [{ kind: "assign", how: random.chance(0.05) ? "throw" : "push" }];
    case 7:
      return [{ kind: "raise", event }];
    case 8: {
      const id = random.pick(["t1", "t2"]);
      return [
        { kind: "cancel", id },
        { kind: "raise", event, delay: random.pick([5, 10, 15]), id },
      ];
    }
    case 9:
      return [{ kind: "raise", event, delay: random.pick([5, 10, 15]) }];
    case 10:
      return [{ kind: "self", event, ...(random.chance(0.5) ? { delay: random.pick([0, 10]) } : {}) }];
    case 11:
      return [{ kind: "enqueue", guard: drawGuard(drawing, 1), actions: drawActions(drawing, 2) }];
    case 12:
      return [{ kind: "cancel", id: random.pick(["t1", "t2"]) }];
    case 13:
      if (isChild) return [{ kind: "named", name }];
      return drawing.invokeIds.length === 0 ? [] : [{ kind: "tell", child: random.pick(drawing.invokeIds), event }];
    case 14:
      if (isChild) return [{ kind: "named", name }];
      return [
        { kind: "stop", id: "spawned", src: "work" },
        ...(random.chance(0.6) ? [{ kind: "spawn", id: "spawned", src: "work" } as const] : []),
      ];
    default:
      return [{ kind: "named", name }];
  }
}

// --- building --------------------------------------------------------------------------------------------------------

/** What one side of a comparison hears of its machine. */
export interface Hearing {
  /** A plain action ran, or something was logged. */
  act(what: string): void;
  /** A promise of the live side began: its result is for whoever runs the case. */
  work?(id: string, settle: { resolve(output: unknown): void; reject(error: unknown): void }): void;
}

interface Context {
  readonly n: number;
  readonly taken: unknown;
  readonly list: readonly unknown[];
}

/** @throws what XState has against the machine. */
export function buildMachine(spec: MachineSpec, hear: Hearing, hearChild: Hearing = hear): AnyStateMachine {
  const child = spec.child === undefined ? undefined : buildOne(spec.child, hearChild, undefined);
  return buildOne(spec.root, hear, child);
}

function buildOne(root: StateSpec, hear: Hearing, child: AnyStateMachine | undefined): AnyStateMachine {
  const work = fromPromise<unknown, { id: string }>(
    ({ input }) => new Promise((resolve, reject) => hear.work?.(input.id, { resolve, reject })),
  );
  const made = setup({
    types: {} as { context: Context; events: { type: string } },
    actions: {
      named: ({ context, event }, params: { name: string }) =>
        hear.act(`${params.name} on ${event.type} at ${context.n}`),
    },
    guards: {
      odd: ({ context }) => context.n % 2 === 1,
      big: ({ context }, params: { than: number } | undefined) => context.n > (params?.than ?? 3),
      throws: () => {
        throw new Error("a guard");
      },
    },
    delays: { slow: ({ context }) => 25 + context.n },
    actors: { work, ...(child === undefined ? {} : { child }) } as never,
  });
  const config = {
    id: "m",
    context: { n: 0, taken: null, list: [] },
    output: ({ context }: { context: Context }) => ({ n: context.n, taken: context.taken }),
    options: { maxIterations: 60 },
    ...configOf(root, hear),
  };
  return made.createMachine(config as never) as unknown as AnyStateMachine;
}

function configOf(state: StateSpec, hear: Hearing): object {
  if (state.kind === "history") return { type: "history", history: state.isDeep ? "deep" : "shallow" };
  const actions = (specs: readonly ActionSpec[]): unknown[] => specs.map((spec) => actionOf(spec, hear));
  if (state.kind === "final") return { type: "final", entry: actions(state.entry), output: "an end" };
  const of = (kind: TransitionSpec["on"]["kind"]): readonly TransitionSpec[] =>
    state.transitions.filter(({ on }) => on.kind === kind);
  const grouped = (specs: readonly TransitionSpec[], name: (spec: TransitionSpec) => string): object => {
    const groups: { [name: string]: object[] } = {};
    for (const spec of specs) (groups[name(spec)] ??= []).push(transitionOf(spec, hear));
    return groups;
  };
  return {
    ...(state.kind === "parallel" ? { type: "parallel" } : {}),
    ...(state.initial === undefined ? {} : { initial: state.initial }),
    ...(state.states.length === 0
      ? {}
      : { states: Object.fromEntries(state.states.map((inner) => [inner.key, configOf(inner, hear)])) }),
    entry: actions(state.entry),
    exit: actions(state.exit),
    tags: [`tag-${state.key}`],
    on: grouped(of("event"), ({ on }) => (on.kind === "event" ? on.type : "")),
    after: grouped(of("after"), ({ on }) => (on.kind === "after" ? String(on.delay) : "")),
    always: of("always").map((spec) => transitionOf(spec, hear)),
    ...(of("done").length === 0 ? {} : { onDone: of("done").map((spec) => transitionOf(spec, hear)) }),
    invoke: state.invokes.map(({ id, src, onDone, onError }) => ({
      id,
      src,
      input: { id },
      ...(onDone === undefined ? {} : { onDone: sparing(transitionOf(onDone, hear)) }),
      ...(onError === undefined ? {} : { onError: sparing(transitionOf(onError, hear)) }),
    })),
  };
}

function transitionOf(
  { guard, targets, isReentering, actions }: TransitionSpec,
  hear: Hearing,
): { readonly guard?: unknown; readonly actions: readonly unknown[] } {
  return {
    ...(guard === undefined ? {} : { guard: guardOf(guard) }),
    ...(targets.length === 0 ? {} : { target: targets.map((target) => `#${target}`) }),
    ...(isReentering ? { reenter: true } : {}),
    actions: actions.map((action) => actionOf(action, hear)),
  };
}

function guardOf(guard: GuardSpec): never {
  switch (guard.kind) {
    case "odd":
    case "throws":
      return guard.kind as never;
    case "big":
      return { type: "big", params: { than: 2 } } as never;
    case "in":
      return stateIn(`#${guard.state}`) as never;
    case "not":
      return not(guard.of.map(guardOf)[0] as never) as never;
    case "and":
      return and(guard.of.map(guardOf)) as never;
    case "or":
      return or(guard.of.map(guardOf)) as never;
  }
}

function actionOf(action: ActionSpec, hear: Hearing): unknown {
  switch (action.kind) {
    case "named":
      return { type: "named", params: { name: action.name } };
    case "inline":
      return ({ event }: { event: { type: string } }) => hear.act(`${action.name} inline on ${event.type}`);
    case "emit":
      return emit(({ context }) => ({ type: "emitted", name: action.name, n: (context as Context).n }));
    case "log":
      return log(({ context }) => `${action.name} logged at ${(context as Context).n}`);
    case "assign":
      return assigning[action.how];
    case "raise":
      return raise({ type: action.event }, timing(action));
    case "self":
      return sparingly(sendTo(({ self }) => self, { type: action.event }, timing(action)));
    case "cancel":
      return cancel(action.id);
    case "enqueue":
      return enqueueActions(({ enqueue, check }) => {
        for (const inner of action.actions.slice(0, 1)) enqueue(actionOf(inner, hear) as never);
        if (check(guardOf(action.guard))) {
          for (const inner of action.actions.slice(1)) enqueue(actionOf(inner, hear) as never);
        }
      });
    case "spawn":
      return spawnChild(action.src as never, { id: action.id, input: { id: action.id } } as never);
    case "stop":
      return stopChild(action.id);
    case "tell":
      return sparingly(sendTo(action.child, { type: action.event }));
  }
}

/** So often that no two machines send to each other for ever. */
export const sendsMax = 25;

function sparingly(send: unknown): unknown {
  return enqueueActions(({ context, enqueue }) => {
    if ((context as Context).n >= sendsMax) return;
    enqueue(assigning.inc as never);
    enqueue(send as never);
  });
}

function isFew({ context }: { context: Context }): boolean {
  return context.n < sendsMax;
}

/** A child that ends at once may be begun again at its end. */
function sparing(transition: { readonly guard?: unknown; readonly actions: readonly unknown[] }): object {
  const guard = transition.guard === undefined ? isFew : and([isFew, transition.guard] as never);
  return { ...transition, guard, actions: [assigning.inc, ...transition.actions] };
}

function timing({ delay, id }: { readonly delay?: number; readonly id?: string }): object {
  return { ...(delay === undefined ? {} : { delay }), ...(id === undefined ? {} : { id }) };
}

const assigning = {
  inc: assign({ n: ({ context }) => (context as Context).n + 1 }),
  take: assign({ taken: ({ event }) => ({ of: (event as { type: string }).type, n: [1] }) }),
  push: assign(({ context }) => {
    const { n, list } = context as Context;
    return { list: [...list.slice(-4), { n, text: "x".repeat(n % 7) }] };
  }),
  throw: assign(() => {
    throw new Error("an assign");
  }),
};
