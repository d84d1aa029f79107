import type { Json, StoreLifecycle, StoreUse, TenantContext } from "../../kernel/index.ts";

/** What names a value inside its tenant, part by part; never joined. */
export type CacheKey = readonly [string, ...string[]];

/**
 * Values of one tenant that can be made again. Nothing here throws because a cache is down or full: what cannot be read is not there, and what
 * cannot be kept is not kept. No value outlives its time.
 */
export interface TenantCache {
  get(key: CacheKey): Promise<Json | undefined>;
  /** Keeps the value for so many milliseconds at most. */
  set(key: CacheKey, value: Json, ttlMs: number): Promise<void>;
  delete(key: CacheKey): Promise<void>;
  /**
   * The value, or what `make` gives, which is kept then. Those who ask for it in one process while it is being made wait for that one; what
   * `make` throws they all get, and it is not kept. A value that was deleted or set while another was being made is not overwritten by that.
   */
  getOrSet(key: CacheKey, ttlMs: number, make: () => Promise<Json>): Promise<Json>;
  /** Forgets all values of the tenant at once. */
  clear(): Promise<void>;
}

/** The cache of an installation. */
export interface CacheStore {
  /** The cache of the context's tenant. Cheap: may be called once per request. */
  forTenant(context: TenantContext): TenantCache;
  readonly lifecycle: StoreLifecycle;
  close(): Promise<void>;
}

/** What an engine has for a key. */
export interface CacheLookup {
  /** Changes when the tenant's values are cleared; a value belongs to the one it was sealed for. Undefined: the engine has none yet. */
  readonly generation: string | undefined;
  readonly stored: Buffer | undefined;
}

/**
 * Keeps values by tenant and digest of the key. It need not be trusted: what it gives is checked. Nothing here throws; undefined or false
 * means that it could not be done.
 */
export interface CacheEngine {
  lookup(tenant: string, digest: string): Promise<CacheLookup | undefined>;
  /** The generation that values of the tenant are sealed for now, made if there is none. */
  generation(tenant: string): Promise<string | undefined>;
  store(tenant: string, digest: string, value: Buffer, ttlMs: number): Promise<void>;
  remove(tenant: string, digest: string): Promise<boolean>;
  /** Changes the generation. */
  clear(tenant: string): Promise<boolean>;
  /** It gave something that is not the tenant's: whatever it is in the middle of is given up. */
  distrust(): void;
  /** Throws `dependency_unavailable` when the engine cannot be reached, like those below. */
  measure(tenant: string): Promise<StoreUse>;
  /** Removes every value of the tenant, also of older generations. */
  erase(tenant: string): Promise<void>;
  close(): Promise<void>;
}
