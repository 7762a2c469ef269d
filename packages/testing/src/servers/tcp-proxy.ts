/**
 * Stands between a program and any server that speaks TCP, and does what networks do.
 *
 * Owns: the listening port, the connections, and which of their two directions flow.
 * Leaves to others: one direction of one connection (`tcp-flow.ts`).
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { freePorts } from "./ports.ts";
import { TcpFlow, type TcpWeather } from "./tcp-flow.ts";

/** A direction of a connection; a client is who came to the proxy. */
export type TcpDirection = "to-server" | "to-client";

export interface TcpProxyOptions {
  /** Where the server is, such as `nats://127.0.0.1:4222`; the scheme is that of `url`, and nothing else. */
  readonly target: string;
}

/** What `tcpProxy` has started. What is done to it holds until `mend`. */
export interface TcpProxy extends AsyncDisposable {
  /** The proxy's own, with the scheme of the target. */
  readonly url: string;
  /** How many connections from clients are open. */
  readonly connections: number;
  /** Resets all connections and accepts no more: nobody is there. */
  cut(): Promise<void>;
  /**
   * Holds back whatever goes this way, ends of connections included; new connections are accepted. Without a direction
   * both are: the peer is there and silent. `mend` lets it go on, as TCP does after a partition.
   */
  hold(direction?: TcpDirection): void;
  /** Whatever goes this way, or both without a direction, takes so many milliseconds longer. */
  delay(ms: number, direction?: TcpDirection): void;
  /** Resets the connections that there are; new ones are as before. */
  reset(): void;
  /** Ends the connections that there are on the server's side; clients do not hear of it, and their bytes go nowhere. */
  halfOpen(): void;
  /** All flows and is accepted again, at once. What was reset or half open stays so. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  readonly flows: readonly TcpFlow[];
}

/**
 * Starts a proxy before a server, on this machine's loopback.
 *
 * @example
 * ```ts
 * await using nats = await startNats();
 * await using proxy = await tcpProxy({ target: nats.urls[0] ?? "" });
 * proxy.hold("to-client"); // acknowledgements no longer arrive
 * await proxy.mend();
 * ```
 */
export async function tcpProxy({ target }: TcpProxyOptions): Promise<TcpProxy> {
  const { protocol, hostname, port: targetPort } = new URL(target);
  const [port = 0] = await freePorts(1);
  const weathers: Record<TcpDirection, TcpWeather> = {
    "to-server": { isHeld: false, delayMs: 0 },
    "to-client": { isHeld: false, delayMs: 0 },
  };
  const connections = new Set<Connection>();

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port: Number(targetPort), host: hostname, allowHalfOpen: true, noDelay: true });
    const flows = [
      new TcpFlow(client, upstream, weathers["to-server"]),
      new TcpFlow(upstream, client, weathers["to-client"]),
    ];
    const connection = { client, server: upstream, flows };
    connections.add(connection);
    client.once("close", () => connections.delete(connection));
  });
  const change = (weather: Partial<TcpWeather>, direction?: TcpDirection): void => {
    const directions: readonly TcpDirection[] = direction === undefined ? ["to-server", "to-client"] : [direction];
    for (const one of directions) Object.assign(weathers[one], weather);
    for (const { flows } of connections) for (const flow of flows) flow.go();
  };
  const reset = (): void => {
    for (const connection of connections) {
      for (const flow of connection.flows) flow.stop();
      connection.server.resetAndDestroy();
      connection.client.resetAndDestroy();
    }
  };
  const cut = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    reset();
    await closed;
  };
  const mend = async (): Promise<void> => {
    change({ isHeld: false, delayMs: 0 });
    if (!server.listening) await once(server.listen(port, "127.0.0.1"), "listening");
  };
  await mend();
  return {
    url: `${protocol}//127.0.0.1:${port}`,
    get connections() {
      return connections.size;
    },
    cut,
    hold: (direction) => change({ isHeld: true }, direction),
    delay: (ms, direction) => change({ delayMs: ms }, direction),
    reset,
    halfOpen: () => {
      for (const connection of connections) {
        for (const flow of connection.flows) flow.stop();
        connection.client.resume();
        connection.server.destroy();
      }
    },
    mend,
    close: cut,
    [Symbol.asyncDispose]: cut,
  };
}
