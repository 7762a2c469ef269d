/** What is done to a cluster, one thing at a time: each ends when all that it took is there again. */
import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "@dormouse/testing";
import type { Cluster } from "./cluster.ts";

export interface Fault {
  readonly name: string;
  readonly run: (cluster: Cluster, random: Random) => Promise<void>;
}

const pausedMs = 30_000;
const storeStoppedMs = 20_000;
const storeCutMs = 3_000;

/** Leaves the cluster with one host less. */
export const killHost: Fault = {
  name: "a host is killed",
  run: async (cluster, random) => {
    const host = random.pick(cluster.hosts);
    cluster.remove(host);
    await host.kill();
  },
};

export const addHost: Fault = {
  name: "a host is added",
  run: async (cluster) => void (await cluster.addHost()),
};

const pauseHost: Fault = {
  name: `a host is stopped for ${pausedMs / 1_000} s`,
  run: async (cluster, random) => {
    const host = random.pick(cluster.hosts);
    host.pause();
    try {
      await pause(pausedMs);
    } finally {
      host.resume();
    }
  },
};

/** Down until the others' agents answer again: until those streams have leaders. */
function killNats(index: number): Fault {
  return {
    name: `NATS server ${index + 1} is killed`,
    run: async (cluster) => {
      await cluster.nats.servers[index]?.kill();
      await cluster.well();
      await cluster.nats.servers[index]?.start();
    },
  };
}

/** It answers nobody, and goes on with what it holds. */
const stopStore: Fault = {
  name: `the S3 server is stopped for ${storeStoppedMs / 1_000} s`,
  run: async ({ s3: { pid } }) => {
    if (pid === undefined) throw new Error("the S3 server was not started by the test; unset DORMOUSE_TEST_S3");
    process.kill(pid, "SIGSTOP");
    try {
      await pause(storeStoppedMs);
    } finally {
      process.kill(pid, "SIGCONT");
    }
  },
};

/** What was on its way is stored, and nobody hears of it. */
const cutStore: Fault = {
  name: `the S3 server is cut off for ${storeCutMs / 1_000} s`,
  run: async ({ store }) => {
    await store.cut();
    await pause(storeCutMs);
    await store.mend();
  },
};

/** One after the other, each drained and another started in its place when the rest is well. */
export const rollHosts: Fault = {
  name: "every host is restarted in turn",
  run: async (cluster) => {
    for (const host of cluster.hosts) {
      cluster.remove(host);
      await host.drain();
      await cluster.addHost();
      await cluster.well();
    }
  },
};

/** Each in turn, with all that must follow it. */
export const allFaults: readonly (readonly Fault[])[] = [
  [killHost, addHost],
  [pauseHost],
  [killNats(0)],
  [killNats(1)],
  [killNats(2)],
  [stopStore],
  [cutStore],
  [rollHosts],
];
