/** What happened in a run: a digest of all of it, to compare runs by, and the last lines of it, to read. */

export interface TraceEvent {
  readonly atMs: number;
  /** Whose code ran; undefined: the servers', or the simulator's own. */
  readonly party: string | undefined;
  readonly label: string;
}

export class Trace {
  readonly #linesMax: number;
  readonly #ring: TraceEvent[] = [];
  #count = 0;
  #low = 0x9e37_79b9;
  #high = 0x85eb_ca6b;

  constructor(linesMax: number) {
    this.#linesMax = linesMax;
  }

  /** How many were added since the start. */
  get count(): number {
    return this.#count;
  }

  add(event: TraceEvent): void {
    this.#mixNumber(event.atMs);
    this.#mixText(event.party ?? "");
    this.#mixText(event.label);
    if (this.#linesMax > 0) this.#ring[this.#count % this.#linesMax] = event;
    this.#count += 1;
  }

  /** 16 hexadecimal digits over every time, party and label so far, in order. For comparing, not against forgery. */
  digest(): string {
    return [this.#low, this.#high].map((word) => avalanche(word).toString(16).padStart(8, "0")).join("");
  }

  /** The last lines, oldest first: number, seconds, party, label. */
  lines(): readonly string[] {
    const first = Math.max(0, this.#count - this.#linesMax);
    return Array.from({ length: this.#count - first }, (_, index) => {
      const number = first + index;
      const event = this.#ring[number % this.#linesMax];
      return event === undefined ? "" : formatLine(number, event);
    });
  }

  #mixNumber(value: number): void {
    this.#mix(value | 0);
    this.#mix((value / 2 ** 32) | 0);
  }

  #mixText(text: string): void {
    for (let index = 0; index < text.length; index += 1) this.#mix(text.charCodeAt(index));
    this.#mix(0x1_0000);
  }

  /** One round of MurmurHash3 each, with two multipliers. For a fixed input it is a bijection: a difference stays. */
  #mix(word: number): void {
    const low = Math.imul(this.#low ^ word, 0xcc9e_2d51);
    const high = Math.imul(this.#high ^ word, 0x1b87_3593);
    this.#low = (low << 15) | (low >>> 17);
    this.#high = (high << 13) | (high >>> 19);
  }
}

/** The finalizer of MurmurHash3: every bit of the word has a say in every bit of what comes out. */
export function avalanche(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function formatLine(number: number, event: TraceEvent): string {
  return `${String(number).padStart(7)} ${(event.atMs / 1_000).toFixed(3).padStart(10)}s ${event.party ?? "-"}: ${event.label}`;
}
