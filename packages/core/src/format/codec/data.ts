/**
 * What durable data is, and the check of it: plain objects and arrays, Map, Set, Date, Error, bytes, bigint, agent refs
 * and the other primitives but symbols, nested at most `valueDepthMax` deep, without cycles.
 *
 * msgpackr drops or changes all else without a word, and the loss would show only when the agent is brought back (D1).
 */
import { AgentRef } from "../../agent/agent-ref.ts";
import { DormouseError } from "../../agent/errors.ts";
import { valueDepthMax } from "../../agent/limits.ts";
import { isSharedTooOften } from "./shared.ts";

export interface DataCheck {
  /** What the value is to the reader: the path in the error begins with it. */
  readonly what: string;
  /** The error's code, such as `state.not-data`. */
  readonly code: string;
  /** The agent the value belongs to. */
  readonly of?: string;
  /**
   * What was found to be data before: it is not walked again, and what is found now is added. Only for values that
   * nobody changes in place.
   */
  readonly known?: Known;
}

/** A WeakSet or a Set. */
type Known = Pick<WeakSet<object>, "has" | "add">;

/** Refuses a value that cannot be stored; afterwards `encodeValue` keeps all of it. */
export function checkData(value: unknown, check: DataCheck): void {
  const walk: Walk = { known: check.known ?? new Set(), path: [], isMetAgain: false };
  const problem = findProblem(value, walk) ?? findSharing(value, walk, check);
  if (problem === undefined) return;
  const of = check.of === undefined ? "" : `: agent=${check.of}`;
  throw new DormouseError(
    "invalid",
    check.code,
    `${pathText(check.what, walk.path)} ${problem.is}; only plain data, Map, Set, Date, Error, bytes, bigint and ` +
      `agent refs can be stored: ${problem.instead}${of}`,
  );
}

/**
 * Freezes a value and all it holds, so that a change in place fails where it is made; a change in place is never
 * stored. What is frozen already is taken to be so to its leaves. Maps, Sets, Dates and bytes stay changeable inside:
 * the language has no way to freeze them.
 */
export function freezeData(value: unknown): void {
  // A typed array is the one object that `freeze` refuses.
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return;
  // Freezing an object does not stop a Map's or Set's own methods: they are put out of reach first, as Immer does.
  if (value instanceof Map || value instanceof Set) Object.defineProperties(value, refusingMethods);
  Object.freeze(value);
  if (Array.isArray(value) || value instanceof Set) value.forEach(freezeData);
  else if (value instanceof Map) {
    for (const [key, held] of value) {
      freezeData(key);
      freezeData(held);
    }
  } else if (isPlain(value)) Object.values(value).forEach(freezeData);
}

const refuse = {
  value: (): never => {
    throw new TypeError(
      "this Map or Set belongs to a context and is frozen; make a new one: new Map(old).set(key, value)",
    );
  },
};
const refusingMethods: PropertyDescriptorMap = { set: refuse, add: refuse, delete: refuse, clear: refuse };

/** Whether an object is made of nothing but its own properties. */
export function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

interface Problem {
  readonly is: string;
  readonly instead: string;
}

/** The path leads to the problem once one was found. */
interface Walk {
  readonly known: Known;
  readonly path: Step[];
  /** Whether it came to an object that was known. */
  isMetAgain: boolean;
}

type Step = string | number | { readonly at: string };

function findProblem(value: unknown, walk: Walk): Problem | undefined {
  switch (typeof value) {
    case "function":
      return { is: "is a function", instead: "keep a name, and the function in the machine's implementations" };
    case "symbol":
      return { is: "is a symbol", instead: "keep a string" };
    case "object":
      return value === null || isKnown(value, walk) ? undefined : findProblemInObject(value, walk);
    case "string":
    case "number":
    case "bigint":
    case "boolean":
    case "undefined":
      return undefined;
  }
}

function isKnown(value: object, walk: Walk): boolean {
  if (!walk.known.has(value)) return false;
  walk.isMetAgain = true;
  return true;
}

/** Of what an agent has in memory, most was known before: it is not walked again. */
function findSharing(value: unknown, walk: Walk, { known }: DataCheck): Problem | undefined {
  if (known !== undefined || !walk.isMetAgain || !isSharedTooOften(value)) return undefined;
  return { is: "holds the same objects too often", instead: "keep each once, and its name where it is meant again" };
}

function findProblemInObject(value: object, walk: Walk): Problem | undefined {
  // A cycle ends here too: what contains itself is as deep as one likes.
  if (walk.path.length >= valueDepthMax) return tooDeep(walk);
  const problem = Array.isArray(value)
    ? findProblemInArray(value, walk)
    : isPlain(value)
      ? findProblemInProperties(value, walk)
      : isExactly(value, Map)
        ? findProblemInMap(value, walk)
        : isExactly(value, Set)
          ? findProblemInElements([...value], walk, setStep)
          : isStorable(value)
            ? undefined
            : ofClass(value);
  if (problem === undefined) walk.known.add(value);
  return problem;
}

/** Every own property counts, since a hidden one or one with a symbol for a key would be lost. */
function findProblemInProperties(value: object, walk: Walk): Problem | undefined {
  for (const key of Reflect.ownKeys(value)) {
    if (typeof key === "symbol") {
      return { is: `has the symbol ${String(key)} for a key`, instead: "use strings as keys" };
    }
    walk.path.push(key);
    const property = Object.getOwnPropertyDescriptor(value, key);
    const problem =
      key === "__proto__"
        ? { is: "is a key that sets an object's prototype", instead: "rename it" }
        : property === undefined || !("value" in property)
          ? { is: "is computed by a getter", instead: "keep its value" }
          : property.enumerable === true
            ? findProblem(property.value, walk)
            : { is: "is not enumerable", instead: "assign it as a usual property" };
    if (problem !== undefined) return problem;
    walk.path.pop();
  }
  return undefined;
}

/** Longer arrays are not searched for named properties: asking for their keys costs more than the rest of the check. */
const namedPropertiesLengthMax = 64;

function findProblemInArray(value: readonly unknown[], walk: Walk): Problem | undefined {
  if (Object.getPrototypeOf(value) !== Array.prototype) return ofClass(value);
  if (value.length <= namedPropertiesLengthMax) {
    const name = Object.keys(value).find((key) => !/^\d+$/.test(key));
    if (name !== undefined) {
      return { is: `is an array with the property "${name}"`, instead: "keep a plain array, such as [...match]" };
    }
  }
  return findProblemInElements(value, walk, arrayStep, value);
}

function findProblemInElements(
  elements: readonly unknown[],
  walk: Walk,
  stepTo: (index: number) => Step,
  holder?: object,
): Problem | undefined {
  for (let index = 0; index < elements.length; index += 1) {
    const element = elements[index];
    // Most elements of a large array were checked before: they cost a look-up and no path.
    if (typeof element === "object" && element !== null && isKnown(element, walk)) continue;
    if (element !== undefined && !isSuspect(element)) continue;
    walk.path.push(stepTo(index));
    const problem =
      element === undefined && holder !== undefined && !Object.hasOwn(holder, index)
        ? { is: "is a hole in an array", instead: "store undefined or null" }
        : findProblem(element, walk);
    if (problem !== undefined) return problem;
    walk.path.pop();
  }
  return undefined;
}

function isSuspect(value: unknown): boolean {
  return typeof value === "object" || typeof value === "function" || typeof value === "symbol";
}

function arrayStep(index: number): Step {
  return index;
}

function setStep(index: number): Step {
  return { at: `.values()[${index}]` };
}

function findProblemInMap(value: ReadonlyMap<unknown, unknown>, walk: Walk): Problem | undefined {
  let index = 0;
  for (const [key, held] of value) {
    walk.path.push({ at: `.keys()[${index}]` });
    const problemOfKey = findProblem(key, walk);
    if (problemOfKey !== undefined) return problemOfKey;
    walk.path.pop();
    walk.path.push({ at: typeof key === "string" ? `.get(${JSON.stringify(key)})` : `.values()[${index}]` });
    const problem = findProblem(held, walk);
    if (problem !== undefined) return problem;
    walk.path.pop();
    index += 1;
  }
  return undefined;
}

/** A subclass would come back as what it extends, or as an empty object. */
function isExactly<T extends object>(value: object, Class: new () => T): value is T {
  return Object.getPrototypeOf(value) === Class.prototype;
}

/** msgpackr knows these by name; Float16Array it does not. */
const bytesTags = new Set(
  [
    "Int8",
    "Uint8",
    "Uint8Clamped",
    "Int16",
    "Uint16",
    "Int32",
    "Uint32",
    "Float32",
    "Float64",
    "BigInt64",
    "BigUint64",
  ].map((type) => `${type}Array`),
);

function isStorable(value: object): boolean {
  // oxlint-disable-next-line no-restricted-globals -- no time is taken: a Date is a value like any other.
  if (isExactly(value, Date) || value instanceof Error || value instanceof AgentRef) return true;
  if (isExactly(value, ArrayBuffer as new () => ArrayBuffer)) return true;
  if (!ArrayBuffer.isView(value)) return false;
  const tag: unknown = (value as Partial<Uint8Array>)[Symbol.toStringTag];
  return typeof tag === "string" && bytesTags.has(tag);
}

function tooDeep(walk: Walk): Problem {
  walk.path.length = 12;
  return {
    is: `(and so on) is nested deeper than ${valueDepthMax} levels, or contains itself`,
    instead: "keep an id in place of the reference",
  };
}

const insteadOf: Readonly<Record<string, string>> = {
  Promise: "await it in a promise actor, and keep what it gives",
  RegExp: "keep its source and flags",
  URL: "keep its href",
  WeakMap: "use a Map",
  WeakSet: "use a Set",
  WeakRef: "keep an id",
};

function ofClass(value: object): Problem {
  const name = className(value);
  return { is: `is an instance of ${name}`, instead: insteadOf[name] ?? "keep its fields in a plain object" };
}

function className(value: object): string {
  const { constructor } = value as { constructor?: unknown };
  return typeof constructor === "function" && constructor.name !== "" ? constructor.name : "a class";
}

function pathText(what: string, path: readonly Step[]): string {
  return what + path.map(stepText).join("");
}

function stepText(step: Step): string {
  if (typeof step === "object") return step.at;
  if (typeof step === "number") return `[${step}]`;
  return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
}
