/**
 * What a state costs that grows by 2 kB in each of 300 turns, to 600 kB: bytes handed to mailbox and store, bytes on disk,
 * time. Once while the agent stays active, with one settle at the end; once when it sleeps after every turn.
 */
import { randomBytes } from "node:crypto";
import { diary } from "./agents.ts";
import { type BenchHost, bytesOnDisk, inFolder, openBenchHost } from "./bench-host.ts";
import { atMost, type Figure, median, print } from "./figure.ts";

const turns = 300;
const turnBytes = 2_048;
/** Turns around the one that is named: one alone is noise. */
const around = 10;
const agents = 5;

interface Turn {
  readonly bytes: number;
  readonly ms: number;
}

/** Text that does not compress below three quarters. */
function text(): string {
  return randomBytes((turnBytes * 3) / 4).toString("base64");
}

function handed({ toMailbox, toStore }: BenchHost): number {
  return toMailbox.bytes + toStore.bytes;
}

async function turn(host: BenchHost, key: string, sleeps: boolean): Promise<Turn> {
  const bytesBefore = handed(host);
  const begunMs = performance.now();
  await host.client.agent(diary, key).ask({ type: "tell", text: text() });
  if (sleeps) await host.incarnation.passivateAll();
  return { ms: performance.now() - begunMs, bytes: handed(host) - bytesBefore };
}

async function grow(what: string, sleeps: boolean, factorMax: number): Promise<Figure[]> {
  // Who wakes reads its whole state: that grows, whatever a turn writes.
  const timeOf = (figure: Omit<Figure, "goal">): Figure => (sleeps ? figure : atMost(1.5, figure));
  return inFolder(async (folder) => {
    const host = await openBenchHost(folder, [diary]);
    // The first agent warms up; what it costs is not counted.
    for (let n = 0; n < turns; n += 1) await turn(host, "warm-up", sleeps);
    await host.incarnation.settle();
    const runs: Turn[][] = [];
    const diskBefore = bytesOnDisk(folder);
    const mailboxBefore = host.toMailbox.bytes;
    const storeBefore = host.toStore.bytes;
    for (let one = 0; one < agents; one += 1) {
      const run: Turn[] = [];
      for (let n = 0; n < turns; n += 1) run.push(await turn(host, `${one}`, sleeps));
      runs.push(run);
    }
    await host.incarnation.settle();
    const changed = agents * turns * turnBytes;
    const toMailbox = host.toMailbox.bytes - mailboxBefore;
    const toStore = host.toStore.bytes - storeBefore;
    const disk = bytesOnDisk(folder) - diskBefore;
    await host.close();
    const near = (from: number): Turn[] => runs.flatMap((run) => run.slice(from, from + around));
    const early = near(4);
    const late = near(turns - around);
    const ms = (some: readonly Turn[]): number => median(some.map((one) => one.ms));
    const bytes = (some: readonly Turn[]): number => some.reduce((sum, one) => sum + one.bytes, 0) / some.length;
    return [
      { what: `${what}: handed to the mailbox`, value: toMailbox / changed, unit: "× what changed" },
      { what: `${what}: handed to the store`, value: toStore / changed, unit: "× what changed" },
      atMost(factorMax, {
        what: `${what}: handed to both ports`,
        value: (toMailbox + toStore) / changed,
        unit: "× what changed",
      }),
      { what: `${what}: growth on disk`, value: disk / changed, unit: "× what changed" },
      { what: `${what}: one turn, around the 10th`, value: ms(early), unit: "ms" },
      { what: `${what}: one turn, around the 300th`, value: ms(late), unit: "ms" },
      timeOf({ what: `${what}: time of the 300th turn`, value: ms(late) / ms(early), unit: "× the 10th" }),
      atMost(1.5, { what: `${what}: bytes of the 300th turn`, value: bytes(late) / bytes(early), unit: "× the 10th" }),
    ];
  });
}

export async function measure(): Promise<Figure[]> {
  return [...(await grow("stays active", false, 4)), ...(await grow("sleeps after every turn", true, 8))];
}

if (import.meta.main) print(await measure());
