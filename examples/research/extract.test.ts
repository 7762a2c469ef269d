/**
 * Extraction from text alone: what is quoted stands in the source at the line that is named, and the same text gives the
 * same report.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { listDocuments, readDocument } from "./documents.ts";
import { crossReference, draftReport, extract, type Extract } from "./extract.ts";

const extracted = (text: string, path = "note.md"): Extract => extract({ path, text, isCut: false });
const reportOn = (about: string, extracts: readonly Extract[]): string =>
  draftReport({ about, extracts, references: crossReference(extracts), leftOut: 0 });
const textsOf = (text: string): string[] => extracted(text).quotes.map((quote) => quote.text);

const dormice = `# The dormouse

Dormice sleep for a long time in **winter**. A dormouse that sleeps
keeps its body as cold as the ground. The weather was fine.

## Food

- A dormouse eats hazel nuts, and the dormice eat berries too.
- Short.

\`\`\`
A dormouse in a code block is a dormouse that nobody may ever quote here.
\`\`\`

| A dormouse in a table | is a dormouse that nobody may ever quote here. |
`;

test("headings, title and lines are those of the document", () => {
  const { title, headings, lines } = extracted(dormice);
  expect(title).toBe("The dormouse");
  expect(headings.map(({ level, text, line }) => [level, text, line])).toEqual([
    [1, "The dormouse", 1],
    [2, "Food", 6],
  ]);
  expect(lines).toBe(15);
});

test("a quote is a whole sentence without its markup, at the line where it begins", () => {
  const quotes = extracted(dormice).quotes.map(({ text, line }) => [line, text]);
  expect(quotes).toContainEqual([3, "Dormice sleep for a long time in winter."]);
  expect(quotes).toContainEqual([3, "A dormouse that sleeps keeps its body as cold as the ground."]);
  expect(quotes).toContainEqual([8, "A dormouse eats hazel nuts, and the dormice eat berries too."]);
});

test("sentences with many of the document's frequent words come first", () => {
  const text =
    "The committee met on Tuesday in the old hall. Agents keep messages, and messages reach agents. " +
    "Every agent has messages of its own to keep.";
  expect(textsOf(text)[0]).toBe("Agents keep messages, and messages reach agents.");
});

test.for([
  { what: "code", text: "```\nThis sentence of seven words is code.\n```" },
  { what: "code between tildes", text: "~~~\n```\nThis sentence of seven words is code.\n~~~" },
  { what: "indented code", text: "    This sentence of seven words is code." },
  { what: "a table", text: "| This sentence of seven words is tabular. |" },
  { what: "HTML", text: "<p>This sentence of seven words is HTML.</p>" },
  { what: "front matter", text: "---\ntitle: This sentence of seven words is data.\n---\n" },
  { what: "nothing", text: "" },
  { what: "a fragment", text: "Too short." },
  { what: "what does not end", text: "A line of many words that leads to a list:" },
])("$what is not quoted", ({ text }) => {
  expect(textsOf(text)).toEqual([]);
});

test("a sentence that stands in a document twice is quoted once", () => {
  expect(textsOf("A mouse is a mouse is a mouse.\n\nA mouse is a mouse is a mouse.")).toHaveLength(1);
});

test("links between documents are found, wherever they stand", () => {
  const text = "See [one](../README.md#top), [two](errors.md), [out](https://example.org/x.md), [top](#here).";
  expect(extracted(text, "docs/guide.md").links).toEqual(["README.md", "docs/errors.md"]);
});

test("terms that only some documents share weigh more than those of all", () => {
  const all = "The runtime keeps agents in a runtime for agents.";
  const { terms } = crossReference([
    extracted(`${all} Seals protect a journal, and a journal is sealed by seals.`, "a.md"),
    extracted(`${all} Seals end a journal, and every journal has its seals.`, "b.md"),
    extracted(`${all} Hazel nuts are what a mouse takes for its hazel winter.`, "c.md"),
  ]);
  const weights = new Map(terms.map(({ form, weight }) => [form, weight]));
  expect(weights.get("journal")).toBeGreaterThan(weights.get("runtime") ?? Infinity);
  expect(weights.has("hazel")).toBe(false);
});

test("documents with common terms or a link are kin, others are not", () => {
  const { kinships } = crossReference([
    extracted("The journal of a host is sealed by another journal.", "a.md"),
    extracted("One host writes one journal, and seals its journal.", "b.md"),
    extracted("Hazel nuts taste best in the deepest of winters. See [a](a.md).", "c.md"),
    extracted("Clouds drifted over mountains while children were singing loudly.", "d.md"),
  ]);
  expect(kinships.map(({ source, target, isLinked }) => [source, target, isLinked])).toEqual([
    ["a.md", "b.md", false],
    ["a.md", "c.md", true],
  ]);
});

test("a report of one document without a sentence is still a report", () => {
  const one = extracted("");
  const report = reportOn("nothing", [one]);
  expect(report).toContain("# What nothing says");
  expect(report).toContain("No sentence to quote.");
});

test("text that looks like markup is shown as it is", () => {
  const one = extracted("The `a < b` of [old] things is a `*` star in this sentence.");
  expect(reportOn("x", [one])).toContain("a \\< b of \\[old\\] things is a \\* star");
});

test("every quote on this repository's own documents begins at the line that is named, and the report repeats", async () => {
  const root = resolve(import.meta.dirname, "../..");
  const { paths } = await listDocuments(root);
  expect(paths[0]).toBe("README.md");
  expect(paths).toContain("CONTRIBUTING.md");
  const compile = async (): Promise<Extract[]> =>
    Promise.all(paths.map(async (path) => extract(await readDocument(root, path))));
  const extracts = await compile();
  for (const { path, quotes, terms } of extracts) {
    const lines = readFileSync(join(root, path), "utf8").split("\n");
    for (const { text, line } of [...quotes, ...terms.map(({ quote }) => quote)]) {
      const [first = ""] = text.split(" ");
      expect(lines[line - 1]?.replaceAll(/[*`_[\]]/g, ""), `${path}:${line}`).toContain(
        first.replaceAll(/[*`_[\]]/g, ""),
      );
    }
  }
  const report = reportOn("dormouse", extracts);
  expect(reportOn("dormouse", await compile())).toBe(report);
});
