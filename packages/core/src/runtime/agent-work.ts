/**
 * When work of an agent is done: at once if the agent is in memory, else when it is loaded; under caution alone, and noted.
 *
 * Owns: whether its partition has caught up, and been given up.
 * Leaves to others: loading (`activations.ts`), the order of what is done alone (`caution.ts`).
 * Called by partition, intake, shelf and under-way: `do`, `use`, `alone`; by caution: the notes, `blame`.
 */
import type { Address } from "../agent/address.ts";
import type { Entry } from "../format/record.ts";
import type { Activations, Work } from "./activations.ts";
import type { Caution, Cautious, Lone } from "./caution.ts";
import type { Entries } from "./entries.ts";

export interface AgentWorkOptions {
  readonly caution: Pick<Caution, "isOn" | "later" | "add">;
  readonly activations: Pick<Activations, "use">;
  readonly entries: Pick<Entries, "isClosed" | "add" | "state">;
  /** Sets an agent aside whose work killed its hosts. */
  readonly blame: (agent: Address, id: string) => void;
}

export class AgentWork implements Cautious {
  readonly #options: AgentWorkOptions;
  /** Whether all that was in the mailbox when this owner began was handed out. */
  #isCaughtUp = false;
  readonly #closed = Promise.withResolvers<void>();

  constructor(options: AgentWorkOptions) {
    this.#options = options;
  }

  caughtUp(): void {
    this.#isCaughtUp = true;
  }

  /** The partition is given up: what waits for its agents is never done (P4). */
  close(): void {
    this.#closed.resolve();
  }

  /** Work of one agent: at once if it is in memory, noted and alone under caution; whether it was done at once. */
  do(agent: Address, id: string, work: Work): boolean {
    const { caution } = this.#options;
    if (!caution.isOn) return this.use(agent, work);
    if (this.#isCaughtUp) return caution.later(agent, () => this.use(agent, work));
    caution.add(this.alone(agent, id, work));
    return false;
  }

  /** Work that no host dies of: whether it was done at once. */
  use(agent: Address, work: Work): boolean {
    const { activations, entries } = this.#options;
    return activations.use(agent, (activation) => (entries.isClosed ? undefined : work(activation)));
  }

  /** Work of one agent as caution takes it. */
  alone(agent: Address, id: string, work: Work): Lone {
    const { activations, entries } = this.#options;
    const done = (): Promise<void> =>
      new Promise((resolve) => {
        activations.use(agent, async (activation) => {
          if (!entries.isClosed) await work(activation);
          resolve();
        });
      });
    // An agent that is being loaded when its partition is given up never is: all other work would wait for it.
    return { partition: this, agent, id, run: () => Promise.race([done(), this.#closed.promise]) };
  }

  noted(id: string): number {
    return this.#options.entries.state.notes.get(id) ?? 0;
  }

  note(id: string): Promise<void> {
    return this.#noteDown({ kind: "note", id });
  }

  unnote(id: string): Promise<void> {
    return this.#noteDown({ kind: "unnote", id });
  }

  async #noteDown(entry: Entry): Promise<void> {
    const { entries } = this.#options;
    if (!entries.isClosed) await new Promise<void>((resolve) => entries.add(entry, 64, resolve));
  }

  blame(agent: Address, id: string): void {
    if (!this.#options.entries.isClosed) this.#options.blame(agent, id);
  }
}
