/**
 * Goal: every example in a docstring, README or guide compiles against the packages as they are.
 *
 * Method: each becomes a module of one scratch project. The names that an example in a docstring uses without declaring
 * them are imported: exports of our entries and of XState, and the props of `stage.ts`.
 */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import * as client from "@dormouse/client";
import * as core from "@dormouse/core";
import * as local from "@dormouse/local";
import * as sdk from "@dormouse/sdk";
import * as operate from "@dormouse/sdk/operate";
import * as testing from "@dormouse/testing";
import * as servers from "@dormouse/testing/servers";
import { expect, test } from "vitest";
import * as xstate from "xstate";
import { programsOf, root } from "./programs.ts";
import { scratchFolder } from "./scratch.ts";
import * as stage from "./stage.ts";

const exec = promisify(execFile);
const packages = ["sdk", "client", "core", "local", "testing"];
const pages = ["README.md", ...readdirSync(join(root, "docs/guides")).map((name) => `docs/guides/${name}`)];

/** The entry or module that each name comes from; of two with the same name, the first. */
const origins = [
  ["@dormouse/sdk", sdk],
  ["@dormouse/sdk/operate", operate],
  ["@dormouse/client", client],
  ["@dormouse/core", core],
  ["@dormouse/local", local],
  ["@dormouse/testing", testing],
  ["@dormouse/testing/servers", servers],
  ["xstate", xstate],
] as const;
/** `stage.ts` declares some of its props, so that they have no value: their names are read from its text. */
const stageText = readFileSync(join(import.meta.dirname, "stage.ts"), "utf8");
const stageNames = [...stageText.matchAll(/^export (?:declare )?const (\w+)/gm)].map(([, name = ""]) => name);

/** Pieces of a machine's config, by their first word: what stands around them. */
const frames: { readonly [key: string]: readonly [before: string, after: string] } = {
  on: ["stage.createMachine({ context, ", " });"],
  onDone: ['stage.createMachine({ context, invoke: { src: "write", ', " } });"],
  actions: ["stage.createMachine({ context, on: { transfer: { ", " } } });"],
};

interface Example {
  /** Where it stands. */
  readonly at: string;
  readonly text: string;
}

function docstringExamples(): Example[] {
  return packages.flatMap((name) => {
    const folder = join(root, "packages", name, "src");
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
      (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
    );
    return files.toSorted().flatMap((file) => {
      const text = readFileSync(join(folder, file), "utf8");
      return [...text.matchAll(/^ *\* @example\n *\* ```ts\n((?: *\*.*\n)*?) *\* ```\n/gm)].map((match) => ({
        at: `packages/${name}/src/${file}:${text.slice(0, match.index).split("\n").length}`,
        text: (match[1] ?? "").replaceAll(/^ *\* ?/gm, ""),
      }));
    });
  });
}

function moduleOf({ text }: Example): string {
  const frame = frames[/^(\w+):/.exec(text)?.[1] ?? ""];
  const whole = frame === undefined ? text : `${frame[0]}${text.trimEnd()}${frame[1]}\n`;
  const wanted = new Set([...whole.matchAll(/(?<![.\w"])[A-Za-z]\w*(?!\w|: )/g)].map(([name]) => name));
  for (const [, declared = ""] of whole.matchAll(/\b(?:const|let|using|function|class) (\w+)/g))
    wanted.delete(declared);
  const imports: string[] = [];
  const take = (from: string, names: readonly string[]): void => {
    const found = names.filter((name) => wanted.delete(name));
    if (found.length > 0) imports.push(`import { ${found.join(", ")} } from "${from}";\n`);
  };
  take("./stage.ts", stageNames);
  for (const [from, exported] of origins) take(from, Object.keys(exported));
  return `${imports.join("")}${whole}export {};\n`;
}

/** What the compiler finds wrong with the modules of `folder`, by module. */
async function compile(folder: string): Promise<string[]> {
  const options = {
    noEmit: true,
    types: ["node"],
    lib: ["es2024", "esnext.disposable", "esnext.array"],
    composite: false,
    declarationMap: false,
    isolatedDeclarations: false,
    rewriteRelativeImportExtensions: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
  };
  const project = {
    extends: relative(folder, join(root, "tsconfig.json")),
    compilerOptions: options,
    include: ["**/*.ts"],
    references: [],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(project));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const failed = await exec(process.execPath, [tsc, "-p", folder, "--pretty", "false"], { cwd: folder }).then(
    () => "",
    (error: unknown) => String((error as { stdout?: unknown }).stdout),
  );
  // What our own sources have wrong is for the build to say.
  return failed.split("\n").filter((line) => line !== "" && !line.startsWith("..") && !line.startsWith(" "));
}

test("every example compiles", async () => {
  const examples = docstringExamples();
  expect(examples.length).toBeGreaterThan(10);
  const folder = scratchFolder();
  writeFileSync(join(folder, "stage.ts"), stageText);
  examples.forEach((example, index) => writeFileSync(join(folder, `example-${index}.ts`), moduleOf(example)));
  for (const page of pages) {
    mkdirSync(join(folder, page), { recursive: true });
    for (const { file, text } of programsOf(page)) writeFileSync(join(folder, page, file), text);
  }
  const wrong = (await compile(folder)).map((line) =>
    line.replace(/^example-(\d+)\.ts/, (file, index: string) => `${examples[Number(index)]?.at} ${file}`),
  );
  expect(wrong).toEqual([]);
});

test("every prop of the stage is used", () => {
  const all = docstringExamples().map(moduleOf).join("");
  expect(Object.keys(stage).filter((name) => !all.includes(name))).toEqual([]);
});
