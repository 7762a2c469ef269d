/** What is printed of an app: hosts that are well and that are not, and partitions that nobody owns. Real ones: `test/servers`. */
import type { HostStatus } from "@dormouse/sdk";
import type { AppStatus, HostView, PartitionView } from "@dormouse/sdk/operate";
import { expect, test } from "vitest";
import { rangesText, tell } from "./app-status.ts";
import { makeOutput } from "./output.ts";

const app: AppStatus["app"] = { name: "shop", birth: "01BIRTH", partitions: 8, hash: "fnv1a32", format: 1 };

function host(name: string, changed: Partial<HostStatus> = {}): HostView {
  const status: HostStatus = {
    state: "running",
    incarnation: `01${name.toUpperCase()}`,
    name,
    isReady: true,
    reason: undefined,
    partitions: { owned: 4, wanted: 4, total: 8 },
    agents: 12,
    effects: 3,
    quarantined: 1,
    shelved: 2,
    ...changed,
  };
  return { incarnation: status.incarnation, name, types: ["order@1"], status, error: undefined };
}

const silent: HostView = {
  incarnation: "01MUTE",
  name: "mute",
  types: [],
  status: undefined,
  error: { name: "DormouseError", kind: "timeout", code: "channel.timeout", message: "no answer came in time" },
};

function told(status: Omit<AppStatus, "app">, isJson = false): { stdout: string; stderr: string } {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const output = makeOutput({
    isJson,
    stdout: { write: (text) => stdout.push(text) },
    stderr: { write: (text) => stderr.push(text) },
    isColourWanted: false,
  });
  tell(output, { app, ...status });
  return { stdout: stdout.join(""), stderr: stderr.join("") };
}

const owner = (partition: number): PartitionView => ({ partition: partition as never, state: "owned", owner: "01ADA" });
const orphan = (partition: number): PartitionView => ({
  partition: partition as never,
  state: "orphaned",
  owner: "01GONE",
  member: "suspected",
});

test("hosts stand below each other; what is not well says why", () => {
  const draining = host("bob", { state: "draining", isReady: false, reason: "the host is draining" });
  const behind = host("eve", { isReady: false, reason: "it reads what waited in 2 partitions" });
  const { stdout, stderr } = told({ hosts: [host("ada"), draining, behind, silent], partitions: [owner(0)] });
  expect(stderr).toBe("");
  expect(stdout).toBe(`shop  8 partitions birth 01BIRTH
host  incarnation  state      partitions  agents  effects  set aside  kept
ada   01ADA        ready      4 of 4      12      3        1          2
bob   01BOB        draining   4 of 4      12      3        1          2
      the host is draining
eve   01EVE        not ready  4 of 4      12      3        1          2
      it reads what waited in 2 partitions
mute  01MUTE       no answer
      no answer came in time (channel.timeout)
`);
});

test("partitions of which the same is to be said are told together, and owned ones not at all", () => {
  const error = {
    name: "DormouseError",
    kind: "corrupt",
    code: "partition.shape",
    message: "it cannot be read",
  } as const;
  const partitions: readonly PartitionView[] = [
    owner(0),
    orphan(1),
    orphan(2),
    { partition: 3 as never, state: "free" },
    orphan(5),
    { partition: 6 as never, state: "unreadable", error },
  ];
  const { stdout } = told({ hosts: [], partitions });
  expect(stdout.split("\n").slice(1)).toEqual([
    "partitions 1-2, 5: owned by 01GONE, which has fallen silent",
    "partition 3: nobody owns it",
    "partition 6: it cannot be read (partition.shape)",
    "",
  ]);
  const [, json = ""] = told({ hosts: [], partitions }, true).stdout.split("\n");
  expect(JSON.parse(json)).toEqual({
    kind: "partitions",
    state: "orphaned",
    owner: "01GONE",
    member: "suspected",
    partitions: [1, 2, 5],
  });
});

test("without hosts or without a store a person is told what that means", () => {
  const { stderr } = told({ hosts: [], partitions: undefined });
  expect(stderr).toContain("no host runs");
  expect(stderr).toContain("--store");
});

test("a program gets one line each, also of a host that does not answer", () => {
  const { stdout } = told({ hosts: [host("ada"), silent], partitions: undefined }, true);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  expect(lines).toEqual([
    { kind: "app", name: "shop", birth: "01BIRTH", partitions: 8, hosts: 2 },
    expect.objectContaining({
      kind: "host",
      name: "ada",
      error: null,
      status: expect.objectContaining({ agents: 12 }),
    }),
    expect.objectContaining({ kind: "host", name: "mute", status: null, error: silent.error }),
  ]);
});

test.for([
  [[], ""],
  [[4], "4"],
  [[0, 1, 2, 5, 7, 8], "0-2, 5, 7-8"],
] as const)("%j is %o", ([numbers, text]) => {
  expect(rangesText(numbers)).toBe(text);
});
