/** Free ports of this machine's loopback. */
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Outside the range from which systems take ports for outgoing connections: such a connection could otherwise take the
 * port of a server while it is down.
 */
const portMin = 20_000;
const portMax = 32_000;

export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = portMin + Math.floor(Math.random() * (portMax - portMin));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
