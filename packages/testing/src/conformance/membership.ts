/** The promises of `Membership`, N1 to N3, as cases for every driver. */
import assert from "node:assert/strict";
import type { Member, Membership } from "@dormouse/core/ports";
import { makeCases, type ConformanceCase } from "./conformance-case.ts";

export interface OpenedMembership {
  readonly membership: Membership;
  /** The same membership as another host sees it, where the driver has more than one. Default: `membership`. */
  readonly other?: Membership;
  readonly close: () => Promise<void> | void;
}

/** The cases that every membership must pass. */
export function membershipConformance(open: () => Promise<OpenedMembership>): readonly ConformanceCase[] {
  return makeCases(open, {
    "N1: an announced incarnation is alive for every watcher": async ({ membership, other = membership }) => {
      await membership.announce(member("01A"));
      assert.equal(await membership.stateOf("01A"), "alive");
      await becomes(other, async () => (await other.stateOf("01A")) === "alive");
      assert.deepEqual(await namesOf(other), ["01A"]);
    },

    "N1: one that left is dead for every watcher, and no more among the living": async ({
      membership,
      other = membership,
    }) => {
      await membership.announce(member("01A"));
      await membership.announce(member("01B"));
      await membership.leave("01A");
      await becomes(other, async () => (await other.stateOf("01A")) === "dead");
      await becomes(other, async () => (await namesOf(other)).join() === "01B");
      assert.equal(await other.stateOf("01B"), "alive");
    },

    "N1: a watcher is told of one that comes and of one that leaves, until it stops": async ({
      membership,
      other = membership,
    }) => {
      let notices = 0;
      const stop = other.watch(() => (notices += 1));
      await membership.announce(member("01A"));
      await becomes(other, () => Promise.resolve(notices > 0));
      const before = notices;
      await membership.leave("01A");
      await becomes(other, () => Promise.resolve(notices > before));
      stop();
      stop();
    },

    "N1: what one tells of itself is told to every watcher, and the newest of it when it says something else": async ({
      membership,
      other = membership,
    }) => {
      const told = async (): Promise<string> => text.decode((await other.alive())[0]?.facts);
      await membership.announce({ incarnation: "01A", facts: bytes.encode("one") });
      await becomes(other, async () => (await told()) === "one");
      await membership.announce({ incarnation: "01A", facts: bytes.encode("two") });
      await becomes(other, async () => (await told()) === "two");
      assert.deepEqual(await namesOf(other), ["01A"]);
    },

    "N2: one that is silent but has not left is not called dead": async ({ membership, other = membership }) => {
      await membership.announce(member("01A"));
      await membership.announce(member("01B"));
      await membership.leave("01B");
      await becomes(other, async () => (await other.stateOf("01B")) === "dead");
      assert.notEqual(await other.stateOf("01A"), "dead");
    },

    "N3: one that was never announced is unknown": async ({ membership }) => {
      assert.equal(await membership.stateOf("01NEVER"), "unknown");
      assert.deepEqual(await membership.alive(), []);
    },
  });
}

const bytes = new TextEncoder();
const text = new TextDecoder();

function member(incarnation: string): Member {
  return { incarnation, facts: new Uint8Array(0) };
}

async function namesOf(membership: Membership): Promise<readonly string[]> {
  return (await membership.alive()).map(({ incarnation }) => incarnation).toSorted();
}

/** Waits for notices until `condition` holds, asking again now and then; the runner's time-out ends it otherwise. */
async function becomes(membership: Membership, condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(finish, 20);
      const stop = membership.watch(finish);
      function finish(): void {
        clearTimeout(timer);
        resolve();
        queueMicrotask(() => stop());
      }
    });
  }
}
