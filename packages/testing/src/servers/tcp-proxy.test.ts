/**
 * Goal: what a test asks of the TCP proxy happens to the connections through it, and `mend` ends it.
 * Method: a server that says back what it hears, and keeps what it heard; loopback only.
 */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tcpProxy, type TcpProxy } from "./tcp-proxy.ts";

/** A socket, and all it heard. */
class Peer {
  readonly socket: Socket;
  heard = "";
  end: "open" | "clean" | "reset" = "open";

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => (this.heard += chunk.toString()));
    socket.on("end", () => (this.end = "clean"));
    socket.on("error", () => (this.end = "reset"));
  }

  async hears(text: string): Promise<void> {
    while (!this.heard.includes(text)) await once(this.socket, "data");
  }

  async ends(): Promise<void> {
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once("close", resolve));
  }
}

describe("a proxy before an echo", () => {
  const server = createServer({ allowHalfOpen: true });
  server.on("connection", (socket) => socket.on("error", () => undefined));
  let proxy: TcpProxy;

  beforeEach(async () => {
    await once(server.listen(0, "127.0.0.1"), "listening");
    proxy = await tcpProxy({ target: `nats://127.0.0.1:${(server.address() as AddressInfo).port}` });
  });
  afterEach(async () => {
    await proxy.close();
    server.close();
  });

  /** A connection through the proxy, both its ends, after a word each way. */
  async function connection(): Promise<{ readonly client: Peer; readonly upstream: Peer }> {
    const accepted = once(server, "connection") as Promise<[Socket]>;
    const client = new Peer(connect(Number(new URL(proxy.url).port), "127.0.0.1"));
    const upstream = new Peer((await accepted)[0]);
    upstream.socket.on("data", (chunk) => upstream.socket.write(chunk));
    client.socket.write("hello;");
    await client.hears("hello;");
    return { client, upstream };
  }

  test("bytes pass both ways, in order, and so does the end of each side", async () => {
    const { client, upstream } = await connection();
    const long = "0123456789".repeat(500_000);
    client.socket.write(long);
    client.socket.end("last");
    await client.hears("last");
    expect(client.heard).toBe(`hello;${long}last`);
    expect(upstream.end).toBe("clean");
    expect(client.end).toBe("open");
    upstream.socket.end();
    await client.ends();
    expect(client.end).toBe("clean");
  });

  test("the url is the target's but for the port, and connections are counted", async () => {
    expect(proxy.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
    await connection();
    expect(proxy.connections).toBe(1);
  });

  test("cut resets what is open and accepts nothing, until it is mended", async () => {
    const { client, upstream } = await connection();
    await proxy.cut();
    await Promise.all([client.ends(), upstream.ends()]);
    expect(client.end).toBe("reset");
    const refused = new Peer(connect(Number(new URL(proxy.url).port), "127.0.0.1"));
    await refused.ends();
    expect(refused.end).toBe("reset");
    await proxy.mend();
    await connection();
  });

  test("reset ends the connections that there are, and new ones work", async () => {
    const { client } = await connection();
    proxy.reset();
    await client.ends();
    expect(client.end).toBe("reset");
    await connection();
  });

  test.for([
    { direction: "to-client", heardByServer: "hello;a;", heardByClient: "hello;" },
    { direction: "to-server", heardByServer: "hello;", heardByClient: "hello;b;" },
  ] as const)("held $direction, the other way flows, and nothing is lost", async (row) => {
    const { client, upstream } = await connection();
    proxy.hold(row.direction);
    client.socket.write("a;");
    upstream.socket.write("b;");
    await (row.direction === "to-client" ? upstream.hears("a;") : client.hears("b;"));
    expect(upstream.heard).toBe(row.heardByServer);
    expect(client.heard).toBe(row.heardByClient);
    await proxy.mend();
    await Promise.all([upstream.hears("a;"), client.hears("a;"), client.hears("b;")]);
  });

  test("held both ways, a new connection is accepted and silent, and ends are hidden too", async () => {
    const { client, upstream } = await connection();
    proxy.hold();
    const later = new Peer(connect(Number(new URL(proxy.url).port), "127.0.0.1"));
    await once(later.socket, "connect");
    upstream.socket.resetAndDestroy();
    client.socket.write("into the void");
    expect({ later: later.heard, client: client.end }).toEqual({ later: "", client: "open" });
    await proxy.mend();
    await client.ends();
    expect(client.end).toBe("reset");
  });

  test("what is delayed arrives in order, at once when it is mended", async () => {
    const { client } = await connection();
    proxy.delay(3_600_000, "to-client");
    client.socket.write("a;");
    client.socket.write("b;");
    expect(client.heard).toBe("hello;");
    await proxy.mend();
    await client.hears("a;b;");
    proxy.delay(1);
    client.socket.write("c;");
    await client.hears("c;");
    expect(client.heard).toBe("hello;a;b;c;");
  });

  test("half open, the server has seen the end and the client has not, even when it writes", async () => {
    const { client, upstream } = await connection();
    proxy.halfOpen();
    await once(upstream.socket, "end");
    await new Promise((resolve) => client.socket.write("anybody?", resolve));
    expect({ client: client.end, heard: client.heard }).toEqual({ client: "open", heard: "hello;" });
    expect(upstream.heard).toBe("hello;");
  });

  test("a server that is not there ends the connection", async () => {
    server.close();
    const client = new Peer(connect(Number(new URL(proxy.url).port), "127.0.0.1"));
    await client.ends();
    expect(client.end).toBe("reset");
    await once(server.listen(0, "127.0.0.1"), "listening");
  });
});
