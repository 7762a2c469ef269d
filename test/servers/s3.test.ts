/**
 * Goal: the S3 driver keeps what the store port promises on a real server, whichever way it is reached.
 * Method: the conformance suite against gofakes3, straight and through a proxy that checks every signature; two
 * clients, as two hosts would be.
 */
import { realClock, realEntropy } from "@dormouse/local";
import { openS3Store, type S3Options } from "@dormouse/s3";
import { objectStoreConformance } from "@dormouse/testing";
import { missingServers, s3Proxy, startS3, type S3Proxy, type S3Server } from "@dormouse/testing/servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const credentials = { accessKeyId: "AKDORMOUSE", secretAccessKey: "a/secret+with/odd=characters" };

function open(options: Pick<S3Options, "url" | "endpoint">): ReturnType<typeof openS3Store> {
  const region = "eu-north-1";
  return openS3Store({ clock: realClock, entropy: realEntropy, credentials, region, forcePathStyle: true, ...options });
}

describe.skipIf(await missingServers(["s3"]))("against a real server", () => {
  let server: S3Server;
  let proxy: S3Proxy;
  beforeAll(async () => {
    server = await startS3();
    const secrets = { [credentials.accessKeyId]: credentials.secretAccessKey };
    proxy = await s3Proxy({ target: server.endpoint, secrets });
  });
  afterAll(async () => {
    await proxy.close();
    await server.close();
  });

  async function newBucket(): Promise<string> {
    return `s3://${await server.newBucket()}`;
  }

  /** Every name of the suite fits a bucket's root; below a prefix the longest does not, as the store has it. */
  const skippedBelowPrefix = "O1: names of 1,024 bytes and names in many scripts are kept";

  const shapes = [
    { shape: "a prefix", prefix: "/of/a~cluster", endpoint: () => server.endpoint },
    { shape: "a bucket, signatures checked", prefix: "", endpoint: () => proxy.endpoint },
  ];
  const cases = shapes.flatMap(({ shape, prefix, endpoint }) => {
    const suite = objectStoreConformance(async () => {
      const where = { url: (await newBucket()) + prefix, endpoint: endpoint() };
      const [store, other] = await Promise.all([open(where), open(where)]);
      return { store, other, close: async () => void (await Promise.all([store.close(), other.close()])) };
    });
    return suite
      .filter(({ name }) => prefix === "" || name !== skippedBelowPrefix)
      .map((one) => [`${shape}: ${one.name}`, one] as const);
  });

  test("the case that a prefix leaves out is a case, and the bucket itself has it", () => {
    expect(cases.map(([name]) => name)).toContain(`a bucket, signatures checked: ${skippedBelowPrefix}`);
  });

  test("every printable character may stand in a name, and is signed as S3 reads it", async () => {
    const store = await open({ url: await newBucket(), endpoint: proxy.endpoint });
    const characters = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
    const names = characters.map((character) => `a${character}b`);
    for (const name of names) await store.put(name, Buffer.from(name), { if: "absent" });
    const read = await Promise.all(names.map((name) => store.get(name)));
    expect(read.map((object) => Buffer.from(object?.bytes ?? []).toString())).toEqual(names);
    expect(await store.list("a")).toEqual(names);
    await store.close();
  });

  test.for(cases)("%s", async ([, one]) => {
    await expect(one.run()).resolves.toBeUndefined();
  });
});
