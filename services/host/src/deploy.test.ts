/**
 * The image and the files of `deploy/compose` name what there is: files, and options of the host.
 *
 * Method: reads them as text. No image is built here: that needs a registry.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { variableOf } from "@dormouse/sdk/operate";
import { expect, test } from "vitest";
import { readConfig } from "./config.ts";
import { options } from "./options.ts";

const root = resolve(import.meta.dirname, "../../..");
const compose = join(root, "deploy/compose");
const dockerfile = read("services/host/Dockerfile");

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The lines `NAME=value` of a text. */
function variablesIn(text: string): { [name: string]: string } {
  const pairs = text.matchAll(/^(?:ENV )?([A-Z_0-9]+)=(.*)$/gm);
  return Object.fromEntries([...pairs].map(([, name = "", value = ""]) => [name, value]));
}

test("what the image copies is there, and sent to its build", () => {
  const lines = [...dockerfile.matchAll(/^COPY (?!--from)(.+)$/gm)].map(([, paths = ""]) => paths.split(" "));
  const sources = lines.flatMap((paths) => paths.slice(0, -1));
  expect(sources).not.toEqual([]);
  const sent = read("services/host/Dockerfile.dockerignore").split("\n");
  expect(sources.filter((source) => !existsSync(join(root, source)))).toEqual([]);
  expect(sources.filter((source) => !sent.includes(`!${source}`))).toEqual([]);
});

test("the image has what npm asks of every workspace of the lock file", () => {
  const { packages } = JSON.parse(read("package-lock.json")) as {
    readonly packages: Readonly<Record<string, unknown>>;
  };
  const workspaces = Object.keys(packages).filter((path) => path !== "" && !path.includes("node_modules"));
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = ""]) => paths.split(" "));
  const isCopied = (path: string): boolean =>
    copied.some((source) => `${path}/package.json` === source || path.startsWith(`${source}/`));
  expect(workspaces.length).toBeGreaterThan(5);
  expect(workspaces.filter((path) => !isCopied(path))).toEqual([]);
});

test("the image starts the file that the package names as its command, in a form that signals reach", () => {
  const { bin, files } = JSON.parse(read("services/host/package.json")) as {
    readonly bin: Readonly<Record<string, string>>;
    readonly files: readonly string[];
  };
  const command = join("services/host", bin["dormouse-host"] ?? "");
  expect(existsSync(join(root, command))).toBe(true);
  expect(files).toContain("bin");
  expect(dockerfile).toContain(`ENTRYPOINT ["node", "${command}"]`);
  expect(dockerfile).toMatch(/^USER node$/m);
});

test("the image asks /live where it listens", () => {
  const { healthListen } = readConfig({ line: [], environment: variablesIn(dockerfile) });
  expect(dockerfile).toMatch(new RegExp(`^HEALTHCHECK .*http://127\\.0\\.0\\.1:${healthListen.port}/live`, "m"));
  expect(dockerfile).toContain(`EXPOSE ${healthListen.port}\n`);
});

test("what compose mounts, builds and reads is there", () => {
  const text = readFileSync(join(compose, "compose.yaml"), "utf8");
  const mounts = [...text.matchAll(/"(\.{1,2}\/[^:"]+):\/[^"]*"/g)].map(([, path = ""]) => path);
  const [, context = "", file = ""] = /context: (\S+), dockerfile: (\S+) /.exec(text) ?? [];
  const environments = [...text.matchAll(/env_file: (\S+)/g)].map(([, path = ""]) => path);
  expect(mounts.length).toBeGreaterThanOrEqual(5);
  const named = [...mounts, join(context, file), ...environments];
  expect(named.filter((path) => !existsSync(join(compose, path)))).toEqual([]);
});

test("a host of compose can read its configuration, and nothing in it is unknown", () => {
  const environment = { ...variablesIn(dockerfile), ...variablesIn(read("deploy/compose/host.env")) };
  const { warnings, start } = readConfig({ line: [], environment });
  expect(warnings).toEqual([]);
  expect(start).toMatchObject({
    store: expect.stringMatching(/^s3:/) as string,
    mailbox: expect.stringMatching(/^nats:/) as string,
  });
});

test("the key of compose's hosts is the one that its store knows", () => {
  const { DORMOUSE_S3_ACCESS_KEY_ID, DORMOUSE_S3_SECRET_ACCESS_KEY } = variablesIn(read("deploy/compose/host.env"));
  const key = { accessKey: DORMOUSE_S3_ACCESS_KEY_ID, secretKey: DORMOUSE_S3_SECRET_ACCESS_KEY };
  expect(JSON.parse(read("deploy/compose/s3.json"))).toMatchObject({ identities: [{ credentials: [key] }] });
});

test("every variable of ours that deploy's files and the host's guides name is an option", () => {
  const known = new Set(options.flatMap(({ name }) => [variableOf(name), variableOf(`${name}File`)]));
  const pages = [
    ...readdirSync(join(root, "deploy"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8")),
    read("docs/guides/hosts.md"),
    read("docs/guides/operating.md"),
  ];
  const named = pages.flatMap((page) => [...page.matchAll(/\bDORMOUSE_[A-Z0-9_]*[A-Z0-9]/g)].map(([name]) => name));
  expect(named.filter((name) => name !== "DORMOUSE_CONFIG" && !known.has(name))).toEqual([]);
});
