import { BoundedMap, type Clock, Fault, type FaultCode } from "../kernel/index.ts";

/** Failures in a row that open a circuit. */
export const BREAKER_FAILURES_MAX = 5;
/** How long an open circuit refuses before it lets one call try. */
export const BREAKER_REST_MS = 10_000;
/** What a caller is told to wait while another call is trying. */
export const BREAKER_PROBE_RETRY_MS = 1_000;

/** Tenants whose circuits are remembered; a forgotten one is closed. */
const TENANTS_MAX = 10_000;
/** Origins per tenant. Counted per tenant, so that a tenant that keeps changing its address pushes out only its own circuits. */
const ORIGINS_MAX = 16;

/** How one call ended. `abandoned`: nothing was learnt about the agent, for example because the caller went away. */
export type CallOutcome = "succeeded" | "failed" | "abandoned";

/** Leave for one call. */
export interface BreakerPass {
  /** Tells how the call ended. Only the first telling counts. */
  end(outcome: CallOutcome): void;
}

/**
 * Gives an agent that fails a rest. One circuit per tenant and origin: the failing agent of one tenant never closes the way for another,
 * not even when both use the same address.
 */
export interface Breaker {
  /** Leave for one call. Throws `circuit_open` with `retryAfterMs`. */
  enter(tenantUuid: string, origin: string): BreakerPass;
}

interface Circuit {
  /** Counts the changes between open, trying and closed: a call that began before the last one has no say any more. */
  generation: number;
  failures: number;
  /** Monotonic milliseconds; undefined while closed. */
  openedAt: number | undefined;
  probing: boolean;
}

const UPSTREAM_FAULTS: ReadonlySet<FaultCode> = new Set(["upstream_invalid", "upstream_unreachable", "upstream_timeout"]);

/** What an error says about the agent: `failed` for a fault of the agent's own, `abandoned` for refusals of ours and for callers who left. */
export function outcomeOf(error: unknown): CallOutcome {
  return error instanceof Fault && UPSTREAM_FAULTS.has(error.code) ? "failed" : "abandoned";
}

/** A breaker that reads time from the clock only. */
export function createBreaker(clock: Clock): Breaker {
  const tenants = new BoundedMap<string, BoundedMap<string, Circuit>>(TENANTS_MAX);

  function circuitOf(tenantUuid: string, origin: string): Circuit {
    const circuits = tenants.get(tenantUuid) ?? new BoundedMap<string, Circuit>(ORIGINS_MAX);
    tenants.set(tenantUuid, circuits);
    const circuit = circuits.get(origin) ?? { generation: 0, failures: 0, openedAt: undefined, probing: false };
    circuits.set(origin, circuit);
    return circuit;
  }

  return {
    enter(tenantUuid, origin) {
      const circuit = circuitOf(tenantUuid, origin);
      admit(circuit, clock);
      const { generation } = circuit;
      let ended = false;
      return {
        end(outcome) {
          if (ended) return;
          ended = true;
          if (circuit.generation === generation) settle(circuit, outcome, clock);
        },
      };
    },
  };
}

function admit(circuit: Circuit, clock: Clock): void {
  if (circuit.openedAt === undefined) return;
  const restMs = circuit.openedAt + BREAKER_REST_MS - clock.monotonic();
  if (restMs > 0) throw refused(restMs);
  if (circuit.probing) throw refused(BREAKER_PROBE_RETRY_MS);
  circuit.probing = true;
  circuit.generation++;
}

function settle(circuit: Circuit, outcome: CallOutcome, clock: Clock): void {
  const { probing } = circuit;
  circuit.probing = false;
  if (outcome === "abandoned") return; // an abandoned probe leaves the circuit open and the next call becomes the probe
  circuit.failures = outcome === "failed" ? circuit.failures + 1 : 0;
  if (outcome === "succeeded" && probing) change(circuit, undefined);
  if (outcome === "failed" && (probing || circuit.failures >= BREAKER_FAILURES_MAX)) change(circuit, clock.monotonic());
}

function change(circuit: Circuit, openedAt: number | undefined): void {
  circuit.openedAt = openedAt;
  circuit.generation++;
}

function refused(waitMs: number): Fault {
  const retryAfterMs = Math.ceil(waitMs);
  return new Fault("circuit_open", `circuit open for another ${retryAfterMs} ms`, { public: { retryAfterMs } });
}
