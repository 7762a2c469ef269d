/**
 * The errors of the NATS drivers: what servers, the network and the library report, in Dormouse's words.
 *
 * Messages and causes name servers, streams and NATS's codes, never what the library was given: that may hold secrets.
 */
import { JetStreamApiError } from "@nats-io/jetstream";
import { AuthorizationError, PermissionViolationError, UserAuthenticationExpiredError } from "@nats-io/transport-node";
import { DormouseError } from "@dormouse/core/ports";

/** JetStream's numbers for its errors, as far as one of ours depends on them. */
export const apiCodes = {
  insufficientResources: 10_023,
  noSuitablePeers: 10_005,
  accountResourcesExceeded: 10_002,
  memoryResourcesExceeded: 10_028,
  notEnabledForAccount: 10_039,
  storageResourcesExceeded: 10_047,
  nameInUse: 10_058,
  streamNotFound: 10_059,
  subjectOverlap: 10_065,
  wrongLastSequence: 10_071,
  notEnabled: 10_076,
  storeFailed: 10_077,
  wrongLastSequenceUnknown: 10_164,
} as const;

/** What a failure to connect means. */
export function connectError(servers: string, cause: unknown): DormouseError {
  if (cause instanceof DormouseError) return cause;
  const forbidden = forbiddenIn(cause);
  if (forbidden !== undefined) {
    const message =
      `the NATS server does not let this user do what hosts and clients must; allow it: ${forbidden}: ` +
      `servers=${servers}`;
    return new DormouseError("invalid", "nats.refused", message, { cause: plainCause(cause) });
  }
  if (isRefusal(cause)) {
    const message =
      "the NATS server refused these credentials; give the user and password, token, NKey or credentials file of " +
      `one who may use JetStream: servers=${servers}`;
    return new DormouseError("invalid", "nats.refused", message, { cause: plainCause(cause) });
  }
  const message =
    "no NATS server answered; see that one runs there, that the address is right, and that both sides use TLS or " +
    `neither: servers=${servers}`;
  return new DormouseError("unavailable", "nats.unreachable", message, { cause: plainCause(cause) });
}

export function natsMaxPayload(found: number, least: number): DormouseError {
  const message =
    `the NATS server takes smaller messages than events may be; set its max_payload to 1MB or more: ` +
    `maxPayload=${found} least=${least}`;
  return new DormouseError("invalid", "nats.max-payload", message);
}

export function natsVersion(version: string, versionMin: string): DormouseError {
  const message = `the NATS server is too old; run ${versionMin} or newer, at best 2.14.5 or newer: version=${version}`;
  return new DormouseError("invalid", "nats.version", message);
}

export function natsNoJetStream(servers: string): DormouseError {
  const message =
    "the NATS server has no JetStream for this account; enable it in the server's configuration (`jetstream {}`) and " +
    `for the account: servers=${servers}`;
  return new DormouseError("invalid", "nats.no-jetstream", message);
}

export function natsClosed(): DormouseError {
  return new DormouseError("closed", "nats.closed", "this connection to NATS was closed here");
}

/** A call to JetStream that was refused or not answered. */
export function apiError(what: string, cause: unknown): DormouseError {
  if (cause instanceof DormouseError) return cause;
  const forbidden = forbiddenIn(cause);
  if (forbidden !== undefined) {
    const message = `the NATS server does not let this user do it; allow it, then it goes on: ${forbidden}: call=${what}`;
    return new DormouseError("unavailable", "nats.api", message, { cause: plainCause(cause) });
  }
  const code = apiCode(cause);
  if (code === undefined) {
    const message = `JetStream did not answer in time; it is done, or comes later, or never; try again: call=${what}`;
    return new DormouseError("unavailable", "nats.no-answer", message, { cause: plainCause(cause) });
  }
  const message = `JetStream could not do it; try again, and look at the server if that does not help: call=${what} code=${code}`;
  return new DormouseError("unavailable", "nats.api", message, { cause: plainCause(cause) });
}

const noRoom = new Set<number | undefined>([
  apiCodes.insufficientResources,
  apiCodes.accountResourcesExceeded,
  apiCodes.memoryResourcesExceeded,
  apiCodes.storageResourcesExceeded,
]);

/** The refusal to make a stream, in what an operator can do about it. */
export function streamError(stream: string, cause: unknown): DormouseError {
  const code = apiCode(cause);
  if (noRoom.has(code) || isShortOfRoom(cause)) {
    const why =
      "JetStream sets aside the most that a stream may hold, and has no such room left; lower `streamBytesMax`, or " +
      "raise max_file_store of the servers or the limits of the account";
    return streamRefused(stream, why, cause);
  }
  if (code === apiCodes.noSuitablePeers) {
    const why = "the cluster has too few servers for its copies now; start them, or set `replicas`";
    return streamRefused(stream, why, cause);
  }
  if (code === apiCodes.nameInUse || code === apiCodes.subjectOverlap) return streamOther(stream, cause);
  return apiError(`create stream ${stream}`, cause);
}

/** A cluster finds no server for a stream if too few live, and if those that live lack room: only its words tell which. */
function isShortOfRoom(cause: unknown): boolean {
  return apiCode(cause) === apiCodes.noSuitablePeers && cause instanceof Error && /insufficient/i.test(cause.message);
}

function streamRefused(stream: string, why: string, cause: unknown): DormouseError {
  const message = `a stream could not be made: ${why}: stream=${stream}`;
  return new DormouseError("unavailable", "nats.no-room", message, { cause: plainCause(cause) });
}

export function streamOther(stream: string, cause?: unknown): DormouseError {
  const message =
    "another stream has the name or the subjects of one that is needed; delete or rename it, or use another `prefix`: " +
    `stream=${stream}`;
  return new DormouseError("invalid", "nats.stream", message, { cause: plainCause(cause) });
}

export function mailboxNoAck(stream: string, why: string, cause?: unknown): DormouseError {
  const message =
    `the mailbox did not acknowledge, ${why}; the message may be there or come later; send again with the same id: ` +
    `stream=${stream}`;
  return new DormouseError("unavailable", "mailbox.no-ack", message, { cause: plainCause(cause) });
}

export function mailboxFull(stream: string, why: string): DormouseError {
  const message = `the mailbox has no room, so the message was refused; let hosts take what it holds, or give it more room: stream=${stream} why=${why}`;
  return new DormouseError("unavailable", "mailbox.full", message);
}

export function mailboxInterrupted(stream: string, why: string, cause?: unknown): DormouseError {
  const message = `reading the mailbox was interrupted, ${why}; open a new reader behind a new barrier: stream=${stream}`;
  return new DormouseError("unavailable", "mailbox.interrupted", message, { cause: plainCause(cause) });
}

export function mailboxClosed(): DormouseError {
  return new DormouseError("closed", "mailbox.closed", "this mailbox or reader was closed here");
}

export function readerBusy(stream: string): DormouseError {
  const message = `a reader was asked for more while an earlier call still waits: stream=${stream}`;
  return new DormouseError("internal", "mailbox.reader-busy", message);
}

export function messageTooLarge(bytes: number, bytesMax: number): DormouseError {
  const message =
    "a message is larger than the NATS server takes, so it was not sent; send a reference to it, or raise max_payload: " +
    `bytes=${bytes} bytesMax=${bytesMax}`;
  return new DormouseError("invalid", "event.too-large", message);
}

export function membershipUnavailable(what: string, cause?: unknown): DormouseError {
  const forbidden = forbiddenIn(cause);
  const message =
    forbidden === undefined
      ? `membership did not answer; try again: call=${what}`
      : `the NATS server does not let this user do it; allow it, then it goes on: ${forbidden}: call=${what}`;
  return new DormouseError("unavailable", "membership.unavailable", message, { cause: plainCause(cause) });
}

export function channelNobody(subject: string): DormouseError {
  return new DormouseError("unavailable", "channel.nobody", `nobody serves this subject now: subject=${subject}`);
}

export function channelTimeout(subject: string, timeoutMs: number): DormouseError {
  const message = `no answer came in time; ask again, or allow more time: subject=${subject} timeoutMs=${timeoutMs}`;
  return new DormouseError("timeout", "channel.timeout", message);
}

export function channelFailed(subject: string, why: string): DormouseError {
  return new DormouseError("unavailable", "channel.failed", `${why}; ask again: subject=${subject}`);
}

export function optionInvalid(name: string, rule: string): DormouseError {
  return new DormouseError("invalid", "option.invalid", `an option cannot be used: ${rule}: option=${name}`);
}

/** JetStream's number of a refusal; `undefined` for what is none. */
export function apiCode(cause: unknown): number | undefined {
  return cause instanceof JetStreamApiError ? cause.code : undefined;
}

function isRefusal(cause: unknown): boolean {
  return cause instanceof AuthorizationError || cause instanceof UserAuthenticationExpiredError;
}

/** What may not be done, `publish subject=…` or `subscription subject=…`; the library may wrap it. */
function forbiddenIn(cause: unknown): string | undefined {
  if (cause instanceof PermissionViolationError) return `${cause.operation} subject=${cause.subject}`;
  return cause instanceof Error && cause.cause !== undefined ? forbiddenIn(cause.cause) : undefined;
}

/** Name and code of what happened, and JetStream's own words: they name streams and limits. */
function plainCause(cause: unknown): Error | undefined {
  if (!(cause instanceof Error)) return undefined;
  if (cause instanceof DormouseError) return cause;
  const inner: unknown = cause.cause;
  const code: unknown =
    "code" in cause ? cause.code : inner instanceof Error && "code" in inner ? inner.code : undefined;
  const told = cause instanceof JetStreamApiError ? ` ${cause.message}` : "";
  const plain = new Error(
    `${cause.name}${typeof code === "string" || typeof code === "number" ? ` ${code}` : ""}${told}`,
  );
  plain.name = cause.name;
  return plain;
}
