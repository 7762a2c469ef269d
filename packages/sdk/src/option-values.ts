/**
 * The values of options: which source wins, secrets in files of their own, what is said of a value that cannot be right.
 *
 * Leaves to others: what there is to give (`place-options.ts`, a program's own table), how a line or a file is read.
 */
import { readFileSync } from "node:fs";
import { DormouseError } from "@dormouse/core";
import { flagOf, type Option, readValue, type Value, variableOf, wantedOf } from "./option.ts";

/** What was given, by the options' names; a secret's file has one of its own, `natsTokenFile`. */
export type Given = { readonly [name: string]: unknown };

/** One place where options are given. */
export interface Source {
  readonly given: Given;
  /** How this source spells an option's name. */
  readonly spell: (name: string) => string;
}

export type Values = { readonly [name: string]: Value | undefined };

const secretCharactersMax = 65_536;

/**
 * The value of each option, from the first source that gives it; `undefined` for those that none gives.
 *
 * @throws DormouseError `invalid` (`config.value`: one that cannot be right; `config.file`: a secret's file that cannot be
 * read or is empty).
 */
export function readOptions(options: readonly Option[], sources: readonly Source[]): Values {
  return Object.fromEntries(options.map((option) => [option.name, valueOf(option, sources)]));
}

/** Every name that can be given, with its spelling; a secret's file has a name of its own. */
export function namesOf(
  options: readonly Option[],
  spell: (name: string) => string,
): readonly (readonly [spelt: string, name: string])[] {
  const names = options.flatMap(({ name, isSecret }) => (isSecret ? [name, `${name}File`] : [name]));
  return names.map((name) => [spell(name), name]);
}

/**
 * Why a line that gives one of these is refused, of a secret: others see the line, so only its file is named there.
 *
 * @param flags - As the line has them, without what they are given.
 */
export function secretOnLine(options: readonly Option[], flags: readonly string[]): string | undefined {
  const secret = options.find(({ name, isSecret }) => isSecret && flags.includes(`--${flagOf(name)}`));
  if (secret === undefined) return undefined;
  const { name } = secret;
  return (
    `--${flagOf(name)} would be seen by everyone on this machine; name its file, --${flagOf(`${name}File`)}, ` +
    `or set ${variableOf(name)}`
  );
}

/** The environment as a source. Compose files and the like set a variable to nothing where it is not given. */
export function environmentSource(
  options: readonly Option[],
  environment: { readonly [variable: string]: string | undefined },
): Source {
  const given = namesOf(options, variableOf).map(([variable, name]) => {
    const text = environment[variable];
    return [name, text === "" ? undefined : text];
  });
  return { given: Object.fromEntries(given) as Given, spell: variableOf };
}

function valueOf(option: Option, sources: readonly Source[]): Value | undefined {
  const { name, kind, isSecret } = option;
  for (const { given, spell } of sources) {
    const [direct, file] = [given[name], given[`${name}File`]];
    if (direct !== undefined && file !== undefined) {
      throw optionValueError(`${spell(name)} and ${spell(`${name}File`)} are both given; keep one`);
    }
    if (file !== undefined) return readSecret(file, spell(`${name}File`));
    if (direct === undefined) continue;
    const value = readValue(kind, direct);
    if (value !== undefined) return value;
    const shown = isSecret || looksSecret(direct) ? "(not shown)" : show(direct);
    throw optionValueError(`${spell(name)} must be ${wantedOf(kind)}: given=${shown}`);
  }
  return undefined;
}

/** URLs may have a password in them. */
function looksSecret(given: unknown): boolean {
  return typeof given === "string" && given.includes("@");
}

function show(given: unknown): string {
  return (typeof given === "string" ? given : JSON.stringify(given)).slice(0, 100);
}

function readSecret(path: unknown, spelt: string): string {
  if (typeof path !== "string") throw optionValueError(`${spelt} must be the path of a file: given=${show(path)}`);
  // Files end with a line's end, secrets do not.
  const secret = readOptionFile(path, spelt, secretCharactersMax).trimEnd();
  if (secret !== "") return secret;
  throw optionFileError(`the file that ${spelt} names is empty`, path);
}

/** The text of a file that an option names as `what`. @throws DormouseError `invalid` (`config.file`). */
export function readOptionFile(path: string, what: string, charactersMax: number): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
    throw optionFileError(`${what} names a file that cannot be read (${code}); correct its path or its mode`, path);
  }
  if (text.length <= charactersMax) return text;
  throw optionFileError(`${what} names a file that is too large for it, above ${charactersMax} characters`, path);
}

/** A file that an option names cannot be used. */
export function optionFileError(what: string, path: string): DormouseError {
  return new DormouseError("invalid", "config.file", `${what}: file=${path.slice(0, 500)}`);
}

/** What was given cannot be right. */
export function optionValueError(what: string): DormouseError {
  return new DormouseError("invalid", "config.value", what);
}

/** Without what is `undefined`: an option that is not given takes its default. */
export function defined(values: { readonly [name: string]: unknown }): { readonly [name: string]: unknown } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
