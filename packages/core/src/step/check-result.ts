/** Whether what a machine's step gave can be durable: only data, and no more than what a record and a mailbox take. */
import type { Address } from "../agent/address.ts";
import { DormouseError } from "../agent/errors.ts";
import { waysOutBytesMax, waysOutMax } from "../agent/limits.ts";
import type { WayOut } from "../agent/way-out.ts";
import { checkData, freezeData } from "../format/codec/data.ts";
import { encodeValue } from "../format/codec/msgpack.ts";
import { bytesAtMost } from "../format/codec/size.ts";
import { describe, type EngineResult, type Live } from "./engine.ts";
import { checkEventBytes } from "./send.ts";

/** Refuses what cannot be durable, before anything of the step is kept. */
export function checkResult(
  { agent, freezeContexts }: { readonly agent: Address; readonly freezeContexts: boolean },
  before: Live | undefined,
  result: EngineResult,
): void {
  if (result.waysOut.length > waysOutMax) {
    throw new DormouseError(
      "invalid",
      "step.too-many-ways-out",
      `one step asked for too much; spread it over several events: agent=${agent} count=${result.waysOut.length}`,
    );
  }
  const { context, output } = describe(result.next);
  const contextBefore = before === undefined ? undefined : describe(before).context;
  if (context !== contextBefore) {
    checkData(context, { what: "context", code: "state.not-data", of: agent, known: knownData });
    if (freezeContexts) freezeData(context);
  }
  if (output !== undefined) checkData(output, { what: "output", code: "state.not-data", of: agent });
  for (const way of result.waysOut) checkWayOut(agent, way);
  checkWaysOutBytes(agent, result.waysOut.map(letOut));
}

function checkWayOut(agent: Address, way: WayOut): void {
  switch (way.kind) {
    case "send":
    case "timer":
      checkData(way.event, { what: "event", code: "event.not-data", of: agent });
      if (way.to !== undefined) checkEventBytes(agent, way.event, "event");
      return;
    case "emit":
      checkData(way.event, { what: "event", code: "event.not-data", of: agent });
      return;
    case "start-effect":
      checkData(way.input, { what: "input", code: "input.not-data", of: agent });
      return;
    case "start-child":
      checkData(way.input, { what: "input", code: "input.not-data", of: agent });
      checkEventBytes(agent, way.input, "input");
      return;
    case "reply":
    case "reply-to":
      checkData(way.value, { what: "reply", code: "reply.not-data", of: agent });
      return;
    case "action":
      checkData(way.params, { what: "params", code: "action.not-data", of: agent });
      return;
    case "log":
      checkData(way.value, { what: "log", code: "log.not-data", of: agent });
      return;
    case "cancel-timer":
    case "stop":
  }
}

/** What of a way out is not in the agent's state, but stored beside it. */
function letOut(way: WayOut): unknown {
  if (way.kind === "send" || way.kind === "emit") return way.event;
  if (way.kind === "reply" || way.kind === "reply-to") return way.value;
  return way.kind === "start-child" ? way.input : undefined;
}

/** Refuses what would make a record that cannot be read; measured only when by its length it may be too large. */
function checkWaysOutBytes(agent: Address, values: readonly unknown[]): void {
  if (values.length === 0 || bytesAtMost(values, waysOutBytesMax) <= waysOutBytesMax) return;
  const bytes = values.reduce<number>((total, value) => total + encodeValue(value).length, 0);
  if (bytes <= waysOutBytesMax) return;
  throw new DormouseError(
    "invalid",
    "step.ways-out-too-large",
    `what one step replies, sends and emits must fit ${waysOutBytesMax} bytes; give a reference to what is large: ` +
      `agent=${agent} bytes=${bytes}`,
  );
}

/** What was found to be data before: contexts are not changed in place, so only what is new is walked (D8). */
const knownData = new WeakSet<object>();
