import { Fault, type TenantContext } from "../kernel/index.ts";
import type { Answer } from "../wire/index.ts";

/** One request under way for a tenant. */
export interface LiveRequest {
  /** Aborts with the caller, or when the tenant may no longer be served. */
  readonly signal: AbortSignal;
  /** Why the tenant may no longer be served; undefined as long as it may. */
  readonly stopped: Fault | undefined;
  end(): void;
}

/** Something under way for a tenant that can be ended from outside. */
export interface Stoppable {
  /** Called at most once, when the tenant may no longer be served. */
  stop(fault: Fault): void;
}

/** The requests under way per tenant, so that a suspension ends streams and sockets that are already open. */
export interface LiveRequests {
  /** From now on it ends when its tenant does. `leave` must follow. */
  enter(tenant: TenantContext["tenant"], request: Stoppable): void;
  leave(tenant: TenantContext["tenant"], request: Stoppable): void;
  begin(context: TenantContext, caller: AbortSignal | undefined): LiveRequest;
  /** Ends everything of this tenant (by internal id). */
  stop(tenantUuid: string): void;
  /** The internal ids and names of tenants with requests under way. */
  tenants(): ReadonlyMap<string, TenantContext["tenant"]>;
}

/** A book of the requests under way in this process. */
export function createLiveRequests(): LiveRequests {
  const live = new Map<string, { readonly tenant: TenantContext["tenant"]; readonly requests: Set<Stoppable> }>();
  const enter: LiveRequests["enter"] = (tenant, request) => {
    const entry = live.get(tenant.uuid);
    if (entry) entry.requests.add(request);
    else live.set(tenant.uuid, { tenant, requests: new Set([request]) });
  };
  const leave: LiveRequests["leave"] = ({ uuid }, request) => {
    const entry = live.get(uuid);
    if (entry?.requests.delete(request) && entry.requests.size === 0) live.delete(uuid);
  };
  return {
    enter,
    leave,
    begin({ tenant }, caller) {
      const controller = new AbortController();
      let stopped: Fault | undefined;
      const request: Stoppable = {
        stop(fault) {
          stopped = fault;
          controller.abort(fault);
        },
      };
      // handed on by hand: AbortSignal.any costs every request eight microseconds (measured)
      const gone = (): void => controller.abort(caller?.reason);
      const end = (): void => {
        caller?.removeEventListener("abort", gone);
        leave(tenant, request);
      };
      enter(tenant, request);
      controller.signal.addEventListener("abort", end, { once: true }); // also when nobody takes the answer any more
      if (caller?.aborted) gone();
      else caller?.addEventListener("abort", gone, { once: true });
      return {
        signal: controller.signal,
        end,
        get stopped() {
          return stopped;
        },
      };
    },
    stop(tenantUuid) {
      const fault = new Fault("tenant_suspended", "the tenant is no longer served");
      for (const request of live.get(tenantUuid)?.requests ?? []) request.stop(fault);
    },
    tenants: () => new Map([...live].map(([uuid, { tenant }]) => [uuid, tenant])),
  };
}

/** The answer, which counts as under way until its last byte is taken. */
export function untilSent(answer: Answer, live: LiveRequest): Answer {
  const { body } = answer;
  if (body === undefined || typeof body === "string" || body instanceof Uint8Array) {
    live.end();
    return answer;
  }
  return { ...answer, body: endingWith(body, live) };
}

async function* endingWith(pieces: AsyncIterable<Uint8Array | string>, live: LiveRequest): AsyncGenerator<Uint8Array | string, void> {
  try {
    for await (const piece of pieces) {
      live.signal.throwIfAborted();
      yield piece;
    }
  } finally {
    live.end();
  }
}
