/**
 * Objects of agents that are damaged under living hosts, and put back as they were: by an operator, a while later.
 *
 * Owns: what is damaged now, and which agents ever were. Leaves to others: when (`simulation.ts`).
 *
 * G1  Only objects of one agent are damaged: its head, bases, pieces, chapters. A record or partition object that cannot be
 *     read stops its partition, as it must (DESIGN.md section 13).
 * G2  What was written anew meanwhile stays as it is.
 */
import type { MemoryWorld } from "@dormouse/local";
import type { Violation } from "./checkers/checker.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

interface Damaged {
  readonly name: string;
  readonly before: Uint8Array;
  readonly now: Uint8Array;
}

const mendedMsMax = 30_000;

/** How one object was damaged. */
export type Damage = "object-flipped" | "object-truncated";

export class Damager {
  readonly #scheduler: Scheduler;
  readonly #world: MemoryWorld;
  readonly #damaged = new Set<Damaged>();
  /** Agents that ever were damaged, and what was set aside though it was not. */
  readonly #agents = new Set<string>();
  readonly #others: string[] = [];

  constructor(scheduler: Scheduler, world: MemoryWorld) {
    this.#scheduler = scheduler;
    this.#world = world;
  }

  /** Damages an object of an agent; `undefined`: there is none. */
  damage(random: Random): Damage | undefined {
    const names = this.#world
      .objectNames("agents/")
      .filter((name) => ![...this.#damaged].some((one) => one.name === name));
    if (names.length === 0) return undefined;
    const name = random.pick(names);
    const before = this.#world.objectBytes(name);
    if (before === undefined || before.length === 0) return undefined;
    const place = random.int(before.length);
    const isFlipped = random.chance(0.5);
    const now = isFlipped ? Uint8Array.from(before) : before.slice(0, place);
    if (isFlipped) now[place] = (now[place] ?? 0) ^ (1 << random.int(8));
    this.#world.overwriteObject(name, now);
    this.#scheduler.note(`${name} is damaged at byte ${place}`, undefined);
    const one: Damaged = { name, before, now };
    this.#damaged.add(one);
    this.#agents.add(agentOf(name));
    const delayMs = random.skewed(10, mendedMsMax);
    this.#scheduler.add({ label: `${name} is mended`, delayMs, run: () => this.#mend(one) });
    return isFlipped ? "object-flipped" : "object-truncated";
  }

  /** Puts everything back. */
  mendAll(): void {
    for (const one of [...this.#damaged].toReversed()) this.#mend(one);
  }

  /** Whether any object of the agent ever was. */
  wasDamaged(agent: string): boolean {
    return this.#agents.has(agent);
  }

  /** Told of each agent that is set aside since an object cannot be read. */
  setAside(agent: string, message: string): void {
    if (!this.#agents.has(agent))
      this.#others.push(`${agent} was set aside, and nothing of it was damaged: ${message}`);
  }

  /** Damage stops that agent only (D9). */
  finish(): readonly Violation[] {
    return this.#others.map((message) => ({ invariant: "D9", message, atMs: this.#scheduler.now() }));
  }

  /** Unless it was written anew since (G2). */
  #mend(one: Damaged): void {
    if (!this.#damaged.delete(one)) return;
    const bytes = this.#world.objectBytes(one.name);
    if (bytes === undefined || !Buffer.from(bytes).equals(one.now)) return;
    this.#world.overwriteObject(one.name, one.before);
  }
}

/** Whose object it is: in names of objects some bytes of a key are written `~XX`. */
function agentOf(name: string): string {
  return decodeURIComponent(name.split("/").slice(1, 3).join("/").replaceAll("~", "%"));
}
