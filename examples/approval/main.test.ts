/** The program as a person runs it: killed while it waits, started again, and answered by the link of before. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("it goes on after kill -9, and the link in the mail still answers", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dormouse-approval-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const env = { ...process.env, APPROVAL_STORE: `file:${folder}`, APPROVAL_PORT: String(await freePort()) };
  const line = ["--conditions=@dormouse/source", join(import.meta.dirname, "main.ts")];
  const start = () => {
    const child = spawn(process.execPath, line, { env, stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
  };
  const next = async ({ lines }: ReturnType<typeof start>): Promise<string> => String((await lines.next()).value);

  const first = start();
  expect(await next(first)).toMatch(/^answer with: curl /);
  const mail = await next(first);
  expect(mail).toMatch(/^to ada@example.org: May we spend 900 EUR on six chairs\? http/);
  const killed = once(first.child, "exit");
  first.child.kill("SIGKILL");
  await killed;

  const second = start();
  expect(await next(second)).toMatch(/^answer with: curl /);
  const answered = await fetch(mail.split(" ").at(-1) ?? "", { method: "POST", body: '{"approved":true,"by":"you"}' });
  expect(answered.status).toBe(200);
  // A mail whose end was not recorded is sent again, under the same key.
  const last = await next(second);
  expect(last === mail ? await next(second) : last).toBe("{ approved: true, by: 'you' }");
  const [code] = (await once(second.child, "exit")) as [number];
  expect(code).toBe(0);
});
