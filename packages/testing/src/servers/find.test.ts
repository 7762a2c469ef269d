/**
 * Goal: servers are looked for in the order that is promised, and where none is, people hear how to get one.
 * Method: folders with programs that are no servers; no engine answers at the address that is named.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findNats, findS3 } from "./find.ts";
import { missingServers } from "./missing.ts";

vi.mock("./containers.ts", () => ({ whyNoContainers: () => Promise.resolve("none here") }));

describe("with nothing installed", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "dormouse-find-"));
    for (const name of ["DORMOUSE_TEST_NATS", "DORMOUSE_TEST_S3", "CI"]) vi.stubEnv(name, "");
    vi.stubEnv("PATH", join(folder, "path"));
    vi.spyOn(process, "cwd").mockReturnValue(join(folder, "below/here"));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true, force: true });
  });

  function program(path: string, prints: string): string {
    const whole = join(folder, path);
    mkdirSync(join(whole, ".."), { recursive: true });
    writeFileSync(whole, `#!/bin/sh\necho "${prints}"\n`);
    chmodSync(whole, 0o755);
    return whole;
  }

  test("a variable comes before PATH, PATH before .cache/bin, and that is looked for upwards", async () => {
    const cached = program(".cache/bin/nats-server", "nats-server: v2.14.5");
    expect(await findNats()).toEqual({ by: "binary", path: cached });
    const onPath = program("path/nats-server", "nats-server: v2.15.0");
    expect(await findNats()).toEqual({ by: "binary", path: onPath });
    const named = program("named", "");
    vi.stubEnv("DORMOUSE_TEST_NATS", named);
    expect(await findNats()).toEqual({ by: "binary", path: named });
    vi.stubEnv("DORMOUSE_TEST_NATS", "nats://127.0.0.1:4222");
    expect(await findNats()).toEqual({ by: "url", url: "nats://127.0.0.1:4222" });
  });

  test.for(["2.9.10", "2.14.4"])("nats-server %s on PATH is passed over", async (version) => {
    program("path/nats-server", `nats-server: v${version}`);
    expect((await findNats()).by).toBe("nothing");
  });

  test("a variable that names neither a URL nor a program is refused, and not repeated", async () => {
    vi.stubEnv("DORMOUSE_TEST_S3", "ftp://key:secret@host");
    const refused = findS3();
    await expect(refused).rejects.toMatchObject({ kind: "invalid", code: "servers.variable" });
    await expect(refused).rejects.not.toThrow("secret");
  });

  test("what is missing is said once for all, as a reason to skip and on standard error", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    const why = await missingServers(["nats", "s3"]);
    for (const part of [
      "nats-server/v2@v2.14.5",
      "gofakes3@v1.2.0",
      "DORMOUSE_TEST_NATS",
      "DORMOUSE_TEST_S3",
      "none here",
    ]) {
      expect(why).toContain(part);
    }
    expect(warn.mock.calls).toEqual([[expect.stringContaining(`SKIPPED: ${why}`)]]);
    program("path/gofakes3", "");
    expect(await missingServers(["s3"])).toBe(false);
  });

  test("where CI runs, what is missing is an error", async () => {
    vi.stubEnv("CI", "true");
    const missing = missingServers(["nats"]);
    await expect(missing).rejects.toMatchObject({ kind: "unavailable", code: "servers.missing" });
    await expect(missing).rejects.toThrow("DORMOUSE_TEST_NATS");
  });
});
