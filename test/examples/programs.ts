/** The programs in Markdown pages: each block of TypeScript is a file, and the block of text after it what it prints. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

export interface Program {
  /** By its first line, such as `// cart.ts`, or by its place. */
  readonly file: string;
  readonly text: string;
  /** `undefined` where the page does not say. */
  readonly output: string | undefined;
}

export const root: string = resolve(import.meta.dirname, "../..");

export function programsOf(page: string): Program[] {
  const markdown = readFileSync(resolve(root, page), "utf8");
  return [...markdown.matchAll(/^```ts\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/gms)].map(
    ([, text = "", output], index) => ({
      file: /^\/\/ ([\w-]+\.ts)\n/.exec(text)?.[1] ?? `program-${index}.ts`,
      text,
      output,
    }),
  );
}
