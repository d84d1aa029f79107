import type {
  BucketLimit,
  ExactLimits,
  LimitKey,
  Limits,
  LimitScope,
  Slot,
  WindowDecision,
  WindowLimit,
} from "../../tenancy/limits/index.ts";

/** Limits that can all begin anew, as for a document that is applied fresh: what was counted before is never looked at again. */
export class RenewedLimits implements Limits {
  readonly exact: ExactLimits;
  readonly defaultScope: LimitScope;
  readonly #limits: Limits;
  #generation = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.defaultScope = limits.defaultScope;
    const { exact } = limits;
    this.exact = {
      window: (key, limit, cost) => exact.window(this.#own(key), limit, cost),
      bucket: (key, limit) => exact.bucket(this.#own(key), limit),
      slot: (key, max, scope) => exact.slot(this.#own(key), max, scope),
    };
  }

  /** Everything is at its beginning. */
  renew(): void {
    this.#generation++;
  }

  window(key: LimitKey, limit: WindowLimit, cost?: number): WindowDecision {
    return this.#limits.window(this.#own(key), limit, cost);
  }

  bucket(key: LimitKey, limit: BucketLimit): ReturnType<Limits["bucket"]> {
    return this.#limits.bucket(this.#own(key), limit);
  }

  slot(key: LimitKey, max: number, scope?: LimitScope): Slot | undefined {
    return this.#limits.slot(this.#own(key), max, scope);
  }

  inUse(key: LimitKey, scope?: LimitScope): number {
    return this.#limits.inUse(this.#own(key), scope);
  }

  #own(key: LimitKey): LimitKey {
    if (this.#generation === 0) return key;
    const [tenant, ...parts] = key;
    return [tenant, `#${this.#generation}`, ...parts];
  }
}
