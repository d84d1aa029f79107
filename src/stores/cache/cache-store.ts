import { createHash } from "node:crypto";
import { BoundedMap, type Clock, Fault, type Json, partsToBytes, type StoreTenant, toFault } from "../../kernel/index.ts";
import type { SealPlace, TenantVault, VaultStore } from "../vault/index.ts";
import { cacheLifecycle } from "./lifecycle.ts";
import type { CacheEngine, CacheKey, CacheStore, TenantCache } from "./port.ts";

/** What the cache is made of. */
export interface CacheStoreOptions {
  readonly engine: CacheEngine;
  /** Seals values: whatever keeps them learns nothing, and without the tenant's key nobody reads them. */
  readonly vault: Pick<VaultStore, "forTenant">;
  readonly clock: Clock;
  /** Told of values that are not the tenant's, and of nothing else. */
  readonly report: (fault: Fault) => void;
}

/** A value is kept for a day at most. */
export const CACHE_TTL_MS_MAX = 86_400_000;
/** A larger value is not kept. */
const VALUE_BYTES_MAX = 1024 * 1024;
const EXPIRY_BYTES = 8;
/** Tenants whose values could not be deleted because the engine was away. One that has to make room could read an old value until its time. */
const UNCLEARED_MAX = 100_000;

/** A value being made. */
interface Flight {
  readonly made: Promise<string>;
  /** The key was written or deleted meanwhile: what is being made is not kept. */
  stale: boolean;
}

/** The cache over this engine. */
export function createCacheStore(options: CacheStoreOptions): CacheStore {
  const cache = new SealedCache(options);
  return {
    forTenant: ({ tenant }) => cache.forTenant(tenant),
    lifecycle: cacheLifecycle(options.engine, (tenant) => cache.forTenant(tenant).clear()),
    close: () => options.engine.close(),
  };
}

class SealedCache {
  readonly #options: CacheStoreOptions;
  /** By tenant, then by digest. */
  readonly #flights = new Map<string, Map<string, Flight>>();
  readonly #uncleared = new BoundedMap<string, true>(UNCLEARED_MAX);

  constructor(options: CacheStoreOptions) {
    this.#options = options;
  }

  forTenant(tenant: StoreTenant): TenantCache {
    const { uuid } = tenant;
    const vault = this.#options.vault.forTenant(tenant);
    return {
      get: async (key) => parse((await this.#read(vault, uuid, digestOf(key))).text),
      set: async (key, value, ttlMs) => {
        const digest = digestOf(key);
        this.#ground(uuid, digest);
        await this.#write(vault, uuid, { digest, text: JSON.stringify(value), ttlMs: checkTtl(ttlMs) });
      },
      delete: async (key) => {
        const digest = digestOf(key);
        this.#ground(uuid, digest);
        if (!(await this.#options.engine.remove(uuid, digest))) this.#uncleared.set(uuid, true);
      },
      getOrSet: async (key, ttlMs, make) => {
        const text = await this.#fly(vault, uuid, digestOf(key), checkTtl(ttlMs), make);
        return JSON.parse(text) as Json; // our own text; each of those who wait gets a value of its own
      },
      clear: async () => {
        this.#groundAll(uuid);
        if (await this.#options.engine.clear(uuid)) this.#uncleared.delete(uuid);
        else this.#uncleared.set(uuid, true);
      },
    };
  }

  async #fly(vault: TenantVault, tenant: string, digest: string, ttlMs: number, make: () => Promise<Json>): Promise<string> {
    const flights = this.#flights.get(tenant) ?? new Map<string, Flight>();
    this.#flights.set(tenant, flights);
    const under = flights.get(digest);
    if (under) return await under.made;
    const work = async (): Promise<string> => {
      const { text, generation } = await this.#read(vault, tenant, digest);
      if (text !== undefined) return text;
      const made = JSON.stringify(await make());
      if (!flight.stale) await this.#write(vault, tenant, { digest, text: made, ttlMs, generation });
      return made;
    };
    const flight: Flight = { made: Promise.resolve().then(work), stale: false };
    flights.set(digest, flight);
    try {
      return await flight.made;
    } finally {
      if (flights.get(digest) === flight) flights.delete(digest);
      if (flights.size === 0 && this.#flights.get(tenant) === flights) this.#flights.delete(tenant);
    }
  }

  #ground(tenant: string, digest: string): void {
    const flights = this.#flights.get(tenant);
    const flight = flights?.get(digest);
    if (!flight) return;
    flight.stale = true;
    flights?.delete(digest); // whoever asks from now on has it made anew
  }

  #groundAll(tenant: string): void {
    for (const digest of this.#flights.get(tenant)?.keys() ?? []) this.#ground(tenant, digest);
  }

  /** The value that is kept under this key and is this tenant's, sealed for this key, and in its time. */
  async #read(
    vault: TenantVault,
    tenant: string,
    digest: string,
  ): Promise<{ readonly text?: string; readonly generation: string | undefined }> {
    const { engine, clock, report } = this.#options;
    if (!(await this.#isCleared(tenant))) return { generation: undefined };
    const { generation, stored } = (await engine.lookup(tenant, digest)) ?? {};
    if (generation === undefined || !stored) return { generation };
    try {
      const sealed = unwrap(stored, tenant, digest, generation);
      const opened = sealed && (await vault.open(placeOf(generation, digest), sealed));
      if (!opened || Number(opened.readBigUInt64BE()) <= clock.now()) return { generation };
      return { text: opened.toString("utf8", EXPIRY_BYTES), generation };
    } catch (error) {
      const cause = toFault(error);
      if (cause.code === "isolation_violation") {
        report(new Fault("isolation_violation", "the cache gave a value that is not of this tenant and key", { cause }));
        engine.distrust();
      }
      return { generation: undefined };
    }
  }

  async #write(
    vault: TenantVault,
    tenant: string,
    { digest, text, ttlMs, generation }: { digest: string; text: string; ttlMs: number; generation?: string | undefined },
  ): Promise<void> {
    const { engine, clock } = this.#options;
    if (Buffer.byteLength(text) > VALUE_BYTES_MAX || !(await this.#isCleared(tenant))) return;
    const current = generation ?? (await engine.generation(tenant));
    if (current === undefined) return;
    const plain = Buffer.alloc(EXPIRY_BYTES + Buffer.byteLength(text));
    plain.writeBigUInt64BE(BigInt(clock.now() + ttlMs));
    plain.write(text, EXPIRY_BYTES);
    try {
      const sealed = await vault.seal(placeOf(current, digest), plain);
      await engine.store(tenant, digest, Buffer.concat([Buffer.from(nameOf(tenant, digest, current)), sealed]), ttlMs);
    } catch {
      // the tenant's key cannot be had now: nothing is kept
    }
  }

  /** Whether nothing is left to forget from a time when the engine was away; if there is, it is forgotten now. */
  async #isCleared(tenant: string): Promise<boolean> {
    if (this.#uncleared.peek(tenant) === undefined) return true;
    if (!(await this.#options.engine.clear(tenant))) return false;
    this.#uncleared.delete(tenant);
    return true;
  }
}

/** What a stored value says in front of which tenant and key it is, and of which generation. */
function nameOf(tenant: string, digest: string, generation: string): string {
  return `${tenant} ${digest} ${generation} `;
}

/**
 * The sealed part; undefined when it was stored before the tenant's values were cleared. Throws `isolation_violation` when it says that it is
 * somebody else's. What it says is only believed once the seal has been opened.
 */
function unwrap(stored: Buffer, tenant: string, digest: string, generation: string): Buffer | undefined {
  const own = nameOf(tenant, digest, generation);
  const said = stored.toString("latin1", 0, own.length);
  if (said === own) return stored.subarray(own.length);
  if (said.startsWith(`${tenant} ${digest} `)) return undefined;
  throw new Fault("isolation_violation", "a stored value names another tenant or key, or nothing");
}

function digestOf(key: CacheKey): string {
  return createHash("sha256").update(partsToBytes(key)).digest("base64url");
}

function placeOf(generation: string, digest: string): SealPlace {
  return { purpose: "cache", table: "cache", column: "value", row: [generation, digest] };
}

function parse(text: string | undefined): Json | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as Json); // sealed by us, from JSON
}

function checkTtl(ttlMs: number): number {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > CACHE_TTL_MS_MAX) {
    throw new RangeError(`a value is kept for 1 to ${CACHE_TTL_MS_MAX} whole milliseconds, not ${ttlMs}`);
  }
  return ttlMs;
}
