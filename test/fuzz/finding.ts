/** What a seed of a fuzz found. */
export interface Finding {
  readonly seed: number;
  readonly fuzz: "decoders" | "engine";
  /** One line. */
  readonly what: string;
  /** What made it: bytes, or a machine with its events. */
  readonly detail: string;
}
