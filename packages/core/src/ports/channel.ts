/**
 * Ephemeral messages by subject: replies, notices, reads. It may lose any of them; nothing durable rests on it.
 *
 * Drivers: memory, local (in process, and a socket for other processes), nats.
 *
 * C1  From one publisher to one subscriber of one subject, messages arrive in order, each at most once.
 * C2  A request that nobody serves is refused soon, not only at its time-out.
 */

export type Unsubscribe = () => void;

export interface Channel {
  /** Hands `bytes` to whoever subscribes to exactly this subject now. Never throws, never waits. */
  publish(subject: string, bytes: Uint8Array): void;
  subscribe(subject: string, handler: (bytes: Uint8Array) => void): Unsubscribe;
  /** Answers requests to this subject. What `handler` throws reaches the caller as `unavailable`: send errors as data. */
  serve(subject: string, handler: (bytes: Uint8Array) => Promise<Uint8Array>): Unsubscribe;
  /**
   * One answer from whoever serves the subject.
   *
   * @throws DormouseError `unavailable` (`channel.nobody`): nobody serves it; `timeout` (`channel.timeout`).
   */
  request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
}
