/** What the owner tells of its agents on request, over the channel: committed state and history only. */
import { type Address, parseAddress, partitionOf } from "../agent/address.ts";
import { DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import { historyBytesMax, historyStepsMax } from "../agent/limits.ts";
import { bytesAtMost } from "../format/codec/size.ts";
import type { App } from "../format/app.ts";
import { decodeValue, encodeValue } from "../format/codec/msgpack.ts";
import { agentOfHead, agentsPrefix, headKey } from "../format/keys.ts";
import type { Channel, Partition, Unsubscribe } from "../ports/index.ts";
import { decode, describe } from "../step/engine.ts";
import { newerState, type Registry } from "../step/registry.ts";
import type { AgentState, AgentStatus } from "../step/state.ts";
import { type Activation, type Activations, readHead } from "./activations.ts";
import { readHistory } from "./history.ts";
import { insist, type World } from "./insist.ts";
import { readAnswered, readSubject } from "./release/reply.ts";
import { foldRun, readRun } from "./run.ts";
import { type StepView, viewStep } from "./step-view.ts";
import {
  describeIfKnown,
  effectViews,
  type EffectView,
  stuckError,
  waitCount,
  waitsOf,
  type WaitView,
} from "./waits.ts";

export type ReadRequest =
  /** `atLeast`: the number of a step that the asker knows to be committed. */
  | { readonly what: "state"; readonly agent: Address; readonly atLeast?: number }
  | { readonly what: "history"; readonly agent: Address; readonly from: number; readonly to: number }
  /** Agents of one partition, of one type or all; `after` is what the page before gave. */
  | { readonly what: "list"; readonly type: string | undefined; readonly after: string | undefined }
  /** What agents of one partition wait for; `after` as of a list. */
  | { readonly what: "waits"; readonly type: string | undefined; readonly after: string | undefined }
  /** The agents of one partition that are set aside. */
  | { readonly what: "quarantine" };

/** One page of a list; agents are in no particular order. */
export interface AgentPage {
  readonly agents: readonly AgentView[];
  /** Where the next page begins; `undefined` after the last. */
  readonly after: string | undefined;
}

/** One page of waits, by agent. */
export interface WaitPage {
  readonly waits: readonly WaitView[];
  readonly after: string | undefined;
}

/** An agent as a list tells of it. */
export interface AgentView {
  readonly agent: Address;
  /** `unreadable`: its head, or what it names, is damaged. */
  readonly status: AgentStatus | "unreadable";
  readonly seq: number;
  readonly value: unknown;
  readonly errorCount: number;
  /** Milliseconds since 1970, of its last step. */
  readonly at: number;
  /** Waits of its durable functions that someone outside may end. */
  readonly waitCount: number;
  /** Why one of its durable functions goes no further until someone mends its code. */
  readonly stuck: ErrorData | undefined;
}

/** A committed state, as a client gets it. */
export interface StateView {
  readonly status: AgentStatus;
  readonly seq: number;
  readonly value: unknown;
  readonly context: unknown;
  readonly tags: readonly string[];
  readonly output: unknown;
  readonly error: unknown;
  /** How many of its steps failed. */
  readonly errorCount: number;
  /** What it has under way. */
  readonly effects: readonly EffectView[];
  /** What it waits for, of whoever may answer. */
  readonly waits: readonly WaitView[];
}

/** An agent that is set aside. */
export interface QuarantineView {
  readonly agent: Address;
  readonly since: number;
  readonly error: ErrorData;
  readonly messageId: string | undefined;
  /** Messages kept for it. */
  readonly shelved: number;
}

/** What came of taking an agent back. */
export interface Resumed {
  readonly wasSetAside: boolean;
  /** Whether a kept message was dropped: the one that the agent had stumbled over. */
  readonly isSkipped: boolean;
}

/** The most that a store lists at once. */
const namesAtOnce = 1_000;
/** A page of waits ends at the agent that makes it so many. */
const waitsAtOnce = 200;
/** Of agents that are looked through for waits, those that are read at once. */
const headsAtOnce = 32;

type ReadAnswer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: ErrorData };

export interface Readable {
  readonly partition: Partition;
  readonly activations: Pick<Activations, "use" | "values">;
  quarantined(): readonly QuarantineView[];
  /** Loads agents of whom journals hold what no head covers. */
  activateTails(): Promise<boolean>;
  /** Somebody knows of a later step than we hold: finds out whether we still own it. */
  checkOwned(): void;
}

/** Serves reads of one partition's agents. */
export function serveReads(
  channel: Channel,
  app: App,
  world: World,
  registry: Registry,
  readable: Readable,
): Unsubscribe {
  return channel.serve(readSubject(app, readable.partition), async (bytes) => {
    let answer: ReadAnswer;
    try {
      answer = { ok: true, value: await tell(app, world, registry, readable, decodeValue(bytes) as ReadRequest) };
    } catch (error) {
      answer = { ok: false, error: encodeError(error) };
    }
    return encodeValue(answer);
  });
}

/** Tells whoever reads of a partition that it cannot be read, and why. */
export function refuseReads(channel: Channel, app: App, partition: Partition, error: DormouseError): Unsubscribe {
  const answer: ReadAnswer = { ok: false, error: encodeError(error) };
  return channel.serve(readSubject(app, partition), async () => encodeValue(answer));
}

/** Asks the owner of a partition. */
export async function requestRead(
  channel: Pick<Channel, "request">,
  app: App,
  partition: Partition,
  request: ReadRequest,
  timeoutMs: number,
): Promise<unknown> {
  return readAnswered(await channel.request(readSubject(app, partition), encodeValue(request), timeoutMs));
}

async function tell(
  app: App,
  world: World,
  registry: Registry,
  readable: Readable,
  request: ReadRequest,
): Promise<unknown> {
  switch (request.what) {
    case "state":
      return withAgent(readable, request.agent, ({ committed, seqBefore }) => {
        if ((committed?.seq ?? seqBefore) < (request.atLeast ?? 0)) {
          readable.checkOwned();
          throw behindError(request.agent);
        }
        return committed === undefined
          ? undefined
          : viewState(registry, parseAddress(request.agent).address, committed);
      });
    case "history": {
      const { agent, from, to } = request;
      const remembered = await withAgent(readable, agent, (activation) => {
        // Of few agents a history is read: the others do without.
        const chapters = (activation.chapters ??= new Map());
        return { settled: activation.settled, steps: [...activation.steps], chapters };
      });
      const views: StepView[] = [];
      let bytes = 0;
      await readHistory(world, parseAddress(agent).address, remembered, { from, to }, (past) => {
        const view = viewStep(past);
        views.push(view);
        bytes += bytesAtMost(view, historyBytesMax);
        return views.length < historyStepsMax && bytes < historyBytesMax;
      });
      return views;
    }
    case "list":
      return list(app, world, readable, request.type, request.after);
    case "waits":
      return listWaits(app, world, registry, readable, request.type, request.after);
    case "quarantine":
      return readable.quarantined();
  }
}

function behindError(agent: string): DormouseError {
  return new DormouseError(
    "unavailable",
    "read.behind",
    `this host no longer owns the agent, or does not know yet what it committed; ask again: agent=${agent}`,
  );
}

/** A scan: heads in the store, and agents in memory that have none yet. */
async function list(
  app: App,
  world: World,
  readable: Readable,
  type: string | undefined,
  after: string | undefined,
): Promise<AgentPage> {
  const active = await activeAgents(readable);
  const names = await insist(world, () => world.store.list(agentsPrefix(type), after === undefined ? {} : { after }));
  const stored = names.map(agentOfHead).filter((agent) => agent !== undefined);
  const ours = stored.filter((agent) => partitionOf(agent, app.partitions) === readable.partition);
  const agents = await Promise.all(ours.map((agent) => viewAgent(world, agent, active.get(agent))));
  if (after === undefined) {
    for (const { agent, head, committed } of active.values()) {
      const isOfType = type === undefined || parseAddress(agent).type === type;
      if (isOfType && head === undefined && committed !== undefined) agents.push(agentView(agent, committed));
    }
  }
  const last = names.length < namesAtOnce ? undefined : names.at(-1);
  return { agents: agents.filter((view) => view !== undefined), after: last };
}

/** Agents in memory. Of all others the head is the whole truth, once those are loaded that a takeover found in journals. */
async function activeAgents(readable: Readable): Promise<ReadonlyMap<Address, Activation>> {
  await readable.activateTails();
  return new Map([...readable.activations.values()].map((activation) => [activation.agent, activation]));
}

/** A scan in the order of heads' names, of agents that have none yet too; it ends where there is enough for a page. */
async function listWaits(
  app: App,
  world: World,
  registry: Registry,
  readable: Readable,
  type: string | undefined,
  after: string | undefined,
): Promise<WaitPage> {
  const active = await activeAgents(readable);
  const names = await insist(world, () => world.store.list(agentsPrefix(type), after === undefined ? {} : { after }));
  const last = names.length < namesAtOnce ? undefined : names.at(-1);
  const unstored = [...active.values()].filter(({ head }) => head === undefined).map(({ agent }) => headKey(agent));
  const isInPage = (name: string): boolean =>
    name.startsWith(agentsPrefix(type)) && name > (after ?? "") && (last === undefined || name <= last);
  const heads = [...new Set([...names, ...unstored.filter(isInPage)])].toSorted(byName);
  const waits: WaitView[] = [];
  for (let from = 0; from < heads.length; from += headsAtOnce) {
    const some = heads.slice(from, from + headsAtOnce);
    const found = await Promise.all(
      some.map(async (name) => {
        const agent = agentOfHead(name);
        if (agent === undefined || partitionOf(agent, app.partitions) !== readable.partition) return [];
        const state = await committedState(world, agent, active.get(agent));
        if (state instanceof DormouseError || state === undefined) return [];
        return waitsOf(agent, state, describeIfKnown(registry, agent, state));
      }),
    );
    waits.push(...found.flat());
    const end = some.at(-1);
    if (waits.length >= waitsAtOnce && end !== heads.at(-1)) return { waits, after: end };
  }
  return { waits, after: last };
}

/** As stores sort names, which are ASCII. */
function byName(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

async function viewAgent(
  world: World,
  agent: Address,
  activation: Activation | undefined,
): Promise<AgentView | undefined> {
  const state = await committedState(world, agent, activation);
  if (!(state instanceof DormouseError)) return state === undefined ? undefined : agentView(agent, state);
  const nothing = { value: undefined, errorCount: 0, at: 0, waitCount: 0, stuck: undefined };
  return { agent, status: "unreadable", seq: 0, ...nothing };
}

/** Of an agent in memory or in the store; its error, if what the store has of it is damaged. */
async function committedState(
  world: World,
  agent: Address,
  activation: Activation | undefined,
): Promise<AgentState | DormouseError | undefined> {
  if (activation !== undefined && activation.phase === "ready") return activation.committed;
  try {
    const head = await readHead(world, agent);
    if (head?.kept === undefined) return undefined;
    const { base, steps } = await readRun(world, head.kept.run, headKey(agent));
    return foldRun(base, steps);
  } catch (error) {
    // One agent that cannot be read does not keep the others from being listed (D9).
    if (!(error instanceof DormouseError) || error.kind !== "corrupt") throw error;
    return error;
  }
}

function agentView(agent: Address, state: AgentState): AgentView {
  const { status, seq, machine, errorCount, now } = state;
  const view = { agent, status, seq, value: machine.value, errorCount, at: now };
  return { ...view, waitCount: waitCount(state), stuck: stuckError(state) };
}

function withAgent<T>(readable: Readable, agent: Address, look: (activation: Activation) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    readable.activations.use(parseAddress(agent).address, (activation) => {
      try {
        if (activation.error !== undefined) throw activation.error;
        resolve(look(activation));
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

function viewState(registry: Registry, agent: Address, state: AgentState): StateView {
  const known = registry.find(parseAddress(agent).type, state.path);
  if (known === undefined) {
    throw new DormouseError("invalid", "agent.unknown-type", `this host runs no agents of this type: agent=${agent}`);
  }
  const newer = newerState(agent, state, known);
  if (newer !== undefined) throw newer;
  const description = describe(decode(known.machine, state.machine));
  const { value, context, tags, output, error } = description;
  const { status, seq, errorCount } = state;
  const underWay = { effects: effectViews(state), waits: waitsOf(agent, state, description) };
  return { status, seq, value, context, tags: [...tags], output, error, errorCount, ...underWay };
}
