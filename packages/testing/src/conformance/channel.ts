/** The promises of `Channel`, C1 and C2, as cases for every driver. */
import assert from "node:assert/strict";
import { DormouseError, type Channel } from "@dormouse/core/ports";
import { bytesOf, makeCases, textOf, type ConformanceCase } from "./conformance-case.ts";

export interface OpenedChannel {
  /** The end that asks; it publishes and subscribes too. */
  readonly near: Pick<Channel, "publish" | "subscribe" | "request">;
  /** The end that serves. Another process's, where the driver can show that. */
  readonly far: Channel;
  readonly close: () => Promise<void> | void;
}

const soonMs = 3_000;
const longMs = 30_000;

/** The cases that every channel must pass. */
export function channelConformance(open: () => Promise<OpenedChannel>): readonly ConformanceCase[] {
  return makeCases(open, {
    "C1: what is published arrives in order, each once": async ({ near, far }) => {
      for (const [source, target] of [
        [near, far],
        [far, near],
        [far, far],
      ] as const) {
        const texts = Array.from({ length: 100 }, (_, index) => `m${index}`);
        assert.deepEqual(await exchange(source, target, texts), texts);
      }
    },

    "C1: every subscriber of a subject gets its own copy": async ({ near, far }) => {
      const first = collect(far, "subject", 2);
      const second = collect(far, "subject", 2);
      await ready(near, far, "subject");
      near.publish("subject", bytesOf("a"));
      near.publish("subject", bytesOf("b"));
      assert.deepEqual((await first.texts).slice(0, 2), ["a", "b"]);
      assert.deepEqual((await second.texts).slice(0, 2), ["a", "b"]);
    },

    "C1: a subscriber gets only its subject's": async ({ near, far }) => {
      const seen: (string | undefined)[] = [];
      const stop = far.subscribe("a.b", (bytes) => seen.push(textOf(bytes)));
      await ready(near, far, "a.b");
      seen.length = 0;
      near.publish("a", bytesOf("wrong"));
      near.publish("a.b.c", bytesOf("wrong"));
      near.publish("a.b", bytesOf("right"));
      assert.deepEqual(await exchange(near, far, ["after"]), ["after"]);
      stop();
      assert.deepEqual(
        seen.filter((text) => text !== "?"),
        ["right"],
      );
    },

    "C1: after unsubscribing nothing arrives": async ({ near, far }) => {
      let count = 0;
      const stop = far.subscribe("subject", () => (count += 1));
      await ready(near, far, "subject");
      stop();
      stop();
      const before = count;
      near.publish("subject", bytesOf("late"));
      await exchange(near, far, ["after"]);
      assert.equal(count, before);
    },

    "C1: a publish that nobody subscribes to is no error": async ({ near, far }) => {
      near.publish("nobody", bytesOf("a"));
      far.publish("nobody", bytesOf("a"));
      assert.deepEqual(await exchange(near, far, ["after"]), ["after"]);
    },

    "C1: bytes altered after publish was called do not alter the message": async ({ near, far }) => {
      const seen = collect(far, "subject", 1);
      await ready(near, far, "subject");
      const bytes = bytesOf("one");
      near.publish("subject", bytes);
      bytes.fill(0);
      assert.deepEqual(await seen.texts, ["one"]);
    },

    "C2: a request is answered by whoever serves the subject": async ({ near, far }) => {
      const stop = far.serve("echo", async (bytes) => bytesOf(`${textOf(bytes)}!`));
      await served(near, "echo");
      const answers = await Promise.all(["a", "b", "c"].map((text) => near.request("echo", bytesOf(text), longMs)));
      assert.deepEqual(answers.map(textOf), ["a!", "b!", "c!"]);
      assert.equal(textOf(await far.request("echo", bytesOf("own"), longMs)), "own!");
      stop();
    },

    "C2: a request that nobody serves is refused soon": async ({ near, far }) => {
      for (const end of [near, far]) {
        const started = performance.now();
        await assert.rejects(end.request("nobody", bytesOf("a"), longMs), isError("unavailable", "channel.nobody"));
        assert.ok(performance.now() - started < soonMs);
      }
    },

    "C2: a subject that is served no more is refused": async ({ near, far }) => {
      const stop = far.serve("echo", async (bytes) => bytes);
      await served(near, "echo");
      stop();
      for (;;) {
        const outcome = await near.request("echo", bytesOf("a"), longMs).catch((error: unknown) => error);
        if (outcome instanceof Uint8Array) continue;
        assert.ok(isError("unavailable", "channel.nobody")(outcome));
        return;
      }
    },

    "C2: a handler that throws is unavailable to the caller": async ({ near, far }) => {
      const stop = far.serve("throws", () => Promise.reject(new Error("no")));
      await assert.rejects(near.request("throws", bytesOf("a"), longMs), { kind: "unavailable" });
      stop();
    },

    "C2: a request that is not answered in time is channel.timeout": async ({ near, far }) => {
      const stop = far.serve("silent", (bytes) => {
        const isProbe = textOf(bytes) === "?";
        return isProbe ? Promise.resolve(bytes) : new Promise<Uint8Array>(() => undefined);
      });
      await served(near, "silent");
      await assert.rejects(near.request("silent", bytesOf("a"), 30), isError("timeout", "channel.timeout"));
      stop();
    },
  });
}

/** Publishes `texts` once `target` is known to hear; what it heard. */
async function exchange(
  source: Pick<Channel, "publish">,
  target: Pick<Channel, "subscribe">,
  texts: readonly string[],
): Promise<(string | undefined)[]> {
  const seen = collect(target, "exchange", texts.length);
  await ready(source, target, "exchange");
  for (const text of texts) source.publish("exchange", bytesOf(text));
  return seen.texts;
}

/** The first `count` messages of a subject that are no probes. */
function collect(
  channel: Pick<Channel, "subscribe">,
  subject: string,
  count: number,
): { readonly texts: Promise<(string | undefined)[]> } {
  const { promise, resolve } = Promise.withResolvers<(string | undefined)[]>();
  const seen: (string | undefined)[] = [];
  const stop = channel.subscribe(subject, (bytes) => {
    const text = textOf(bytes);
    if (text === "?") return;
    seen.push(text);
    if (seen.length < count) return;
    stop();
    resolve(seen);
  });
  return { texts: promise };
}

/** A subscription may take a moment to be known: publishes probes until one arrives. */
async function ready(
  source: Pick<Channel, "publish">,
  target: Pick<Channel, "subscribe">,
  subject: string,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const stop = target.subscribe(subject, () => resolve(true));
  for (let isHeard = false; !isHeard;) {
    source.publish(subject, bytesOf("?"));
    isHeard = await Promise.race([promise, soon()]);
  }
  stop();
}

/** So may a server: asks until somebody answers. */
async function served(channel: Pick<Channel, "request">, subject: string): Promise<void> {
  for (;;) {
    const outcome = await channel.request(subject, bytesOf("?"), longMs).catch((error: unknown) => error);
    if (outcome instanceof Uint8Array) return;
    if (!isError("unavailable", "channel.nobody")(outcome)) throw outcome;
    await soon();
  }
}

function soon(): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), 10);
  });
}

function isError(kind: string, code: string): (error: unknown) => boolean {
  return (error) => error instanceof DormouseError && error.kind === kind && error.code === code;
}
