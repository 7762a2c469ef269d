/** Where a line's agents live: what wins, what a folder leaves out, and that help names all there is to give. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { placeOptions, variableOf } from "@dormouse/sdk/operate";
import { afterAll, expect, test } from "vitest";
import { clusterHelp, type Environment, placeFlags, readPlaces } from "./places.ts";

const folder = mkdtempSync(join(tmpdir(), "dormouse-places-"));
afterAll(() => rmSync(folder, { recursive: true }));

const nats = "nats://127.0.0.1:4222";
const cluster: Environment = {
  DORMOUSE_MAILBOX: nats,
  DORMOUSE_STORE: "s3://bucket/prefix",
  DORMOUSE_APP: "shop",
  DORMOUSE_NATS_TOKEN: "hunter2",
};

test.for([
  { what: "nothing is given", flags: {}, environment: {}, places: {} },
  {
    what: "the environment names a cluster",
    flags: {},
    environment: cluster,
    places: { mailbox: nats, store: "s3://bucket/prefix", app: "shop", nats: { token: "hunter2" } },
  },
  {
    what: "the line names others",
    flags: { app: "bank", mailbox: "nats://far:4222", natsPrefix: "other" },
    environment: cluster,
    places: {
      mailbox: "nats://far:4222",
      store: "s3://bucket/prefix",
      app: "bank",
      nats: { token: "hunter2", prefix: "other" },
    },
  },
  {
    what: "the line names a folder",
    flags: { store: "file:./here" },
    environment: cluster,
    places: { store: "file:./here", app: "shop" },
  },
  {
    what: "the environment names a folder, and has credentials for elsewhere",
    flags: {},
    environment: { DORMOUSE_STORE: "file:./there", DORMOUSE_NATS_TOKEN: "hunter2", DORMOUSE_S3_REGION: "x" },
    places: { store: "file:./there" },
  },
  {
    what: "a bucket is named alone",
    flags: { store: "s3://bucket" },
    environment: { DORMOUSE_S3_REGION: "eu-north-1", DORMOUSE_MAILBOX: "" },
    places: { store: "s3://bucket", s3: { region: "eu-north-1" } },
  },
])("where $what", ({ flags, environment, places }) => {
  expect(readPlaces({ placeFlags: flags, environment })).toEqual(places);
});

test("a secret comes from a file that the line names, and never from the line itself", () => {
  const path = join(folder, "token");
  writeFileSync(path, "hunter2\n");
  const given = { mailbox: nats, natsTokenFile: path };
  expect(readPlaces({ placeFlags: given, environment: {} })).toEqual({ mailbox: nats, nats: { token: "hunter2" } });
  const flags = placeFlags.map(([flag]) => flag);
  expect(flags).toContain("nats-token-file");
  expect(flags).not.toContain("nats-token");
});

test("a variable that cannot be right is told by its name", () => {
  const environment = { DORMOUSE_S3_ENDPOINT: "localhost" };
  expect(() => readPlaces({ placeFlags: { mailbox: nats }, environment })).toThrow(
    /^DORMOUSE_S3_ENDPOINT must be a URL/,
  );
});

test("help on clusters names every option and its variable", () => {
  const text = clusterHelp();
  for (const [flag] of placeFlags) expect(text).toContain(`--${flag}  `);
  for (const { name } of placeOptions) expect(text).toContain(variableOf(name));
});
