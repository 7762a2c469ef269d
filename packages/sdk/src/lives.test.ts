/** When a host goes on as a new incarnation, and when not. Method: incarnations that end as the test says. */
import { DormouseError, type HostStatus, type Incarnation } from "@dormouse/core";
import { expect, test, vi } from "vitest";
import { type Lives, runLives } from "./lives.ts";

const sealed = new DormouseError("sealed", "journal.sealed", "another host has taken over");
const running = { state: "running", isReady: true, reason: undefined } as HostStatus;

interface Life extends Incarnation {
  end(error: DormouseError | undefined): void;
}

function life(sealedBy?: string, isDraining: boolean = false): Life {
  const { promise, resolve } = Promise.withResolvers<DormouseError | undefined>();
  const drain = async (): Promise<void> => resolve(undefined);
  return { ended: promise, end: resolve, drain, status: () => running, sealedBy, isDraining } as unknown as Life;
}

/** Runs these, one after the other; an error is what keeps one from beginning. */
function run(lives: readonly (Life | DormouseError)[], strangers: readonly string[] = []): Promise<Lives> {
  const left = [...lives];
  const begin = async (): Promise<Incarnation> => {
    const next = left.shift();
    if (next instanceof DormouseError) throw next;
    if (next === undefined) throw new Error("no more incarnations than these were to begin");
    return next;
  };
  return runLives({ begin, isStranger: async (incarnation) => strangers.includes(incarnation) });
}

test("one that is sealed begins anew, tells so meanwhile, and drains as what it is then", async () => {
  const [first, second] = [life(), life()];
  const host = await run([first, second]);
  expect(host.status()).toBe(running);
  first.end(sealed);
  await vi.waitFor(() => expect(host.status()).toMatchObject({ isReady: false, state: "starting" }));
  await vi.waitFor(() => expect(host.incarnation).toBe(second));
  expect(host.status()).toBe(running);
  await host.drain();
  await host.ended;
});

test("what keeps the first from beginning is its starter's; a later one is tried again while the world does not answer", async () => {
  const down = new DormouseError("unavailable", "host.gave-up", "the store does not answer");
  await expect(run([down])).rejects.toBe(down);
  const [first, second] = [life(), life()];
  const host = await run([first, down, second]);
  first.end(sealed);
  await vi.waitFor(() => expect(host.incarnation).toBe(second), { timeout: 5_000 });
});

test.for([
  ["a seal", sealed, new DormouseError("invalid", "app.mismatch", "another app")],
  ["nothing else", new DormouseError("internal", "host.failed", "a bug"), undefined],
] as const)("after %s, what no new incarnation mends ends the host", async ([, error, then]) => {
  const first = life();
  const host = await run(then === undefined ? [first] : [first, then]);
  first.end(error);
  await expect(host.ended).rejects.toBe(then ?? error);
});

test("one that is sealed while it drains, as an operator may ask it to, does not begin anew", async () => {
  const first = life(undefined, true);
  const host = await run([first]);
  first.end(sealed);
  await expect(host.ended).resolves.toBeUndefined();
});

test("one that strangers seal twice in a row ends: two clusters use its store", async () => {
  const [first, second] = [life("01STRANGER"), life("01STRANGER")];
  const host = await run([first, second], ["01STRANGER"]);
  first.end(sealed);
  await vi.waitFor(() => expect(host.incarnation).toBe(second));
  second.end(sealed);
  await expect(host.ended).rejects.toMatchObject({ kind: "conflict", code: "store.contested" });
});

test("one that is told to drain while it waits to begin anew begins no more", async () => {
  const first = life();
  const host = await run([first]);
  first.end(sealed);
  await vi.waitFor(() => expect(host.status().isReady).toBe(false));
  await host.drain();
  await host.ended;
});
