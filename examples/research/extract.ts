/**
 * Extractive text work: what a document says, in its own sentences, and what documents share.
 *
 * Nothing is made up: every sentence of a report is a quote with its file and line, without the markup. The same text
 * gives the same report. Code blocks, tables and HTML are left out; the list of stop words is English.
 *
 * @see H. P. Luhn, "The Automatic Creation of Literature Abstracts", IBM Journal 2(2), 1958: sentences are chosen by how
 * densely a document's frequent words stand in them.
 * @see K. Spärck Jones, "A statistical interpretation of term specificity", Journal of Documentation 28(1), 1972: a term
 * that few documents use tells more.
 */
import { posix } from "node:path";

/** A document as it was read. */
export interface SourceDocument {
  /** Relative to the folder, with `/`. */
  readonly path: string;
  readonly text: string;
  /** Whether the file was longer than what was read. */
  readonly isCut: boolean;
}

interface Quote {
  readonly text: string;
  /** Where it begins, from 1. */
  readonly line: number;
}

interface Heading extends Quote {
  readonly level: number;
}

/** A word that a document uses, as it is written there most often. */
interface Term {
  /** The word in the singular and in lower case: what it is compared by. */
  readonly stem: string;
  readonly form: string;
  readonly count: number;
  /** The sentence that says most about it. */
  readonly quote: Quote;
}

export interface Extract {
  readonly path: string;
  readonly title: string;
  readonly lines: number;
  readonly words: number;
  readonly isCut: boolean;
  readonly headings: readonly Heading[];
  /** The document's most telling sentences, best first. */
  readonly quotes: readonly (Quote & { readonly score: number })[];
  readonly terms: readonly Term[];
  /** Paths within the folder that it links to. */
  readonly links: readonly string[];
}

/** A term that several documents use. */
interface SharedTerm {
  readonly form: string;
  readonly weight: number;
  readonly mentions: readonly (Quote & { readonly path: string; readonly count: number })[];
}

/** Two documents that speak of the same. */
interface Kinship {
  readonly source: string;
  readonly target: string;
  /** The cosine of their weighted terms, 0 to 1. */
  readonly likeness: number;
  readonly forms: readonly string[];
  readonly isLinked: boolean;
}

export interface CrossReferences {
  readonly terms: readonly SharedTerm[];
  readonly kinships: readonly Kinship[];
}

const quotesMax = 4;
const termsMax = 40;
const headingsMax = 60;
const significantMax = 60;
const sharedTermsMax = 6;
const mentionsMax = 4;
const kinshipsMax = 8;
const wordsMin = 6;
const wordsMax = 45;
/** Luhn's: how many insignificant words may stand between two significant ones of a cluster. */
const gapMax = 4;

/** What one document says. */
export function extract({ path, text, isCut }: SourceDocument): Extract {
  const { headings, sentences, lines } = parse(text);
  const usage = countTerms(sentences);
  const significant = significantStems(usage);
  const scored = sentences
    .map((sentence) => ({ sentence, score: luhnScore(sentence.words, significant) }))
    .toSorted((a, b) => b.score - a.score || a.sentence.line - b.sentence.line);
  const quotable = unique(
    scored.filter(({ sentence }) => isQuotable(sentence)),
    ({ sentence }) => sentence.text,
  );
  const terms = [...usage.values()].flatMap(({ stem, count, forms }) => {
    const best = quotable.find(({ sentence }) => sentence.words.some((word) => word.stem === stem));
    return best === undefined ? [] : [{ stem, form: commonest(forms), count, quote: quoteOf(best.sentence) }];
  });
  return {
    path,
    title: headings[0]?.text ?? posix.basename(path),
    lines,
    words: sentences.reduce((sum, { words }) => sum + words.length, 0),
    isCut,
    headings: headings.slice(0, headingsMax),
    quotes: quotable.slice(0, quotesMax).map(({ sentence, score }) => ({ ...quoteOf(sentence), score: round(score) })),
    terms: terms.toSorted((a, b) => b.count - a.count || compare(a.stem, b.stem)).slice(0, termsMax),
    links: linksOf(path, text),
  };
}

/** What several documents share. */
export function crossReference(extracts: readonly Extract[]): CrossReferences {
  const users = Map.groupBy(
    extracts.flatMap((one) => one.terms.map((term) => ({ path: one.path, term, share: term.count / one.words }))),
    ({ term }) => term.stem,
  );
  const specificity = (stem: string): number => Math.log(1 + extracts.length / (users.get(stem)?.length ?? 1));
  const terms = [...users]
    .filter(([, mentions]) => mentions.length > 1)
    .map(([stem, mentions]) => ({
      form: mentions[0]?.term.form ?? stem,
      weight: round(
        1_000 * specificity(stem) * (mentions.reduce((sum, { share }) => sum + share, 0) / mentions.length),
      ),
      mentions: mentions
        .toSorted((a, b) => b.share - a.share || compare(a.path, b.path))
        .slice(0, mentionsMax)
        .map(({ path, term }) => ({ path, count: term.count, ...term.quote })),
    }))
    .toSorted((a, b) => b.weight - a.weight || compare(a.form, b.form))
    .slice(0, sharedTermsMax);
  const kinships = extracts
    .flatMap((source, index) => extracts.slice(index + 1).map((target) => kinshipOf(source, target, specificity)))
    .filter(({ likeness, isLinked }) => likeness > 0 || isLinked)
    .toSorted((a, b) => b.likeness - a.likeness || compare(a.source, b.source) || compare(a.target, b.target))
    .slice(0, kinshipsMax);
  return { terms, kinships };
}

/** What a report is made of. */
export interface Findings {
  /** The folder's name. */
  readonly about: string;
  readonly extracts: readonly Extract[];
  readonly references: CrossReferences;
  /** How many documents of the folder were not read. */
  readonly leftOut: number;
}

/** The report, as Markdown. */
export function draftReport({ about, extracts, references, leftOut }: Findings): string {
  const words = extracts.reduce((sum, one) => sum + one.words, 0);
  const documents = extracts.length === 1 ? "1 document" : `${extracts.length} documents`;
  const others = leftOut === 0 ? "" : ` The folder has ${leftOut} more, which were not read.`;
  return [
    `# What ${escape(about)} says`,
    `A report on ${documents} of ${words} words. Every sentence below is a quote; its file and line stand behind it.${others}`,
    "## In short",
    ...inShort(extracts).map(({ path, ...quote }) => quoteLine(path, quote)),
    "## Document by document",
    ...extracts.flatMap(documentSection),
    "## What they share",
    ...(references.terms.length === 0 ? ["No term stands out in more than one of them."] : []),
    ...references.terms.flatMap(({ form, mentions }) => [
      `### ${escape(form)}`,
      ...mentions.map(({ path, ...quote }) => quoteLine(path, quote)),
    ]),
    "## Which speak of the same",
    kinshipTable(references.kinships),
    "## How this was made",
    "Sentences are chosen by the density of a document's frequent words (Luhn 1958), shared terms by how few documents " +
      "use them (Spärck Jones 1972). No model and no network took part; the same documents give the same report.",
    "",
  ].join("\n\n");
}

// ---------------------------------------------------------------------------------------------------------- from Markdown

interface Word {
  readonly stem: string;
  readonly form: string;
  readonly isTerm: boolean;
}

interface Sentence extends Quote {
  readonly words: readonly Word[];
}

interface Parsed {
  readonly headings: readonly Heading[];
  readonly sentences: readonly Sentence[];
  readonly lines: number;
}

const sentenceSegmenter = new Intl.Segmenter("en", { granularity: "sentence" });
const wordSegmenter = new Intl.Segmenter("en", { granularity: "word" });

/** Headings and sentences with their lines; what is no prose is left out. */
function parse(text: string): Parsed {
  const lines = text.split(/\r\n|\n|\r/);
  const headings: Heading[] = [];
  const blocks: Quote[][] = [];
  let block: Quote[] = [];
  let fence: string | undefined;
  const endBlock = (): void => {
    if (block.length > 0) blocks.push(block);
    block = [];
  };
  for (let index = frontMatterEnd(lines); index < lines.length; index += 1) {
    const raw = (lines[index] ?? "").replace(/^\s*(?:>\s?)+/, "");
    const line = index + 1;
    const mark = /^\s*(`{3,}|~{3,})/.exec(raw)?.[1];
    if (mark !== undefined && (fence === undefined || mark.startsWith(fence))) {
      endBlock();
      fence = fence === undefined ? mark : undefined;
      continue;
    }
    if (fence !== undefined) continue;
    const [, hashes, title] = /^\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$/.exec(raw) ?? [];
    const [underlined] = block;
    if (hashes !== undefined && title !== undefined) {
      endBlock();
      headings.push({ level: hashes.length, text: plain(title), line });
    } else if (/^\s{0,3}(?:=+|-+)\s*$/.test(raw) && block.length === 1 && underlined !== undefined) {
      headings.push({ level: raw.includes("=") ? 1 : 2, ...underlined });
      block = [];
    } else if (isNoProse(raw, block.length === 0)) {
      endBlock();
    } else {
      const [, item] = /^\s*(?:[-*+]|\d+[.)])\s+(.*)$/.exec(raw) ?? [];
      if (item !== undefined) endBlock();
      block.push({ text: plain(item ?? raw), line });
    }
  }
  endBlock();
  return { headings, sentences: blocks.flatMap(sentencesOf), lines: lines.length - (lines.at(-1) === "" ? 1 : 0) };
}

function frontMatterEnd(lines: readonly string[]): number {
  if (lines[0] !== "---") return 0;
  const end = lines.indexOf("---", 1);
  return end < 0 ? 0 : end + 1;
}

function isNoProse(line: string, isBlockStart: boolean): boolean {
  if (line.trim() === "" || /^\s*(?:\||<)/.test(line)) return true;
  if (/^\s{0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$/.test(line)) return true;
  return isBlockStart && /^(?: {4}|\t)(?!\s*(?:[-*+]|\d+[.)])\s)/.test(line);
}

/** The text of one line without its markup. */
function plain(markdown: string): string {
  const parts = markdown.split(/(`[^`]+`)/);
  const text = parts.map((part, index) => (index % 2 === 1 ? part.slice(1, -1) : withoutMarks(part))).join("");
  return text.replaceAll(/\s+/g, " ").trim();
}

function withoutMarks(text: string): string {
  return text
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/!?\[([^\]]+)\]\[[^\]]*\]/g, "$1")
    .replaceAll(/<(https?:[^>\s]+)>/g, "$1")
    .replaceAll(/\*\*|__/g, "")
    .replaceAll(/(^|[\s(])[*_]([^\s*_][^*_]*)[*_](?=$|[\s.,;:!?)])/g, "$1$2");
}

/** The sentences of a paragraph that may run over several lines. */
function sentencesOf(block: readonly Quote[]): Sentence[] {
  const starts: number[] = [];
  let text = "";
  for (const { text: part } of block) {
    starts.push(text.length);
    text += `${part} `;
  }
  return [...sentenceSegmenter.segment(text)].map(({ segment, index }) => {
    const row = starts.findLastIndex((start) => start <= index);
    return { text: segment.trim(), line: block[row]?.line ?? 1, words: wordsOf(segment) };
  });
}

function wordsOf(text: string): Word[] {
  return [...wordSegmenter.segment(text)]
    .filter(({ isWordLike }) => isWordLike === true)
    .map(({ segment }) => {
      const form = segment.normalize("NFC").toLowerCase();
      const isTerm =
        /\p{L}/u.test(form) && (form.length > 2 || /[^\p{Script=Latin}]/u.test(form)) && !stopWords.has(form);
      return { form, stem: stemOf(form), isTerm };
    });
}

/** Enough that a word and its plural are one. */
function stemOf(word: string): string {
  if (word.length < 4 || !word.endsWith("s") || /(?:ss|us|is|as|os)$/.test(word)) return word;
  return word.endsWith("ies") && word.length > 4 ? `${word.slice(0, -3)}y` : word.slice(0, -1);
}

function linksOf(path: string, text: string): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s#?]+)[^)]*\)/g)].flatMap(([, target]) =>
    target === undefined || /^(?:[a-z][a-z0-9+.-]*:|\/)/i.test(target) ? [] : [decodeLink(target)],
  );
  return [...new Set(targets.map((target) => posix.join(posix.dirname(path), target)))].toSorted(compare);
}

function decodeLink(target: string): string {
  try {
    return decodeURIComponent(target);
  } catch {
    return target;
  }
}

// -------------------------------------------------------------------------------------------------------------- measures

interface Usage {
  readonly stem: string;
  count: number;
  readonly forms: Map<string, number>;
}

function countTerms(sentences: readonly Sentence[]): Map<string, Usage> {
  const usage = new Map<string, Usage>();
  for (const { stem, form, isTerm } of sentences.flatMap(({ words }) => words)) {
    if (!isTerm) continue;
    const one = usage.get(stem) ?? { stem, count: 0, forms: new Map<string, number>() };
    one.count += 1;
    one.forms.set(form, (one.forms.get(form) ?? 0) + 1);
    usage.set(stem, one);
  }
  return usage;
}

/** The words a document repeats; all of them, if it is too short to repeat any. */
function significantStems(usage: ReadonlyMap<string, Usage>): ReadonlySet<string> {
  const all = [...usage.values()].toSorted((a, b) => b.count - a.count || compare(a.stem, b.stem));
  const repeated = all.filter(({ count }) => count > 1);
  return new Set((repeated.length > 0 ? repeated : all).slice(0, significantMax).map(({ stem }) => stem));
}

/** The best cluster of a sentence: significant words in it, squared, over its length. */
function luhnScore(words: readonly Word[], significant: ReadonlySet<string>): number {
  let best = 0;
  let start = 0;
  let count = 0;
  let last = -1;
  for (const [position, { stem, isTerm }] of words.entries()) {
    if (!isTerm || !significant.has(stem)) continue;
    if (count === 0 || position - last - 1 > gapMax) {
      start = position;
      count = 0;
    }
    count += 1;
    last = position;
    best = Math.max(best, count ** 2 / (position - start + 1));
  }
  return best;
}

function isQuotable({ text, words }: Sentence): boolean {
  return words.length >= wordsMin && words.length <= wordsMax && /[.!?…。！？]["'”’)]?$/u.test(text);
}

function kinshipOf(source: Extract, target: Extract, specificity: (stem: string) => number): Kinship {
  const weights = (one: Extract): Map<string, number> =>
    new Map(one.terms.map(({ stem, count }) => [stem, count * specificity(stem)]));
  const [a, b] = [weights(source), weights(target)];
  const products = source.terms
    .map(({ stem, form }) => ({ form, product: (a.get(stem) ?? 0) * (b.get(stem) ?? 0) }))
    .filter(({ product }) => product > 0)
    .toSorted((one, other) => other.product - one.product || compare(one.form, other.form));
  const lengths = Math.hypot(...a.values()) * Math.hypot(...b.values());
  return {
    source: source.path,
    target: target.path,
    likeness: lengths === 0 ? 0 : round(products.reduce((sum, { product }) => sum + product, 0) / lengths),
    forms: products.slice(0, 5).map(({ form }) => form),
    isLinked: source.links.includes(target.path) || target.links.includes(source.path),
  };
}

function commonest(forms: ReadonlyMap<string, number>): string {
  const [first] = [...forms].toSorted(([a, m], [b, n]) => n - m || compare(a, b));
  return first?.[0] ?? "";
}

function quoteOf({ text, line }: Sentence): Quote {
  return { text, line };
}

function unique<T>(values: readonly T[], keyOf: (value: T) => string): T[] {
  const seen = new Set<string>();
  return values.filter((value) => !seen.has(keyOf(value)) && seen.add(keyOf(value)));
}

/** By code units: the same on every machine, whatever its language. */
function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

// ------------------------------------------------------------------------------------------------------------ to Markdown

/** The best sentence of each document, of the best five. */
function inShort(extracts: readonly Extract[]): (Quote & { readonly path: string })[] {
  const best = extracts.flatMap(({ path, quotes: [first] }) => (first === undefined ? [] : [{ path, ...first }]));
  const kept = new Set(best.toSorted((a, b) => b.score - a.score || compare(a.path, b.path)).slice(0, 5));
  return best.filter((quote) => kept.has(quote)).map(({ path, text, line }) => ({ path, text, line }));
}

function documentSection(one: Extract): string[] {
  const sections = one.headings.slice(1, 9).map(({ text }) => escape(text));
  const cut = one.isCut ? " It is longer than what was read of it." : "";
  return [
    `### ${escape(one.title)}`,
    `\`${one.path}\`: ${one.lines} lines, ${one.words} words.${cut}`,
    ...(sections.length === 0 ? [] : [`Sections: ${sections.join(" · ")}`]),
    ...(one.quotes.length === 0 ? ["No sentence to quote."] : []),
    ...one.quotes.toSorted((a, b) => a.line - b.line).map((quote) => quoteLine(one.path, quote)),
  ];
}

function quoteLine(path: string, { text, line }: Quote): string {
  return `> ${escape(text)} (\`${path}:${line}\`)`;
}

function kinshipTable(kinships: readonly Kinship[]): string {
  if (kinships.length === 0) return "None.";
  const rows = kinships.map(
    ({ source, target, likeness, forms, isLinked }) =>
      `| \`${source}\` | \`${target}\` | ${likeness} | ${forms.map(escape).join(", ")} | ${isLinked ? "yes" : "no"} |`,
  );
  return ["| document | document | likeness | in common | linked |", "|---|---|---|---|---|", ...rows].join("\n");
}

/** Text that Markdown shows as it is. */
function escape(text: string): string {
  return text.replaceAll(/[\\`*<|[\]]/g, "\\$&").replace(/^([#>+-])/, "\\$1");
}

const stopWords: ReadonlySet<string> = new Set(
  (
    "about above after again against all almost alone along already also although always among and another any anyone " +
    "anything are aren't around as at away back be became because become been before being below between both but by " +
    "came can can't cannot could couldn't did didn't do does doesn't doing don't done down during each either else " +
    "enough etc even ever every everything few for from further get gets give given go goes going had has hasn't have " +
    "haven't having he hence her here hers him his how however if in instead into is isn't it it's its itself just keep " +
    "kept know less let like made make makes many may maybe me might mine more most much must my never next no nobody " +
    "none nor not nothing now of off often on once one ones only onto or other others our ours out over own per perhaps " +
    "put rather really same say says see seen she should since so some someone something still such take taken takes " +
    "than that that's the their theirs them then there therefore these they thing things this those though three " +
    "through thus to together too two under until up upon us use used uses using very via was way we well went were " +
    "what what's whatever when where whether which while who whoever whole whom whose why will with within without " +
    "would yes yet you your yours"
  ).split(" "),
);
