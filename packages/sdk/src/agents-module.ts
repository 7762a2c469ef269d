/** The agents that a module exports: what a host that is started by a command runs. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type AnyAgentDefinition, DormouseError } from "@dormouse/core";

/**
 * Loads a module and finds the definitions it exports: by name, as its default, or in a list under either. Other exports
 * are let be.
 *
 * @param path - A file that this Node can import, absolute or from the working directory.
 * @returns At least one definition, each once.
 * @throws DormouseError `invalid` (`agents.missing`: no such file; `agents.none`: it exports no agent; whatever
 * `agent(...)` in it is refused with); `failed` (`agents.threw`): it threw or does not parse, with that as its cause.
 * @example
 * ```ts
 * await using host = await startHost({ agents: await loadAgents("./agents.js") });
 * ```
 */
export async function loadAgents(path: string): Promise<readonly AnyAgentDefinition[]> {
  const file = resolve(path);
  if (!existsSync(file)) {
    throw new DormouseError("invalid", "agents.missing", `there is no such module; correct its path: module=${file}`);
  }
  const agents = new Set(Object.values(await importModule(file)).flatMap(definitionsIn));
  if (agents.size > 0) return [...agents];
  throw new DormouseError(
    "invalid",
    "agents.none",
    `this module exports no agent; export one, made by agent(...): module=${file}`,
  );
}

async function importModule(file: string): Promise<{ readonly [name: string]: unknown }> {
  try {
    return (await import(pathToFileURL(file).href)) as { readonly [name: string]: unknown };
  } catch (cause) {
    // It says what is wrong with the agent itself.
    if (cause instanceof DormouseError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DormouseError(
      "failed",
      "agents.threw",
      `the module of agents could not be loaded; mend it${isUnlowered(file, cause) ? lowering : ""}: ${why}: module=${file}`,
      { cause },
    );
  }
}

const lowering = " (Node takes types away and runs no decorators: give it what tsc made of such a module)";

/** Node says of a decorator that it is an invalid token, and neither where nor why. */
function isUnlowered(file: string, cause: unknown): boolean {
  return cause instanceof SyntaxError && /unexpected token/i.test(cause.message) && /\.[cm]?ts$/.test(file);
}

/** A list that has a definition is meant as one of agents: what else is in it is the host's to refuse. */
function definitionsIn(value: unknown): readonly AnyAgentDefinition[] {
  if (Array.isArray(value)) return value.some(isDefinition) ? (value as AnyAgentDefinition[]) : [];
  return isDefinition(value) ? [value] : [];
}

function isDefinition(value: unknown): value is AnyAgentDefinition {
  return (
    typeof value === "object" && value !== null && "type" in value && "logic" in value && "passivateAfterMs" in value
  );
}
