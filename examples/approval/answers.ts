/** The webhook: `POST /<token>` with the decision as JSON. Who has a token may answer its wait; a server of yours asks who it is. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { type Client, DormouseError } from "@dormouse/sdk";

/** What the sender is told, by the error's kind; of any other it may try again. */
const statuses: Partial<Record<DormouseError["kind"], number>> = { invalid: 400, conflict: 410, timeout: 410 };

/** Listens on loopback; at port 0, on one that is free. */
export async function listenForAnswers(client: Client, port: number): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    const answered = answer(client, request);
    void answered.then(([status, text]) =>
      response.writeHead(status, { "content-type": "text/plain" }).end(`${text}\n`),
    );
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function answer(client: Client, request: IncomingMessage): Promise<[status: number, text: string]> {
  if (request.method !== "POST") return [405, "post a decision"];
  try {
    const token = decodeURIComponent((request.url ?? "").slice(1));
    await client.respond(token, await json(request));
    return [200, "thank you"];
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof URIError) return [400, error.message];
    if (error instanceof DormouseError) return [statuses[error.kind] ?? 503, error.message];
    return [500, "something went wrong"];
  }
}
