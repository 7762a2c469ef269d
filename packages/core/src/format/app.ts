/** `app.json`: what everyone who touches an app must agree on. JSON, so that a person can read it. */
import { DormouseError } from "../agent/errors.ts";
import { partitionsMax } from "../agent/limits.ts";

export interface App {
  readonly name: string;
  /** A ULID: an app made again under an old name is another app. */
  readonly birth: string;
  readonly partitions: number;
  readonly hash: "fnv1a32";
  readonly format: 1;
}

export function encodeApp(app: App): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(app, undefined, 2)}\n`);
}

/** @throws DormouseError `corrupt` (`app.unreadable`), `invalid` (`app.format`): made by a newer Dormouse. */
export function decodeApp(bytes: Uint8Array, name: string): App {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new DormouseError("corrupt", "app.unreadable", `the app's settings are not JSON: object=${name}`, { cause });
  }
  const app = value as Partial<App> | null;
  const count = app?.partitions;
  if (app?.format !== 1 || app.hash !== "fnv1a32") {
    throw new DormouseError(
      "invalid",
      "app.format",
      `this app was made by another version of Dormouse; use that one, or another folder: object=${name} ` +
        `format=${String(app?.format)} hash=${String(app?.hash)}`,
    );
  }
  if (typeof count !== "number" || !Number.isInteger(count) || count < 1 || count > partitionsMax) {
    throw new DormouseError("corrupt", "app.unreadable", `partitions is not a number in range: object=${name}`);
  }
  if (typeof app.name !== "string" || typeof app.birth !== "string") {
    throw new DormouseError("corrupt", "app.unreadable", `the app has no name or birth: object=${name}`);
  }
  return app as App;
}
