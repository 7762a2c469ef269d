/**
 * Goal: what the README and the guides show is what happens.
 *
 * Method: the programs of a page are written into one folder and run by Node, in order, as a reader would.
 */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { missingServers } from "@dormouse/testing/servers";
import { expect, test } from "vitest";
import { type Program, programsOf, root } from "./programs.ts";
import { scratchFolder } from "./scratch.ts";

const exec = promisify(execFile);
const programMsMax = 30_000;

async function run(folder: string, { file, text }: Program): Promise<string> {
  writeFileSync(join(folder, file), text);
  return runNode([decorator.test(text) ? await lower(file, folder) : file], folder);
}

/** Node runs no decorators as they are. */
const decorator = /^ *@\w+\(/m;

/** Resolves with the file that the compiler made of it. */
async function lower(file: string, folder: string): Promise<string> {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const options = ["--ignoreConfig", "--noCheck", "--target", "es2024", "--module", "nodenext"];
  await exec(process.execPath, [tsc, ...options, file], { cwd: folder });
  return file.replace(/\.ts$/, ".js");
}

async function runNode(line: readonly string[], folder: string): Promise<string> {
  const options = { cwd: folder, timeout: programMsMax, killSignal: "SIGKILL" } as const;
  const { stdout } = await exec(process.execPath, ["--conditions=@dormouse/source", ...line], options);
  return stdout;
}

test("the README's agent counts on from its last run", async () => {
  const [program, ...others] = programsOf("README.md");
  if (program === undefined) throw new Error("the README has no program");
  expect(others).toEqual([]);
  const folder = scratchFolder();
  expect(await run(folder, program)).toBe("1\n");
  expect(await run(folder, program)).toBe("2\n");
});

const guides = readdirSync(join(root, "docs/guides")).filter((name) => name.endsWith(".md"));

test.for(guides)("the programs of docs/guides/%s print what it says", async (name, { skip }) => {
  const programs = programsOf(`docs/guides/${name}`);
  expect(programs).not.toEqual([]);
  const wantServers = programs.some(({ text }) => text.includes("@dormouse/testing/servers"));
  if (wantServers && (await missingServers(["nats", "s3"])) !== false) skip();
  const folder = scratchFolder();
  for (const program of programs) {
    expect({ file: program.file, output: await run(folder, program) }).toEqual({
      file: program.file,
      output: program.output ?? "",
    });
  }
});

test("docs/guides/examples.md shows the examples as they are", () => {
  const folders = ["approval", "chat"].map((name) => join(root, "examples", name));
  for (const { file, text } of programsOf("docs/guides/examples.md")) {
    const path = folders.map((folder) => join(folder, file)).find((one) => existsSync(one)) ?? file;
    expect({ path, text }).toEqual({ path, text: `// ${file}\n${readFileSync(path, "utf8")}` });
  }
});

test("docs/guides/cli.md names every command of dormouse, and no other", async () => {
  const help = await runNode([join(root, "packages/cli/src/main.ts"), "--help"], root);
  const commands = [...help.matchAll(/^ {2}([a-z]+) /gm)].map(([, command]) => command);
  const page = readFileSync(join(root, "docs/guides/cli.md"), "utf8");
  const named = [...page.matchAll(/^\| `dormouse ([a-z]+)/gm)].map(([, command]) => command);
  expect(commands).not.toEqual([]);
  expect(named).toEqual(commands);
});
