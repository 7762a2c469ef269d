/**
 * The house rules that a program can hold: root names, who imports whom, one module per library.
 *
 * Method: reads every source file's import lines; the rules are data, and a failure names the offending pair.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");

/** What may stand at the root, beside dotfiles. LAYOUT: a folder is a role. */
const rootNames = new Set(
  (
    "package.json package-lock.json tsconfig.json README.md CHANGELOG.md CONTRIBUTING.md LICENSE " +
    "packages services deploy bench test docs examples node_modules"
  ).split(" "),
);

/** Who may import which package of ours, by entry. */
const packageImports: Readonly<Record<string, readonly string[]>> = {
  core: [],
  local: ["core/ports"],
  s3: ["core/ports"],
  nats: ["core/ports"],
  client: ["core/protocol", "core/ports"],
  sdk: ["core", "core/ports", "core/protocol", "client", "local", "nats", "s3"],
  cli: ["sdk", "sdk/operate", "client", "core", "core/protocol"],
  testing: ["core", "core/ports", "core/protocol", "local", "client"],
  host: ["sdk", "sdk/operate", "client"],
};

/** The rooms of core, in the order in which they may import each other: a file takes from its own and from earlier ones. */
const rooms = ["agent", "ports", "format", "step", "settings", "observe", "runtime", "host", "index", "protocol"];
/** Pairs within that order that are strangers to each other all the same. */
const strangers: readonly (readonly [string, string])[] = [["format", "ports"]];
/** Types of a later room that an earlier one may name, since values cross there: `import type` only. */
const typeExceptions: readonly (readonly [string, string])[] = [["format", "step"]];

/** The one file that may import each library. */
const libraryFiles: Readonly<Record<string, readonly string[]>> = {
  xstate: ["packages/core/src/step/engine", "packages/core/src/agent/durable.ts"],
  msgpackr: ["packages/core/src/format/codec/msgpack.ts"],
  ulid: ["packages/core/src/runtime/ids.ts"],
  lmdb: ["packages/local/src/"],
  "@aws-sdk/client-s3": ["packages/s3/src/sdk.ts"],
  "@smithy/signature-v4": ["packages/s3/src/client.ts"],
  "@nats-io/transport-node": ["packages/nats/src/"],
  "@nats-io/jetstream": ["packages/nats/src/"],
  "@nats-io/kv": ["packages/nats/src/"],
  undici: ["packages/s3/src/client.ts"],
  pino: ["services/host/src/log"],
  "prom-client": ["services/host/src/metrics.ts"],
};

interface Import {
  readonly file: string;
  readonly from: string;
  readonly isTypeOnly: boolean;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" || entry.name === "dist" ? [] : sourceFiles(path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

function importsOf(path: string): Import[] {
  const file = relative(root, path);
  const text = readFileSync(path, "utf8");
  const pattern = /^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)";/gms;
  return [...text.matchAll(pattern)].map(([, type, from = ""]) => ({ file, from, isTypeOnly: type !== undefined }));
}

function isTest(file: string): boolean {
  return file.endsWith(".test.ts");
}

const published = ["packages", "services"].flatMap((folder) => sourceFiles(join(root, folder)));
const imports = published.flatMap(importsOf);

test("the root holds only what the layout names", () => {
  const found = readdirSync(root).filter((name) => !name.startsWith(".") && !rootNames.has(name));
  expect(found).toEqual([]);
});

test("packages and services import each other only along the layout's arrows, and by their entries", () => {
  const wrong = imports.filter(({ file, from }) => {
    const [, owner = ""] = file.split("/");
    if (!from.startsWith("@dormouse/") || isTest(file)) return false;
    return !(packageImports[owner] ?? []).includes(from.slice("@dormouse/".length));
  });
  expect(wrong.map(({ file, from }) => `${file} -> ${from}`)).toEqual([]);
});

test("relative imports stay within their package", () => {
  const wrong = imports.filter(({ file, from }) => {
    if (!from.startsWith(".")) return false;
    const target = relative(root, resolve(root, dirname(file), from));
    return target.split("/")[1] !== file.split("/")[1];
  });
  expect(wrong.map(({ file, from }) => `${file} -> ${from}`)).toEqual([]);
});

test("a room of core imports only itself and earlier rooms", () => {
  const wrong = imports.filter(({ file, from, isTypeOnly }) => {
    if (!file.startsWith("packages/core/src/") || !from.startsWith(".") || isTest(file)) return false;
    const source = roomOf(file);
    const target = roomOf(relative(root, resolve(root, dirname(file), from)));
    if (source === target) return false;
    if (isTypeOnly && typeExceptions.some(([a, b]) => a === source && b === target)) return false;
    if (strangers.some(([a, b]) => (a === source && b === target) || (b === source && a === target))) return true;
    return rooms.indexOf(target) > rooms.indexOf(source);
  });
  expect(wrong.map(({ file, from }) => `${file} -> ${from}`)).toEqual([]);
});

function roomOf(file: string): string {
  const [, , , first = ""] = file.split("/");
  return first.replace(/\.ts$/, "");
}

test("one module speaks to each library", () => {
  const wrong = imports.filter(({ file, from, isTypeOnly }) => {
    const allowed = libraryFiles[from];
    if (allowed === undefined || isTypeOnly || isTest(file) || file.startsWith("packages/testing/")) return false;
    return !allowed.some((prefix) => file.startsWith(prefix));
  });
  expect(wrong.map(({ file, from }) => `${file} -> ${from}`)).toEqual([]);
});

test("core knows no product, and of Node only what it declares", () => {
  const declared = new Set(["node:crypto", "node:zlib", "node:async_hooks"]);
  const wrong = imports.filter(
    ({ file, from }) =>
      file.startsWith("packages/core/src/") && !isTest(file) && from.startsWith("node:") && !declared.has(from),
  );
  expect(wrong.map(({ file, from }) => `${file} -> ${from}`)).toEqual([]);
});

/** Where a code is not written in the `new DormouseError(…)` itself: calls that name it, and what it is then. */
const codeCalls: readonly (readonly [call: RegExp, code: (name: string) => string])[] = [
  [/new DormouseError\(\s*"[a-z]+",\s*"([^"]+)"/g, (code) => code],
  [/\b(?:corrupt|failure|wrongShape|validate)\([^()]*?"([a-z]+\.[a-z-]+)"/g, (code) => code],
  [/\bcode: "([a-z]+\.[a-z-]+)"/g, (code) => code],
  [/\b(?:tooLarge|notData): "([a-z]+\.[a-z-]+)"/g, (code) => code],
  [/\bcheckName\("([a-z]+)"/g, (what) => `${what}.invalid`],
  [/\brefusal\(\s*"([a-z-]+)"/g, (name) => `machine.${name}`],
  [/\bcheckEventBytes\([^()]*"([a-z]+)"\)/g, (what) => `${what}.too-large`],
];
/** Codes that are computed where an error is made: `codeCalls` finds what they can be, or they are only passed on. */
const computedCodes: readonly string[] = [
  "packages/core/src/agent/address.ts: `${what}.invalid`",
  'packages/core/src/agent/errors.ts: data.code ?? "internal"',
  "packages/core/src/format/codec/data.ts: check.code",
  "packages/core/src/format/codec/header.ts: code",
  "packages/core/src/format/shape.ts: code",
  "packages/core/src/step/check.ts: `machine.${code}`",
  "packages/core/src/step/input.ts: codes.tooLarge",
  "packages/core/src/step/schemas.ts: code",
  "packages/core/src/step/send.ts: `${what}.too-large`",
  "packages/core/src/step/failure.ts: code",
  'packages/local/src/socket.ts: isClosed ? "mailbox.no-ack" : code',
];

const sources = published.map((path) => ({
  file: relative(root, path),
  text: readFileSync(path, "utf8"),
}));
const codeSources = sources.filter(({ file }) => !isTest(file));

test("every error code has its heading in docs/errors.md, and every heading a code", () => {
  const made = codeSources.flatMap(({ text }) =>
    codeCalls.flatMap(([call, codeOf]) => [...text.matchAll(call)].map(([, name = ""]) => codeOf(name))),
  );
  const headings = readFileSync(join(root, "docs/errors.md"), "utf8").matchAll(/^## (.+)$/gm);
  expect([...headings].map(([, code]) => code)).toEqual([...new Set(made)].toSorted());
});

test("docs/errors.md says the kind that each code is made with", () => {
  const sections = readFileSync(join(root, "docs/errors.md"), "utf8").matchAll(/^## (.+)\n`([a-z]+)`/gm);
  const kinds = new Map([...sections].map(([, code = "", kind = ""]) => [code, kind]));
  const wrong = codeSources.flatMap(({ file, text }) =>
    [...text.matchAll(/new DormouseError\(\s*"([a-z]+)",\s*"([^"]+)"/g)]
      .filter(([, kind, code = ""]) => kinds.get(code) !== kind)
      .map(([, kind, code]) => `${file}: ${code} is ${kind}`),
  );
  expect(wrong).toEqual([]);
});

test("docstrings promise no code that docs/errors.md does not have", () => {
  const text = readFileSync(join(root, "docs/errors.md"), "utf8");
  const wrong = codeSources.flatMap((source) =>
    [...source.text.matchAll(/@throws [^@]*?(?=\n *\* *@|\*\/)/g)]
      .flatMap(([promise]) => [...promise.matchAll(/`([a-z]+\.[a-z-]+)`/g)])
      .filter(([, code = ""]) => !text.includes(`\n## ${code}\n`))
      .map(([, code]) => `${source.file}: ${code}`),
  );
  expect(wrong).toEqual([]);
});

test("a code is written where its error is made, or is computed in a way that this file knows", () => {
  const computed = codeSources.flatMap(({ file, text }) =>
    [...text.matchAll(/new DormouseError\(\s*[^,]+,\s*(\S[^,]*),/g)]
      .filter(([, code = ""]) => !code.startsWith('"'))
      .map(([, code]) => `${file}: ${code}`),
  );
  expect([...new Set(computed)].toSorted()).toEqual(computedCodes.toSorted());
});
