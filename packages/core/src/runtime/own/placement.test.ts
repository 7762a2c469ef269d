import { expect, test } from "vitest";
import { isOlder, placedOn } from "./placement.ts";

const hostsOf = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `01J${String(n * 7_919).padStart(23, "0")}`);

function ownersOf(hosts: readonly string[], count: number): (string | undefined)[] {
  const owners = Array.from<string | undefined>({ length: count });
  for (const host of hosts) {
    for (const partition of placedOn(host, hosts, count)) {
      expect(owners[partition]).toBeUndefined();
      owners[partition] = host;
    }
  }
  return owners;
}

test.for([1, 2, 3, 5, 16, 100])("of %i hosts each partition has one, and none much more than its share", (hosts) => {
  for (const count of [1, 8, 32, 64, 1_000]) {
    const owners = ownersOf(hostsOf(hosts), count);
    expect(owners).not.toContain(undefined);
    const most = Math.ceil((count * 1.25) / hosts);
    for (const host of hostsOf(hosts))
      expect(owners.filter((owner) => owner === host).length).toBeLessThanOrEqual(most);
  }
});

test("the order in which hosts are named, and names said twice, change nothing", () => {
  const [a = "", b = "", c = ""] = hostsOf(3);
  expect(placedOn(a, [a, b, c], 64)).toEqual(placedOn(a, [c, a, b, c], 64));
});

test("a host that is not among the living gets nothing", () => {
  expect(placedOn("01GONE", hostsOf(3), 64)).toEqual([]);
});

test("few partitions move between hosts that stay, when one comes or goes", () => {
  for (const count of [32, 64, 256]) {
    for (const hosts of [2, 3, 5, 8]) {
      const before = ownersOf(hostsOf(hosts + 1), count);
      const gone = hostsOf(hosts + 1).at(-1);
      const after = ownersOf(hostsOf(hosts), count);
      const moved = before.filter((owner, partition) => owner !== gone && owner !== after[partition]).length;
      expect(moved / count).toBeLessThan(0.15);
    }
  }
});

test.each([
  [["a@1"], ["a@2"], true],
  [["a@1"], ["a@1", "b@0"], true],
  [["a@2", "b@9"], ["a@10", "b@9"], true],
  [["a@1"], ["a@1"], false],
  [["a@2"], ["a@1"], false],
  // Neither could do without the other.
  [["a@1", "b@1"], ["a@2"], false],
  [["a@1", "b@2"], ["a@2", "b@1"], false],
  // A host that tells nothing runs no agents.
  [[], ["a@1"], true],
])("code with %j is older than code with %j: %s", (its, than, is) => expect(isOlder(its, than)).toBe(is));
