import { Fault } from "../kernel/index.ts";
import type { BreakerPass, CallOutcome } from "./breaker.ts";
import type { Slot } from "../tenancy/limits/index.ts";

/** What an attempt holds and gives back. */
export interface AttemptParts {
  readonly slot: Slot;
  /** Undefined for an agent that is not called over the network. */
  readonly pass: BreakerPass | undefined;
  readonly timeoutMs: number;
  /** Aborts when the caller goes away. */
  readonly caller: AbortSignal;
}

/**
 * One call of an agent. However it ends (whole, fault, time limit, caller gone, or a reader that simply stops reading), the slot goes
 * back, the breaker hears of it, the timer is cleared and the connection is let go, all exactly once.
 */
export interface Attempt {
  /** Aborts when the attempt has ended. */
  readonly signal: AbortSignal;
  /** Waits for the agent. Rejects at once when the attempt ends, even if the agent never settles. */
  wait<T>(work: () => Promise<T>): Promise<T>;
  /** Ends the attempt. Only the first call counts. */
  end(outcome: CallOutcome, reason?: unknown): void;
}

/** An attempt whose time runs from now. */
export function startAttempt({ slot, pass, timeoutMs, caller }: AttemptParts): Attempt {
  const controller = new AbortController();
  const { signal } = controller;
  let waiting = false;
  let ended = false;

  function end(outcome: CallOutcome, reason?: unknown): void {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    caller.removeEventListener("abort", onCallerGone);
    slot.release();
    pass?.end(outcome);
    controller.abort(reason);
  }

  // a reader that does not read is no fault of the agent
  const timer = setTimeout(() => end(waiting ? "failed" : "abandoned", timedOut(timeoutMs)), timeoutMs);
  const onCallerGone = (): void => end("abandoned", caller.reason);
  caller.addEventListener("abort", onCallerGone);
  if (caller.aborted) onCallerGone();

  return {
    signal,
    end,
    async wait(work) {
      signal.throwIfAborted();
      waiting = true;
      try {
        return await untilAborted(work(), signal);
      } finally {
        waiting = false;
      }
    },
  };
}

function timedOut(timeoutMs: number): Fault {
  const detail = `The agent did not finish its answer within ${timeoutMs} ms.`;
  return new Fault("upstream_timeout", detail, { public: { detail } });
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(reasonOf(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    // the rejection of work that nobody waits for any more ends here too, instead of ending the process
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error("the call of the agent was given up", { cause: reason });
}
