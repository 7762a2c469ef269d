/**
 * Agents that cannot step now: set aside, their messages kept, taken back or removed by command.
 *
 * Leaves to others: quarantine and shelf themselves (`PartitionState`, changed by entries alone), whether an agent can
 * step and what a step does (`steps.ts`).
 * Called by partition: `setAside`, `setAsideDamaged`, `blame`, `take`, `resume`, `remove`, `quarantined`.
 *
 * Y1  What is kept is taken in its order, before what comes after it (D1), and each in one record with its step (D4).
 * Y2  Nothing but what its agent stumbled over is ever skipped, and nothing of one life is taken by the next (D4).
 */
import type { Address } from "../agent/address.ts";
import { DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import { isNewer } from "../format/codec/header.ts";
import type { Envelope } from "../format/message.ts";
import type { Origin } from "../format/record.ts";
import type { Observe } from "../observe.ts";
import { answerTo } from "../step/outcome.ts";
import { isStuck } from "../step/state.ts";
import type { Activation, Activations } from "./activations.ts";
import type { Caution } from "./caution.ts";
import { type Entries, entryBytes } from "./entries.ts";
import type { World } from "./insist.ts";
import type { QuarantineView, Resumed } from "./reads.ts";
import type { Steps } from "./steps.ts";
import type { AgentWork } from "./agent-work.ts";

export interface ShelfOptions {
  readonly world: World;
  readonly observe: Observe;
  readonly caution: Caution;
  readonly entries: Entries;
  readonly activations: Activations;
  readonly agentWork: Pick<AgentWork, "use" | "alone">;
  readonly steps: Steps;
  /** Begins anew what an agent had under way. */
  readonly resumeWork: (agent: Address) => void;
}

export class Shelf {
  readonly #options: ShelfOptions;

  constructor(options: ShelfOptions) {
    this.#options = options;
  }

  quarantined(): readonly QuarantineView[] {
    const { quarantine, shelf } = this.#options.entries.state;
    return [...quarantine].map(([agent, { since, error, messageId }]) => {
      return { agent, since, error, messageId, shelved: shelf.get(agent)?.length ?? 0 };
    });
  }

  /** Its messages are kept until it can step again; who asks is told now, and the ask is done with. */
  setAside({ agent }: Activation, envelope: Envelope, origin: Origin, why: DormouseError): void {
    const { entries } = this.#options;
    if (!isOfHost(why) && why.code !== "agent.quarantined") this.#quarantine(agent, encodeError(why), envelope.id);
    // An ask too, where another host surely has what this one lacks: it is answered there.
    if (envelope.ask === undefined || why.code === "agent.newer-state") {
      // Of one that is set aside it was said when that was done.
      if (isOfHost(why)) {
        this.#options.observe({
          kind: "refused",
          agent,
          id: envelope.id,
          isAsked: envelope.ask !== undefined,
          error: encodeError(why),
        });
      }
      entries.add({ kind: "shelve", origin, envelope }, entryBytes(envelope), () => undefined);
      return;
    }
    entries.pass(envelope, origin, "set-aside", answerTo(envelope, { ok: false, seq: 0, error: encodeError(why) }));
  }

  /** @param id - Of the work that killed the host: a message's own, or another name. */
  blame(agent: Address, id: string): void {
    const error = new DormouseError(
      "failed",
      "agent.killed-host",
      `its host died twice while it was at this, alone; mend the agent, then resume or skip: agent=${agent} work=${id}`,
    );
    this.#quarantine(agent, encodeError(error), id);
  }

  /** At each load and settle again, until it is mended: said once. */
  setAsideDamaged(agent: Address, error: DormouseError): void {
    if (!this.#options.entries.state.quarantine.has(agent)) this.#quarantine(agent, encodeError(error), "stored");
  }

  #quarantine(agent: Address, error: ErrorData, messageId: string): void {
    const { entries, world, observe } = this.#options;
    const quarantine = { since: world.clock.now(), error, messageId };
    entries.add({ kind: "quarantine", agent, quarantine }, 256, () => observe({ kind: "quarantined", agent, error }));
  }

  #takeBack(agent: Address): void {
    this.#options.entries.add({ kind: "quarantine", agent, quarantine: undefined }, 32, () => undefined);
  }

  /** Takes what is on an agent's shelf, in order, as far as it can step. */
  take(agent: Address): void {
    const { entries, agentWork, caution } = this.#options;
    const works = (entries.state.shelf.get(agent) ?? []).map((envelope) => ({
      id: envelope.id,
      work: (activation: Activation): void => this.#takeFirst(activation, envelope),
    }));
    if (!caution.isOn) for (const { work } of works) agentWork.use(agent, work);
    // What came for the agent since waits there already, and must not overtake what was kept (Y1).
    else caution.addNext(works.map(({ id, work }) => agentWork.alone(agent, id, work)));
  }

  #takeFirst(activation: Activation, envelope: Envelope): void {
    const { entries, steps, world } = this.#options;
    const { agent } = activation;
    // One before it could not be taken, or it was taken or dropped since.
    if (entries.state.shelf.get(agent)?.[0] !== envelope) return;
    const { body } = envelope;
    const known = steps.known(activation, body.kind === "start-child" ? body.path : undefined);
    if (known instanceof DormouseError) return;
    // In one record with its step: alone, it would lose the message (Y1).
    entries.add({ kind: "unshelve", agent, count: 1 }, 32, () => undefined, true);
    // An ask was not given up by whoever waits for it: its patience counts from here on.
    const at = envelope.ask ? world.clock.now() : envelope.sentAt;
    steps.takeMessage(activation, known, envelope, at, undefined);
  }

  resume(activation: Activation, envelope: Envelope, origin: Origin, command: "resume" | "skip"): void {
    const { entries, activations, steps, resumeWork } = this.#options;
    const { agent } = activation;
    const { quarantine, shelf } = entries.state;
    const why = quarantine.get(agent);
    const [first] = shelf.get(agent) ?? [];
    const wasSetAside = why !== undefined;
    const wasUnreadable = activation.phase === "unreadable";
    if (!wasSetAside && !wasUnreadable && first === undefined && activation.state === undefined) {
      const error = encodeError(this.#whyNotThere(activation));
      entries.pass(envelope, origin, command, answerTo(envelope, { ok: false, seq: 0, error }));
      return;
    }
    // What an agent stumbled over need not be a message, nor one that is kept: then none of those is at fault (Y2).
    const isSkipped = command === "skip" && first !== undefined && why?.messageId === first.id;
    if (wasSetAside) this.#takeBack(agent);
    if (isSkipped) entries.add({ kind: "unshelve", agent, count: 1 }, 32, () => undefined);
    const still = wasSetAside && !wasUnreadable ? steps.known(activation) : undefined;
    if (still instanceof DormouseError && !isOfHost(still)) {
      // Taken back, it would seem mended until its next message.
      this.#quarantine(agent, encodeError(still), why?.messageId ?? envelope.id);
      entries.pass(envelope, origin, command, answerTo(envelope, { ok: false, seq: 0, error: encodeError(still) }));
      return;
    }
    const wasStuck = activation.state !== undefined && isStuck(activation.state);
    const value: Resumed = { wasSetAside: wasSetAside || wasStuck, isSkipped };
    entries.pass(envelope, origin, command, answerTo(envelope, { ok: true, seq: 0, value }));
    if (wasUnreadable) activations.forget(activation);
    if (wasSetAside) activation.effectsFound = activation.state?.effects ?? {};
    this.take(agent);
    // What its effects said while it was set aside was dropped, as were their attempts at a takeover.
    if (wasSetAside || wasUnreadable) resumeWork(agent);
    if (wasStuck) steps.takeLocal(activation, { kind: "unstick", id: envelope.id });
  }

  #whyNotThere(activation: Activation): DormouseError {
    const known = this.#options.steps.known(activation);
    if (known instanceof DormouseError) return known;
    return new DormouseError(
      "conflict",
      "agent.not-started",
      `there is no such agent, so there is nothing to take back: agent=${activation.agent}`,
    );
  }

  remove(activation: Activation, envelope: Envelope, origin: Origin): void {
    const { entries, activations, steps } = this.#options;
    const { agent } = activation;
    const wasThere = activation.state !== undefined || activation.phase === "unreadable";
    // What was kept is of the life that ends: the next one would take it for its own (Y2).
    const count = entries.state.shelf.get(agent)?.length ?? 0;
    if (count > 0) entries.add({ kind: "unshelve", agent, count }, 32, () => undefined);
    if (entries.state.quarantine.has(agent)) this.#takeBack(agent);
    activations.giveUpUnread(activation);
    const seq = activation.state?.seq ?? activation.seqBefore;
    const known = steps.known(activation);
    const isActive = activation.state?.status === "active";
    if (isActive && !(known instanceof DormouseError)) {
      steps.take(activation, known, { kind: "end", how: "terminate", message: withoutAsk(envelope) }, undefined);
    }
    if (wasThere) steps.forget(activation);
    // Last, so that its answer is let out only when the agent is durably gone.
    entries.pass(envelope, origin, "removed", answerTo(envelope, { ok: true, seq, value: wasThere }));
  }
}

/** Whether it is this host that lacks something: another may have it, so nothing is wrong with the agent. */
export function isOfHost(why: DormouseError): boolean {
  return why.code === "agent.unknown-type" || why.code === "agent.newer-state" || isNewer(why);
}

function withoutAsk(envelope: Envelope): Envelope {
  const { ask: _ask, key: _key, ...rest } = envelope;
  return rest;
}
