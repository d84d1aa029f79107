import { BoundedMap, type Clock } from "../../../kernel/index.ts";

/** When a breaker opens and closes. */
export interface BreakerSettings {
  readonly max_breaker_sec: number;
  readonly unhealthy: { readonly http_statuses: readonly number[]; readonly failures: number };
  readonly healthy: { readonly http_statuses: readonly number[]; readonly successes: number };
}

/** One breaker that has seen a failure. */
interface Breaker {
  failures: number;
  successes: number;
  /** When it last opened, monotonic milliseconds. */
  openedMs: number | undefined;
}

/** Breakers that have seen a failure and are remembered; one that was pushed out is closed. */
const BREAKERS_MAX = 100_000;

/**
 * Breakers by key. Each `failures`-th failure opens one for 2 seconds, then 4, 8 and so on up to `max_breaker_sec`; as many successes as
 * `successes` without a failure between them forget everything.
 */
export class Breakers {
  readonly #settings: BreakerSettings;
  readonly #clock: Clock;
  readonly #breakers = new BoundedMap<string, Breaker>(BREAKERS_MAX);
  readonly #bad: ReadonlySet<number>;
  readonly #good: ReadonlySet<number>;

  constructor(settings: BreakerSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#bad = new Set(settings.unhealthy.http_statuses);
    this.#good = new Set(settings.healthy.http_statuses);
  }

  /** No breaker has seen a failure: nothing has to be looked up. */
  get isIdle(): boolean {
    return this.#breakers.size === 0;
  }

  isFailure(status: number): boolean {
    return this.#bad.has(status);
  }

  /** How long calls are still answered here, in milliseconds; 0 when the upstream may be called. */
  restMs(key: string): number {
    const breaker = this.#breakers.get(key);
    if (breaker?.openedMs === undefined) return 0;
    const { unhealthy, max_breaker_sec: maxS } = this.#settings;
    const times = Math.max(1, Math.floor(breaker.failures / unhealthy.failures));
    return Math.max(0, breaker.openedMs + Math.min(2 ** times, maxS) * 1000 - this.#clock.monotonic());
  }

  answered(key: string, status: number): void {
    if (this.#bad.has(status)) this.#failed(key);
    else if (this.#good.has(status)) this.#succeeded(key);
  }

  #failed(key: string): void {
    const breaker = this.#breakers.get(key) ?? { failures: 0, successes: 0, openedMs: undefined };
    breaker.failures++;
    breaker.successes = 0;
    if (breaker.failures % this.#settings.unhealthy.failures === 0) breaker.openedMs = this.#clock.monotonic();
    this.#breakers.set(key, breaker);
  }

  #succeeded(key: string): void {
    const breaker = this.#breakers.get(key);
    if (breaker && ++breaker.successes >= this.#settings.healthy.successes) this.#breakers.delete(key);
  }
}
