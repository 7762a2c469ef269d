/** A plain connection to NATS, beside the drivers: what an operator, another client or an accident does. */
import { jetstreamManager, type ConsumerInfo, type JetStreamManager, type StreamInfo } from "@nats-io/jetstream";
import { connect, TimeoutError, type NatsConnection } from "@nats-io/transport-node";

export class RawNats {
  readonly connection: NatsConnection;
  readonly #jetstream: JetStreamManager;

  private constructor(connection: NatsConnection, jetstream: JetStreamManager) {
    this.connection = connection;
    this.#jetstream = jetstream;
  }

  static async connect(servers: string | string[]): Promise<RawNats> {
    const connection = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    return new RawNats(connection, await jetstreamManager(connection, { checkAPI: false }));
  }

  /** Asks again while servers elect a leader: until then nobody answers. */
  async info(stream: string): Promise<StreamInfo> {
    for (;;) {
      try {
        return await this.#jetstream.streams.info(stream);
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
      }
    }
  }

  /** The name of the server that answers what is not of one stream; it tells so after each question. */
  async apiLeader(): Promise<string> {
    const told = this.connection.subscribe("$JS.EVENT.ADVISORY.API", { max: 1 });
    await this.connection.flush();
    await this.#jetstream.streams.delete("nothing").catch(() => undefined);
    for await (const message of told) return message.json<{ readonly server: string }>().server;
    throw new Error("no server told of the question");
  }

  async addStream(name: string, subjects: string[]): Promise<void> {
    await this.#jetstream.streams.add({ name, subjects });
  }

  async deleteStream(stream: string): Promise<void> {
    await this.#jetstream.streams.delete(stream);
  }

  /** Deletes a stream and makes another of the same settings. */
  async remakeStream(stream: string): Promise<void> {
    const { config } = await this.info(stream);
    await this.deleteStream(stream);
    await this.#jetstream.streams.add(config);
  }

  async deleteStreams(prefix: string): Promise<void> {
    for await (const { config } of this.#jetstream.streams.list()) {
      if (config.name.startsWith(`${prefix}_`) || config.name.startsWith(`KV_${prefix}_`)) {
        await this.deleteStream(config.name);
      }
    }
  }

  /** Deletes the consumers of a stream; waits for one where there is none yet. */
  async deleteConsumers(stream: string): Promise<void> {
    for (let deleted = 0; deleted === 0;) {
      for await (const { name } of this.#jetstream.consumers.list(stream)) {
        await this.#jetstream.consumers.delete(stream, name);
        deleted += 1;
      }
    }
  }

  async firstConsumer(stream: string): Promise<ConsumerInfo> {
    for (;;) for await (const info of this.#jetstream.consumers.list(stream)) return info;
  }

  async consumers(stream: string): Promise<number> {
    return (await this.info(stream)).state.consumer_count;
  }

  /** Lowers a stream's limit to what it holds. */
  async fill(stream: string): Promise<void> {
    const { state } = await this.info(stream);
    await this.#jetstream.streams.update(stream, { max_bytes: Math.max(state.bytes, 1) });
  }

  /** Resolves when it is connected again after a server was killed. */
  async whenUp(): Promise<void> {
    for (let isUp = false; !isUp;) {
      isUp = await this.connection.rtt().then(
        () => true,
        () => false,
      );
      // It is refused at once while the connection is down; what brings it up needs the event loop.
      if (!isUp) await new Promise((resolve) => void setTimeout(resolve, 20));
    }
  }

  close(): Promise<void> {
    return this.connection.close();
  }
}
