/** A client: refs on agents by address. */
import {
  type AgentDefinition,
  type AgentPage,
  type AgentView,
  type AnyAgentDefinition,
  checkData,
  checkOptions,
  DormouseError,
  makeAddress,
  parseToken,
  type QuarantineView,
  type WaitPage,
  type WaitView,
} from "@dormouse/core/protocol";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { type AgentRef, callLimitsOf, callOptionNames, type CallOptions, limitsOf, makeRef } from "./handle.ts";

export interface ListOptions extends CallOptions {
  /** Default: all types. */
  readonly type?: string;
}

/** Sends to agents, asks them, reads them. Close it when done; what was accepted goes on without it. */
export interface Client extends AsyncDisposable {
  /**
   * A typed ref on one agent of this client's app; nothing is sent yet. One on a child, whose key begins with `~`, reads it and commands it, and
   * sends it nothing: events it gets from its parent alone.
   *
   * @throws DormouseError `invalid` (`type.invalid`, `key.invalid`).
   * @example
   * ```ts
   * const acme = client.agent(counter, "acme");
   * await acme.ask({ type: "add", by: 1 });
   * ```
   */
  agent<TDefinition extends AnyAgentDefinition>(definition: TDefinition, key: string): AgentRef<TDefinition>;
  /** By name; typed by `client.agent<typeof counter>("counter", "acme")` with `import type`. */
  // oxlint-disable-next-line typescript/no-explicit-any -- untyped on purpose: nothing is known of it but its name
  agent<TDefinition extends AnyAgentDefinition = AgentDefinition<string, any>>(
    type: TDefinition["type"],
    key: string,
  ): AgentRef<TDefinition>;
  /**
   * All agents, or those of one type, as they are committed now; in no particular order, by a scan of the store. Whoever
   * was set aside by its first message has no state yet, and is among `quarantined()` only.
   *
   * @param options - `timeout` is for the whole list, but for what its reader does with it meanwhile.
   * @throws DormouseError `unavailable` (`host.not-running`); `timeout` (`call.timeout`); `invalid` (`option.invalid`).
   */
  list(options?: ListOptions): AsyncIterable<AgentView>;
  /**
   * Agents that were set aside, with why, and how many messages are kept for each; nothing is changed by asking.
   *
   * @throws DormouseError `unavailable` (`host.not-running`); `timeout` (`call.timeout`); `invalid` (`option.invalid`).
   */
  quarantined(options?: CallOptions): Promise<readonly QuarantineView[]>;
  /**
   * What agents wait for, as it is committed now, of those whom a person or another program may answer: each `receive` of a
   * durable function, with its token; and of a machine in a state tagged `waiting`, each event that it takes there. By a
   * scan of the store, in the order of agents within a partition. Of one agent, `read()` tells the same.
   *
   * @param options - `timeout` is for the whole list, but for what its reader does with it meanwhile.
   * @throws DormouseError `unavailable` (`host.not-running`); `timeout` (`call.timeout`); `invalid` (`option.invalid`).
   * @example
   * ```ts
   * for await (const { agent, name, question, token } of client.waits({ type: "order" })) console.log(agent, name, question);
   * ```
   */
  waits(options?: ListOptions): AsyncIterable<WaitView>;
  /**
   * Answers the one wait that a token names: that of a `receive`, from `receive(…).token` or `waits()`. Resolves when the
   * value is committed as received. Whoever responds after another is told what came of the first response.
   *
   * @param token - Whoever has it may answer; it dies with its wait.
   * @param value - What is received; plain data of at most 1 MB encoded.
   * @throws DormouseError `invalid` (`token.invalid`): no token; (`receive.refused`): the value does not fit, and the wait
   * goes on; `conflict` (`token.unknown`): nothing waits under it; `timeout` (`receive.timeout`): the wait was over first;
   * (`call.timeout`, default 30 s); `unavailable` (`host.not-running`).
   * @example
   * ```ts
   * web.post("/approve/:token", (request) => client.respond(request.params.token, request.body.approved));
   * ```
   */
  respond(token: string, value?: unknown, options?: CallOptions): Promise<void>;
  /** Ends every wait of this client with kind `closed`. Messages that were accepted are taken all the same. */
  close(): Promise<void>;
}

/** A client over these ports: a host's own, or those of a connection to one. */
export function makeClient(options: ConnectionOptions & { readonly closed?: () => Promise<void> }): Client {
  const connection = new Connection(options);
  const close = async (): Promise<void> => {
    connection.close();
    await options.closed?.();
  };
  return {
    agent: (typeOrDefinition: string | AnyAgentDefinition, key: string) => {
      const definition = typeof typeOrDefinition === "string" ? undefined : typeOrDefinition;
      // Plain JavaScript may give nothing at all.
      const type = (definition as AnyAgentDefinition | null | undefined)?.type ?? (typeOrDefinition as string);
      checkOwn(type);
      const address = makeAddress(type, key);
      return makeRef(connection, address, definition) as never;
    },
    list: (listed = {}) => list(connection, listed),
    quarantined: (called = {}) => quarantined(connection, called),
    waits: (listed = {}) => waits(connection, listed),
    respond: (token, value, called = {}) => respond(connection, token, value, called),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A client knows the partitions of one app. */
function checkOwn(type: unknown): void {
  if (typeof type !== "string" || !type.includes("/")) return;
  const app = type.split("/").find((part) => part !== "");
  throw new DormouseError(
    "invalid",
    "type.invalid",
    `a client reaches the agents of its own app by type and key; for another app connect({ app: ${JSON.stringify(app)} }): ` +
      `type=${type.slice(0, 100)}`,
  );
}

async function respond(connection: Connection, token: string, value: unknown, options: CallOptions): Promise<void> {
  checkOptions("respond", options, callOptionNames);
  const { agent, secret } = parseToken(token);
  checkData(value, { what: "value", code: "event.not-data", of: agent });
  await connection.ask(agent, { kind: "respond", secret, value }, callLimitsOf(options), undefined);
}

async function* list(connection: Connection, options: ListOptions): AsyncGenerator<AgentView> {
  for await (const page of pages(connection, "list", options)) yield* (page as AgentPage).agents;
}

async function* waits(connection: Connection, options: ListOptions): AsyncGenerator<WaitView> {
  for await (const page of pages(connection, "waits", options)) yield* (page as WaitPage).waits;
}

/** One after another, as they are asked for, of all partitions. */
async function* pages(
  connection: Connection,
  what: "list" | "waits",
  options: ListOptions,
): AsyncGenerator<AgentPage | WaitPage> {
  checkOptions(what, options, [...callOptionNames, "type"]);
  const { type } = options;
  const within = connection.shared(limitsOf(options));
  for (const partition of connection.partitions()) {
    let after: string | undefined;
    do {
      const request = { what, type, after } as const;
      const page = (await within((limits) => connection.readFrom(partition, request, limits))) as AgentPage | WaitPage;
      yield page;
      ({ after } = page);
    } while (after !== undefined);
  }
}

async function quarantined(connection: Connection, options: CallOptions): Promise<readonly QuarantineView[]> {
  checkOptions("quarantined", options, callOptionNames);
  const limits = callLimitsOf(options);
  const request = { what: "quarantine" } as const;
  const found = await Promise.all(
    connection.partitions().map((partition) => connection.readFrom(partition, request, limits)),
  );
  return (found as readonly (readonly QuarantineView[])[]).flat();
}
