/** What a conformance suite is made of: cases as data, so that any test runner can run them. */

/** One promise of a port, put to the test. */
export interface ConformanceCase {
  /** A sentence that begins with the promise's name: "O1: …". */
  readonly name: string;
  /** Opens a fresh driver, checks, closes it; rejects with an AssertionError if the promise is broken. */
  run(): Promise<void>;
}

/** Makes the cases of one suite: each opens its own driver and closes it, whatever happens. */
export function makeCases<Opened extends { readonly close: () => Promise<void> | void }>(
  open: () => Promise<Opened>,
  checks: Readonly<Record<string, (opened: Opened) => Promise<void>>>,
): readonly ConformanceCase[] {
  return Object.entries(checks).map(([name, check]) => ({
    name,
    async run() {
      const opened = await open();
      try {
        await check(opened);
      } finally {
        await opened.close();
      }
    },
  }));
}

/** Bytes that say what they are for. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}
