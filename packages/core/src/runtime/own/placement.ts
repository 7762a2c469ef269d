/**
 * Which host should own which partition: computed by every host alike from who is alive, so nobody need decide it.
 *
 * Rendezvous hashing with bounded loads: each partition goes to the host that ranks highest for it and has room. So few
 * partitions move when hosts come and go, and none has many more than its share.
 *
 * @see Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998; Mirrokni, Thorup and Zadimoghaddam,
 * "Consistent Hashing with Bounded Loads", 2018.
 */
import type { Partition } from "../../agent/address.ts";

/** How much more than its even share a host may get. Less: more moves; more: less even. */
const loadMost = 1.25;

/** The partitions of `count` that belong to `host`, of all `hosts`; none if it is not among them. */
export function placedOn(host: string, hosts: readonly string[], count: number): readonly Partition[] {
  const names = [...new Set(hosts)].toSorted();
  if (!names.includes(host)) return [];
  const most = Math.ceil((count * loadMost) / names.length);
  const loads = new Map(names.map((name) => [name, 0]));
  const placed: Partition[] = [];
  for (let partition = 0; partition < count; partition += 1) {
    const open = names.filter((name) => (loads.get(name) ?? 0) < most);
    const best = highest(open, partition);
    loads.set(best, (loads.get(best) ?? 0) + 1);
    if (best === host) placed.push(partition as Partition);
  }
  return placed;
}

/**
 * Whether a host runs older code than another: of each agent type the same version or a lower one, or none of it.
 *
 * @param its - `type@version`, as hosts announce them.
 */
export function isOlder(its: readonly string[], than: readonly string[]): boolean {
  const [old, young] = [versionsOf(its), versionsOf(than)];
  const isNoNewer = [...old].every(([type, version]) => version <= (young.get(type) ?? -1));
  return isNoNewer && [...young].some(([type, version]) => version > (old.get(type) ?? -1));
}

function versionsOf(types: readonly string[]): ReadonlyMap<string, number> {
  return new Map(
    types.map((text) => {
      const at = text.lastIndexOf("@");
      return [text.slice(0, at), Number(text.slice(at + 1))];
    }),
  );
}

/** Of equal ranks the first name's: the names are sorted. */
function highest(names: readonly string[], partition: number): string {
  let best = "";
  let rankOfBest = -1;
  for (const name of names) {
    const rank = rankOf(`${name}/${partition}`);
    if (rank > rankOfBest) [best, rankOfBest] = [name, rank];
  }
  return best;
}

/** FNV-1a with 32 bits, and MurmurHash3's last steps: alone, names that differ in their last letters rank alike. */
function rankOf(ascii: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < ascii.length; index += 1) hash = Math.imul(hash ^ ascii.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
