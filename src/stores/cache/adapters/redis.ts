import { RESP_TYPES } from "@redis/client";
import { Fault, type Random } from "../../../kernel/index.ts";
import { CACHE_TTL_MS_MAX } from "../cache-store.ts";
import type { CacheEngine } from "../port.ts";
import { type RedisClient, RedisConnection } from "./redis-connection.ts";

/** Where Redis is. */
export interface RedisCacheOptions {
  /** `redis://` or `rediss://`, with credentials if there are any. */
  readonly url: string;
  readonly random: Random;
  /** How long an answer is waited for. */
  readonly timeoutMs?: number;
  /** Told of each change between reached and not; `error` says why not. */
  readonly onChange?: (reached: boolean, error?: Error) => void;
}

const PREFIX = "freehold:cache:";
const TIMEOUT_MS = 250;
/** A generation outlives every value that was sealed for it. When it is over the tenant's values are made anew once. */
const GENERATION_MS = 2 * CACHE_TTL_MS_MAX;
const GENERATION_BYTES = 16;
const SCAN_COUNT = 1_000;
/** Life-cycle calls look at all keys, and may take longer. */
const SCAN_TIMEOUT_MS = 30_000;

const BYTES = { [RESP_TYPES.BLOB_STRING]: Buffer };

type Client = ReturnType<typeof readingBytes>;

/**
 * Values in Redis 7 or newer. A connection on which an answer is late is destroyed with everything that waits on it, so that no answer is ever
 * taken for another's; so is one that gave a value that is not the tenant's. Made at once; it connects, and connects again, in the background.
 */
export function createRedisCache(options: RedisCacheOptions): CacheEngine {
  return new RedisCache(options);
}

class RedisCache implements CacheEngine {
  readonly #options: RedisCacheOptions;
  readonly #connection: RedisConnection;

  constructor(options: RedisCacheOptions) {
    this.#options = options;
    this.#connection = new RedisConnection({
      url: options.url,
      onReady: () => this.#connection.tell(true),
      // also an answer that nobody asked for: whatever comes next on this connection belongs to something else
      onError: (error, wasReady) => (wasReady ? this.#connection.reopen(error) : this.#connection.tell(false, error)),
      onChange: options.onChange,
    });
  }

  async lookup(tenant: string, digest: string) {
    const reply = await this.#run((client) => client.mGet([generationKey(tenant), valueKey(tenant, digest)]));
    if (!Array.isArray(reply)) return undefined;
    const [generation, stored] = reply as unknown[]; // a reply can be one that belongs to something else
    return { generation: generationOf(generation), stored: Buffer.isBuffer(stored) ? stored : undefined };
  }

  async generation(tenant: string): Promise<string | undefined> {
    const made = this.#newGeneration();
    const expiration = { type: "PX", value: GENERATION_MS } as const;
    const reply: unknown = await this.#run((client) =>
      client.set(generationKey(tenant), made, { condition: "NX", GET: true, expiration }).then((before) => before ?? made),
    );
    return generationOf(reply);
  }

  async store(tenant: string, digest: string, value: Buffer, ttlMs: number): Promise<void> {
    await this.#run((client) => client.set(valueKey(tenant, digest), value, { expiration: { type: "PX", value: ttlMs } }));
  }

  async remove(tenant: string, digest: string): Promise<boolean> {
    return (await this.#run((client) => client.del(valueKey(tenant, digest)))) !== undefined;
  }

  async clear(tenant: string): Promise<boolean> {
    const expiration = { type: "PX", value: GENERATION_MS } as const;
    const reply = await this.#run((client) => client.set(generationKey(tenant), this.#newGeneration(), { expiration }));
    return reply !== undefined;
  }

  distrust(): void {
    this.#connection.reopen(new Error("a value of Redis was not the tenant's"));
  }

  async measure(tenant: string) {
    let [items, bytes] = [0, 0];
    await this.#scan(tenant, async (keys) => {
      for (const key of keys) {
        if (key.toString() === generationKey(tenant)) continue;
        items++;
        bytes += (await this.#must((client) => client.strLen(key))) + key.length;
      }
    });
    return { items, bytes };
  }

  async erase(tenant: string): Promise<void> {
    await this.#scan(tenant, async (keys) => {
      await this.#must((client) => client.unlink(keys));
    });
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** Every key of the tenant, a page at a time. The pattern holds nothing but the internal id. */
  async #scan(tenant: string, onPage: (keys: Buffer[]) => Promise<void>): Promise<void> {
    let cursor = "0";
    do {
      const page = await this.#must((client) => client.scan(cursor, { MATCH: `${PREFIX}{${tenant}}:*`, COUNT: SCAN_COUNT }));
      cursor = String(page.cursor);
      const keys = page.keys.map((key) => Buffer.from(key));
      if (keys.length > 0) await onPage(keys);
    } while (cursor !== "0");
  }

  async #must<T>(command: (client: Client) => Promise<T>): Promise<T> {
    const reply = await this.#run(command, SCAN_TIMEOUT_MS);
    if (reply === undefined) throw new Fault("dependency_unavailable", "Redis, where the cache is, is not reached");
    return reply;
  }

  /** What Redis answers in time; undefined when it does not, or refuses. */
  async #run<T>(command: (client: Client) => Promise<T>, timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS): Promise<T | undefined> {
    const { client } = this.#connection;
    if (!client.isReady) return undefined;
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => {
      // its answer would be taken for that of the next command
      if (client === this.#connection.client) this.#connection.reopen(new Error("Redis is silent"));
      resolve(undefined);
    }, timeoutMs);
    try {
      return await Promise.race([command(readingBytes(client)).catch(() => undefined), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Random and not counted: one that Redis has lost never comes back. */
  #newGeneration(): string {
    return Buffer.from(this.#options.random.bytes(GENERATION_BYTES)).toString("base64url");
  }
}

/** The tenant is a cluster's slot, so that both keys of a look-up are in one place. */
function valueKey(tenant: string, digest: string): string {
  return `${PREFIX}{${tenant}}:${digest}`;
}

function generationKey(tenant: string): string {
  return `${PREFIX}{${tenant}}:generation`;
}

function generationOf(reply: unknown): string | undefined {
  const text = Buffer.isBuffer(reply) ? reply.toString("latin1") : reply;
  return typeof text === "string" && /^[\w-]{22}$/.test(text) ? text : undefined;
}

/** Values are bytes. */
function readingBytes(client: RedisClient) {
  return client.withTypeMapping(BYTES);
}
