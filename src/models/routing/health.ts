import { BoundedMap } from "../../kernel/index.ts";

const TENANTS_MAX = 10_000;
const TARGETS_MAX = 200;
/** Failures in a row after which a target is given a rest, and how long. */
const FAILURES_MAX = 3;
const REST_MS = 10_000;
const REST_MS_MAX = 60_000;
const LATENCY_WEIGHT = 0.2;

interface Known {
  failures: number;
  restUntilMs: number;
  firstByteMs: number | undefined;
}

/**
 * How targets have answered one tenant lately. It is that tenant's alone: whoever has a failing provider, or a key that is out of quota, takes
 * it from nobody else.
 */
export class TargetHealth {
  readonly #tenants = new BoundedMap<string, BoundedMap<string, Known>>(TENANTS_MAX);

  succeeded(tenant: string, target: string, firstByteMs: number): void {
    const known = this.#of(tenant, target);
    known.failures = 0;
    known.restUntilMs = 0;
    known.firstByteMs =
      known.firstByteMs === undefined ? firstByteMs : known.firstByteMs + LATENCY_WEIGHT * (firstByteMs - known.firstByteMs);
  }

  /** `restMs` is what the provider itself has asked for. */
  failed(tenant: string, target: string, nowMs: number, restMs?: number): void {
    const known = this.#of(tenant, target);
    known.failures++;
    if (restMs !== undefined) known.restUntilMs = nowMs + Math.min(restMs, REST_MS_MAX);
    else if (known.failures >= FAILURES_MAX) known.restUntilMs = nowMs + REST_MS;
  }

  /** Whether it is being given a rest: it is tried only when nothing else is left. */
  rests(tenant: string, target: string, nowMs: number): boolean {
    return (this.#tenants.get(tenant)?.get(target)?.restUntilMs ?? 0) > nowMs;
  }

  /** Milliseconds to its first byte, lately; 0 for one that was never asked, so that it is. */
  firstByteMs(tenant: string, target: string): number {
    return this.#tenants.get(tenant)?.get(target)?.firstByteMs ?? 0;
  }

  #of(tenant: string, target: string): Known {
    const ofTenant = this.#tenants.get(tenant) ?? new BoundedMap<string, Known>(TARGETS_MAX);
    this.#tenants.set(tenant, ofTenant);
    const known = ofTenant.get(target) ?? { failures: 0, restUntilMs: 0, firstByteMs: undefined };
    ofTenant.set(target, known);
    return known;
  }
}
