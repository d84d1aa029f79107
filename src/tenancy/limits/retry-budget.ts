import { BoundedMap } from "../../kernel/index.ts";

/** Share of a tenant's requests that may be tried again, and how many may be in any case. */
const SHARE = 0.2;
const FREE = 5;
const WINDOW_MS = 10_000;
const TENANTS_MAX = 10_000;

interface Use {
  startedMs: number;
  requests: number;
  retries: number;
}

/**
 * How often a tenant's requests may be tried again: at most a fifth of its recent requests, so that an upstream in trouble does not get
 * several times the load, and one tenant's trouble uses up nobody else's retries.
 */
export class RetryBudget {
  readonly #uses = new BoundedMap<string, Use>(TENANTS_MAX);

  /** A request of this tenant begins. */
  count(tenant: string, nowMs: number): void {
    this.#use(tenant, nowMs).requests++;
  }

  /** Whether one more try is allowed; it is counted if so. */
  take(tenant: string, nowMs: number): boolean {
    const use = this.#use(tenant, nowMs);
    if (use.retries >= Math.max(FREE, use.requests * SHARE)) return false;
    use.retries++;
    return true;
  }

  #use(tenant: string, nowMs: number): Use {
    const known = this.#uses.get(tenant);
    if (known && nowMs - known.startedMs < WINDOW_MS) return known;
    const fresh = { startedMs: nowMs, requests: 0, retries: 0 };
    this.#uses.set(tenant, fresh);
    return fresh;
  }
}
