/**
 * Servers in containers, by the optional peer `testcontainers`, which is loaded when it is first asked for.
 *
 * Leaves to others: images, commands and when a server is ready (`nats.ts`, `s3.ts`). That containers end with a process
 * that is killed is the doing of testcontainers' reaper, where one runs.
 */
import type * as testcontainers from "testcontainers";
import type { Runner } from "./runner.ts";

type Library = typeof testcontainers;
type EngineClient = Awaited<ReturnType<Library["getContainerRuntimeClient"]>>;

/** Why there can be no containers here, in words; `undefined` when there can. */
export async function whyNoContainers(): Promise<string | undefined> {
  const library = await load();
  if (library === undefined) return "the package testcontainers is not installed (npm install -D testcontainers)";
  try {
    await library.getContainerRuntimeClient();
    return undefined;
  } catch {
    return "no container engine answers (start Docker, or name one in DOCKER_HOST)";
  }
}

async function load(): Promise<Library | undefined> {
  return import("testcontainers").catch(() => undefined);
}

export interface ContainerOptions {
  /** By which the others of its network reach it. */
  readonly name: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Texts by path. */
  readonly files: Readonly<Record<string, string>>;
  /** Ports of loopback by ports inside: fixed, so that they outlast a restart. */
  readonly ports: ReadonlyMap<number, number>;
}

/** Containers that reach each other by name. */
export class ContainerNetwork {
  readonly #library: Library;
  readonly #network: testcontainers.StartedNetwork;

  private constructor(library: Library, network: testcontainers.StartedNetwork) {
    this.#library = library;
    this.#network = network;
  }

  static async open(): Promise<ContainerNetwork> {
    const library = await import("testcontainers");
    return new ContainerNetwork(library, await new library.Network().start());
  }

  container(image: string, options: ContainerOptions): Runner {
    const { GenericContainer } = this.#library;
    const container = new GenericContainer(image)
      .withNetwork(this.#network)
      .withNetworkAliases(options.name)
      .withCommand([...options.command])
      .withEnvironment({ ...options.environment })
      .withCopyContentToContainer(Object.entries(options.files).map(([target, content]) => ({ target, content })))
      .withExposedPorts(...[...options.ports].map(([inside, host]) => ({ container: inside, host })));
    return new ContainerRunner(this.#library, container);
  }

  async close(): Promise<void> {
    await this.#network.stop();
  }
}

class ContainerRunner implements Runner {
  readonly #library: Library;
  readonly #container: testcontainers.GenericContainer;
  #started: testcontainers.StartedTestContainer | undefined;
  #pid: number | undefined;

  constructor(library: Library, container: testcontainers.GenericContainer) {
    this.#library = library;
    this.#container = container;
  }

  get pid(): number | undefined {
    return this.#pid;
  }

  get isRunning(): boolean {
    return this.#pid !== undefined;
  }

  get output(): string {
    return `(see the logs of container ${this.#started?.getId() ?? "that was not made"})`;
  }

  async start(): Promise<void> {
    if (this.#pid !== undefined) return;
    if (this.#started === undefined) this.#started = await this.#container.start();
    else await (await this.#engineContainer()).start();
    this.#pid = (await (await this.#engineContainer()).inspect()).State.Pid;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#pid === undefined) return;
    const container = await this.#engineContainer();
    const ended: Promise<unknown> = container.wait();
    await container.kill({ signal });
    await ended;
    this.#pid = undefined;
  }

  async close(): Promise<void> {
    await this.#started?.stop({ timeout: 0 });
    this.#started = undefined;
    this.#pid = undefined;
  }

  async #engineContainer(): Promise<ReturnType<EngineClient["container"]["getById"]>> {
    const client = await this.#library.getContainerRuntimeClient();
    return client.container.getById(this.#started?.getId() ?? "");
  }
}
