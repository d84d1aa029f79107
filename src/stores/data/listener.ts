import pg from "pg";
import { Fault } from "../../kernel/index.ts";
import { toDataFault } from "./data-fault.ts";

interface Subscription {
  readonly onMessage: (payload: string) => void;
  readonly onGap: () => void;
  /** Whether its first attempt to listen is over, so that a later connection is one after a loss. */
  established: boolean;
}

/** Hears NOTIFY for the whole process. */
export interface Listener {
  listen(channel: string, onMessage: (payload: string) => void, onGap: () => void): Promise<() => Promise<void>>;
  /** Runs this on the connection, and on each that takes its place. */
  keep(text: string): Promise<void>;
  /** Listens on this connection from now on (embedded engine: its one connection). */
  attach(client: pg.ClientBase): Promise<void>;
  close(): Promise<void>;
}

/** How long to wait before a lost connection is tried again. */
const RECONNECT_MS = 500;
/** A connection that only listens would not notice a peer that is gone. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelayMillis: 10_000, connectionTimeoutMillis: 10_000 };
const CHANNEL = /^[a-z_]{1,60}$/;

/** Where the listener gets connections: one of its own, or, with the embedded engine, the one that everybody shares. */
export type ListenerSource =
  | { readonly kind: "dedicated"; readonly url: string; readonly report: (fault: Fault) => void }
  | { readonly kind: "shared"; readonly run: (text: string) => Promise<void> };

/**
 * Subscriptions to notification channels that survive the loss of the connection: after each new one all channels are listened to again
 * and every subscriber is told that it may have missed something.
 */
export function createListener(source: ListenerSource): Listener {
  const channels = new Map<string, Set<Subscription>>();
  const kept: string[] = [];
  const dedicated =
    source.kind === "dedicated" ? new DedicatedConnection(source.url, source.report, (client) => attach(client)) : undefined;

  const attach = async (client: pg.ClientBase): Promise<void> => {
    client.on("notification", ({ channel, payload }) => {
      for (const { onMessage } of channels.get(channel) ?? []) onMessage(payload ?? "");
    });
    for (const text of [...kept, ...[...channels.keys()].map((channel) => `listen ${channel}`)]) await client.query(text);
    for (const subscriptions of channels.values()) for (const { onGap, established } of subscriptions) if (established) onGap();
  };

  const run = async (text: string): Promise<void> => {
    if (source.kind === "shared") await source.run(text);
    else await dedicated?.run(text);
  };

  return {
    attach,
    async keep(text) {
      kept.push(text);
      await run(text);
    },
    async listen(channel, onMessage, onGap) {
      if (!CHANNEL.test(channel)) throw new RangeError(`not a channel name: ${channel}`);
      const subscription: Subscription = { onMessage, onGap, established: false };
      const subscriptions = channels.get(channel) ?? new Set();
      subscriptions.add(subscription);
      channels.set(channel, subscriptions);
      await run(`listen ${channel}`);
      subscription.established = true;
      return async () => {
        subscriptions.delete(subscription);
      };
    },
    close: async () => await dedicated?.close(),
  };
}

/** A connection that is opened again whenever it is lost. */
class DedicatedConnection {
  readonly #url: string;
  readonly #report: (fault: Fault) => void;
  readonly #attach: (client: pg.ClientBase) => Promise<void>;
  #client: pg.Client | undefined;
  #connecting: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(url: string, report: (fault: Fault) => void, attach: (client: pg.ClientBase) => Promise<void>) {
    this.#url = url;
    this.#report = report;
    this.#attach = attach;
  }

  async run(text: string): Promise<void> {
    if (!this.#client) await this.#reconnect();
    // the connection may have come up before this was known; one that is lost meanwhile does it again when it is back
    await this.#client?.query(text).catch((error: unknown) => this.#report(toDataFault(error)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#connecting;
    await this.#client?.end();
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({ connectionString: this.#url, application_name: "freehold-listen", ...KEEP_ALIVE });
    client.on("error", (error) => this.#report(new Fault("dependency_unavailable", error.message, { cause: error })));
    client.on("end", () => {
      if (this.#client === client) this.#client = undefined;
      this.#again();
    });
    await client.connect();
    await this.#attach(client).catch(async (error: unknown) => {
      await client.end();
      throw error;
    });
    this.#client = client;
  }

  async #reconnect(): Promise<void> {
    if (this.#closed) return;
    this.#connecting ??= this.#connect()
      .catch((error: unknown) => {
        this.#report(toDataFault(error));
        this.#again();
      })
      .finally(() => {
        this.#connecting = undefined;
      });
    await this.#connecting;
  }

  #again(): void {
    if (this.#closed || this.#retry) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      void this.#reconnect();
    }, RECONNECT_MS).unref();
  }
}
