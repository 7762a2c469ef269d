/**
 * An option that a person gives a program of ours: what it may be, its default and meaning.
 *
 * An option has one name and three spellings: `natsUser` in a configuration file, `DORMOUSE_NATS_USER` in the environment,
 * `--nats-user` on the command line.
 */

export type Value = string | number | boolean;

export interface Option {
  readonly name: string;
  readonly kind: Kind;
  /** For people; what the program does without it. */
  readonly default: string;
  readonly meaning: string;
  /** Never on the command line, where others see it; instead, or in the environment, its file may be named. */
  readonly isSecret: boolean;
}

/** What an option may be. */
export type Kind =
  | { readonly is: "text"; readonly wanted: string; readonly pattern: RegExp }
  | { readonly is: "number"; readonly least: number; readonly most: number }
  | { readonly is: "boolean" }
  | { readonly is: "choice"; readonly of: readonly string[] };

const textCharactersMax = 4_096;

/** Text that is `wanted`, in words, and fits the pattern. Default: any of 1 to 4,096 characters. */
export function textKind(wanted: string, pattern: RegExp = new RegExp(`^[^]{1,${textCharactersMax}}$`)): Kind {
  return { is: "text", wanted, pattern };
}

/** An option that anybody may see. */
export function makeOption(name: string, kind: Kind, byDefault: string, meaning: string): Option {
  return { name, kind, default: byDefault, meaning, isSecret: false };
}

/** An option that nobody may see. */
export function makeSecret(name: string, meaning: string): Option {
  return { name, kind: textKind("text"), default: "none", meaning, isSecret: true };
}

/** `logLevel`: `DORMOUSE_LOG_LEVEL`. */
export function variableOf(name: string): string {
  return `DORMOUSE_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** `logLevel`: `log-level`, without its dashes in front. */
export function flagOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** What a value of this kind may be, in words. */
export function wantedOf(kind: Kind): string {
  switch (kind.is) {
    case "text":
      return kind.wanted;
    case "number":
      return `a whole number from ${kind.least} to ${kind.most}`;
    case "boolean":
      return "true or false";
    case "choice":
      return `one of ${kind.of.join(", ")}`;
  }
}

/** A value as text or JSON gives it; `undefined` where it is none of this kind. */
export function readValue(kind: Kind, given: unknown): Value | undefined {
  switch (kind.is) {
    case "text":
      return typeof given === "string" && kind.pattern.test(given) ? given : undefined;
    case "number": {
      const number = typeof given === "string" && /^\d{1,15}$/.test(given) ? Number(given) : given;
      const isWithin = typeof number === "number" && Number.isInteger(number);
      return isWithin && number >= kind.least && number <= kind.most ? number : undefined;
    }
    case "boolean":
      if (given === true || given === "true") return true;
      return given === false || given === "false" ? false : undefined;
    case "choice":
      return typeof given === "string" && kind.of.includes(given) ? given : undefined;
  }
}
