import { BoundedMap, type Clock } from "../../kernel/index.ts";
import type { DataKey } from "./port.ts";

/** How long and how many unwrapped keys are kept in memory. */
export interface KeyCacheBounds {
  /** How long a key is used without asking its root key again, at most. */
  readonly keyTtlMs: number;
  readonly tenantsMax: number;
}

/** Keys of one tenant, all purposes and versions together; more are forgotten at once and read again. */
const KEYS_PER_TENANT_MAX = 64;
/** So long a failure is the answer, so that not every request waits for a root key that is down. */
const FAILURE_MS = 1_000;

interface Entry {
  readonly loading: Promise<DataKey | undefined>;
  /** Whether there is no key in it. */
  failed: boolean;
  /** When it is not used any more. */
  untilMs: number;
  /** When it may be loaded anew in the background. */
  renewMs: number;
}

/**
 * Unwrapped keys in memory. One that is in use is loaded anew in the background when half its time is over, so that nobody waits; when that
 * fails it serves until its time is over and no longer.
 */
export class KeyCache {
  readonly #tenants: BoundedMap<string, Map<string, Entry>>;
  readonly #clock: Clock;
  readonly #ttlMs: number;

  constructor({ keyTtlMs, tenantsMax }: KeyCacheBounds, clock: Clock) {
    this.#tenants = new BoundedMap(tenantsMax);
    this.#clock = clock;
    this.#ttlMs = keyTtlMs;
  }

  /** The key of this name, undefined when there is none; those who ask at the same time wait for one and the same load. */
  get(tenant: string, name: string, load: () => Promise<DataKey | undefined>): Promise<DataKey | undefined> {
    const nowMs = this.#clock.monotonic();
    const keys = this.#keysOf(tenant);
    const entry = keys.get(name);
    if (!entry || nowMs >= entry.untilMs) return this.#load(keys, name, load).loading;
    if (nowMs >= entry.renewMs) this.#renew(keys, name, entry, load);
    return entry.loading;
  }

  /** The tenant's keys are not used any more; a load under way is not kept. */
  forget(tenant: string): void {
    this.#tenants.delete(tenant);
  }

  forgetAll(): void {
    this.#tenants.clear();
  }

  /** How many keys of the tenant are in memory. */
  count(tenant: string): number {
    return [...(this.#tenants.peek(tenant)?.values() ?? [])].filter(({ failed }) => !failed).length;
  }

  #keysOf(tenant: string): Map<string, Entry> {
    let keys = this.#tenants.get(tenant);
    if (!keys) this.#tenants.set(tenant, (keys = new Map<string, Entry>()));
    if (keys.size >= KEYS_PER_TENANT_MAX) keys.clear();
    return keys;
  }

  #load(keys: Map<string, Entry>, name: string, load: () => Promise<DataKey | undefined>): Entry {
    const nowMs = this.#clock.monotonic();
    const untilMs = nowMs + this.#ttlMs;
    const entry: Entry = { loading: load(), failed: false, untilMs, renewMs: nowMs + this.#ttlMs / 2 };
    const end = (afterMs: number): void => {
      entry.failed = true;
      entry.untilMs = Math.min(entry.untilMs, this.#clock.monotonic() + afterMs);
      entry.renewMs = entry.untilMs;
    };
    entry.loading.then(
      (key) => key ?? end(0), // one that is not there can be made at any moment
      () => end(FAILURE_MS),
    );
    keys.set(name, entry);
    return entry;
  }

  #renew(keys: Map<string, Entry>, name: string, old: Entry, load: () => Promise<DataKey | undefined>): void {
    old.renewMs = this.#clock.monotonic() + FAILURE_MS;
    const fresh = new Map<string, Entry>();
    const entry = this.#load(fresh, name, load);
    entry.loading.then(
      (key) => {
        if (key && keys.get(name) === old) keys.set(name, entry);
      },
      () => {}, // the old one serves until its time is over, then the failure is told
    );
  }
}
