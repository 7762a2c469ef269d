/** A NATS client of a few lines, so that no driver stands between a test and the server. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";

const silenceMsMax = { api: 1_000, other: 5_000 };

/**
 * Asks one subject, with JSON both ways; again while nobody is there to answer, as right after a stream was made, and after
 * silence: a stream without a leader gives no answer. So what is published may be there twice.
 */
export async function ask(url: string, subject: string, body: object = {}): Promise<Record<string, unknown>> {
  for (;;) {
    const answer = await askOnce(url, subject, JSON.stringify(body));
    if (answer !== undefined) return JSON.parse(answer) as Record<string, unknown>;
  }
}

async function askOnce(url: string, subject: string, body: string): Promise<string | undefined> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  const inbox = `inbox.${randomUUID()}`;
  const publish = `PUB ${subject} ${inbox} ${Buffer.byteLength(body)}\r\n${body}\r\n`;
  socket.write(`CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB ${inbox} 1\r\n${publish}`);
  const silence = new AbortController();
  const lines = createInterface({ input: socket });
  // Lines do not end with a socket that is destroyed.
  silence.signal.addEventListener("abort", () => {
    lines.close();
    socket.destroy();
  });
  const silentMsMax = subject.startsWith("$JS.API.") ? silenceMsMax.api : silenceMsMax.other;
  socket.setTimeout(silentMsMax, () => silence.abort());
  let isAnswer = false;
  try {
    for await (const line of lines) {
      if (isAnswer) return line;
      if (line === "NATS/1.0 503") return undefined;
      isAnswer = line.startsWith(`MSG ${inbox}`);
    }
  } finally {
    socket.destroy();
  }
  if (silence.signal.aborted) return undefined;
  throw new Error("the server ended the connection");
}
