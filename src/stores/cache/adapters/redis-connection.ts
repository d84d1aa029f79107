import { createClient } from "@redis/client";

/** Where Redis is, and who is told of what. */
export interface RedisConnectionOptions {
  /** `redis://` or `rediss://`, with credentials if there are any. */
  readonly url: string;
  /** Told when commands can be sent, also after each time it was lost. */
  readonly onReady: () => void;
  /** Told of what goes wrong on a connection, and whether it was in use. */
  readonly onError: (error: Error, wasReady: boolean) => void;
  /** Told of each change between reached and not; `error` says why not. */
  readonly onChange?: ((reached: boolean, error?: Error) => void) | undefined;
}

const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MS_MAX = 1_000;
const COMMANDS_MAX = 20_000;

/** A client of Redis 7 or newer. */
export type RedisClient = ReturnType<typeof openClient>;

/**
 * The connection of one user of Redis. It connects, and connects again, in the background. A command that cannot be sent now fails at once and
 * is never sent later.
 */
export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  #client: RedisClient;
  #reached: boolean | undefined;
  #closed = false;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#client = this.#open();
  }

  /** Another one after each `reopen`. */
  get client(): RedisClient {
    return this.#client;
  }

  /** Ends the connection with all that waits on it, and opens another. */
  reopen(reason: Error): void {
    if (this.#closed) return;
    if (this.#client.isOpen) this.#client.destroy();
    this.tell(false, reason);
    this.#client = this.#open();
  }

  /** Notes whether Redis is reached; whoever wants to know is told when that changes. */
  tell(reached: boolean, error?: Error): void {
    if (this.#reached === reached) return;
    this.#reached = reached;
    this.#options.onChange?.(reached, error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client.close().catch(() => this.#client.destroy());
  }

  #open(): RedisClient {
    const client = openClient(this.#options.url);
    client.on("error", (error: Error) => {
      if (client === this.#client) this.#options.onError(error, client.isReady);
    });
    client.on("ready", () => {
      if (client === this.#client) this.#options.onReady();
    });
    // it goes on by itself: that it is not there yet is told as an error
    client.connect().catch(() => {});
    return client;
  }
}

function openClient(url: string) {
  return createClient({
    url,
    disableOfflineQueue: true,
    commandsQueueMaxLength: COMMANDS_MAX,
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectStrategy: (retries) => Math.min(RECONNECT_MS_MAX, 20 * 2 ** Math.min(retries, 10)),
    },
  });
}
