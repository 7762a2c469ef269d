/**
 * History equals what happened: what heads, bases, pieces and chapters say of an agent is what records said.
 *
 * A head's base is the state that records lead to at that number, its steps are the recorded ones that follow it, without
 * gaps, up to the head's own number; and so is every chapter, back to the agent's first step. Of a head that follows
 * another only what is new in it is compared; the newest one, in the end, as a whole. And nothing is deleted that the
 * newest head names, nor named when it is deleted; and no head goes back, in steps or in epochs.
 *
 * Does not verify that a head comes in time, nor what a head in between makes of what an earlier one had right.
 */
import type { Checker, Observation, Violation } from "./checker.ts";
import { firstDifference } from "./same-bytes.ts";
import {
  readBase,
  readChapter,
  readHead,
  readPiece,
  readSteps,
  type StoredHead,
  type StoredRun,
  type StoredState,
} from "./stored.ts";
import { type RecordedStep, StoredAgents } from "./stored-agents.ts";

export class HistoryChecker implements Checker {
  readonly name = "history";
  readonly #agents = new StoredAgents();
  readonly #violations: Violation[] = [];
  /** By agent and number. */
  readonly #steps = new Map<string, RecordedStep>();
  /** Bases, pieces and chapters, by name. */
  readonly #parts = new Map<string, Uint8Array>();
  readonly #chapters = new Set<string>();
  readonly #heads = new Map<string, StoredHead>();
  readonly #deleted = new Set<string>();
  #atMs = 0;

  observe(observation: Observation): void {
    if (observation.type === "deleted") this.#delete(observation.name, observation.atMs);
    if (observation.type !== "stored") return;
    const { name, bytes, atMs } = observation;
    this.#atMs = atMs;
    const [room = "", type = "", token = "", last = ""] = name.split("/");
    if (room === "journal") {
      for (const recorded of this.#agents.store(name, bytes)) {
        this.#steps.set(`${recorded.step.agent} ${recorded.step.seq}`, recorded);
      }
    }
    if (room !== "agents") return;
    if (last === "head") this.#checkHead(`${type}/${keyOf(token)}`, readHead(bytes));
    else this.#parts.set(name, bytes);
  }

  finish(): readonly Violation[] {
    if (this.#violations.length === 0) for (const [agent, head] of this.#heads) this.#checkHead(agent, head);
    this.#heads.clear();
    return this.#violations;
  }

  #checkHead(agent: string, head: StoredHead): void {
    const { seq, run, chapter } = head;
    const before = this.#heads.get(agent);
    this.#heads.set(agent, head);
    if (before !== undefined && (head.epoch < before.epoch || seq < before.seq)) {
      const was = `${before.seq} in epoch ${before.epoch}`;
      this.#broken(`the head of ${agent} goes back from ${was} to ${seq} in epoch ${head.epoch}`);
    }
    const gone = namesIn(head).find((name) => this.#deleted.has(name));
    if (gone !== undefined) this.#broken(`the head of ${agent} at ${seq} names ${gone}, which is deleted`);
    if (run === undefined) return;
    const isLonger = before !== head && before?.run?.base.seq === run.base.seq;
    this.#checkRun(agent, run, { to: seq, knownTo: isLonger ? before.seq : -1 }, `the head of ${agent} at ${seq}`);
    if (chapter !== undefined && chapter.to !== run.base.seq) {
      this.#broken(`the head of ${agent} at ${seq} begins at ${run.base.seq}, and its chapter ends at ${chapter.to}`);
    }
    this.#checkChapters(agent, chapter);
  }

  #delete(name: string, atMs: number): void {
    const [room = "", type = "", token = ""] = name.split("/");
    if (room !== "agents") return;
    this.#atMs = atMs;
    this.#deleted.add(name);
    const agent = `${type}/${keyOf(token)}`;
    const head = this.#heads.get(agent);
    if (head !== undefined && namesIn(head).includes(name)) {
      this.#broken(`${name} is deleted, and the head of ${agent} at ${head.seq} names it`);
    }
  }

  #checkChapters(agent: string, newest: StoredHead["chapter"]): void {
    for (let chapter = newest; chapter !== undefined && !this.#chapters.has(chapter.name);) {
      const { name, from, to } = chapter;
      this.#chapters.add(name);
      const bytes = this.#parts.get(name);
      if (bytes === undefined) return this.#broken(`chapter ${name} of ${agent} is not there`);
      const { run, previous } = readChapter(bytes);
      const gone = run.pieces.find((piece) => this.#deleted.has(piece.name));
      if (gone !== undefined) return this.#broken(`chapter ${name} of ${agent} names ${gone.name}, which is deleted`);
      this.#checkRun(agent, run, { to, knownTo: -1 }, `chapter ${name}`);
      if (run.base.seq !== from - 1)
        this.#broken(`chapter ${name} begins at ${run.base.seq}, and is to at ${from - 1}`);
      chapter = previous;
    }
  }

  /** @param span - Up to which step the run goes, and up to which it is known to be right; -1: not even its base is. */
  #checkRun(agent: string, run: StoredRun, { to, knownTo }: { to: number; knownTo: number }, what: string): void {
    const { base } = run;
    const difference = knownTo < 0 ? this.#differenceOfBase(agent, base) : undefined;
    if (difference !== undefined) return this.#broken(`${what}: the base at ${base.seq}: ${difference}`);
    const pieces = run.pieces.map(({ name }) => this.#parts.get(name));
    if (pieces.includes(undefined)) return this.#broken(`${what} names a piece that is not there`);
    const steps = [...pieces.flatMap((bytes) => readPiece(bytes ?? new Uint8Array(0))), ...readSteps(run.steps)];
    let { seq } = base;
    for (const step of steps) {
      if (step.seq !== seq + 1) return this.#broken(`${what}: step ${step.seq} follows ${seq}`);
      ({ seq } = step);
      if (seq <= knownTo) continue;
      const recorded = this.#steps.get(`${agent} ${seq}`);
      if (recorded === undefined) return this.#broken(`${what}: step ${seq} was never recorded`);
      const { at, cause, delta, error, emitted } = recorded.step;
      const found = firstDifference({ at, cause, delta, error, emitted }, step);
      if (found !== undefined) return this.#broken(`${what}: step ${seq}: ${found}`);
    }
    if (seq !== to) this.#broken(`${what} ends at step ${seq}`);
  }

  #differenceOfBase(agent: string, base: StoredRun["base"]): string | undefined {
    if (base.kind === "nothing") return undefined;
    const recorded = this.#steps.get(`${agent} ${base.seq}`);
    const state = base.kind === "inline" ? base.state : this.#readBase(base.name ?? "");
    if (recorded === undefined || state === undefined) return "it is not there, or its step was never recorded";
    return firstDifference(recorded.after, state);
  }

  #readBase(name: string): StoredState | undefined {
    const bytes = this.#parts.get(name);
    return bytes === undefined ? undefined : readBase(bytes);
  }

  #broken(message: string): void {
    this.#violations.push({ invariant: "history", message, atMs: this.#atMs });
  }
}

/** The objects that a head itself names. */
function namesIn({ run, chapter }: StoredHead): readonly string[] {
  return [run?.base.name ?? [], run?.pieces.map(({ name }) => name) ?? [], chapter?.name ?? []].flat();
}

/** The key of an agent, from its name in the store. */
export function keyOf(token: string): string {
  return decodeURIComponent(token.replaceAll("~", "%"));
}
