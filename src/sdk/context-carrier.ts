import { Fault, systemClock, systemRandom, type TenantContext, toTraceparent } from "../kernel/index.ts";
import { createContextSigner, ownSigningKey } from "../tenancy/identity/index.ts";
import { createTenantFetch, type Fetch } from "../wire/index.ts";
import type { House } from "./open-house.ts";
import type { ServiceSettings } from "./options.ts";

/** Carries contexts on to other services. */
export interface ContextCarrier {
  /** Keeps the text that proved the context, to be sent on. */
  remember(context: TenantContext, signed: string): void;
  fetchFor(context: TenantContext): Fetch;
}

/**
 * With the gateway's root key, contexts are signed anew for the audience that is called. Without it nothing can be signed: the text that came
 * in is sent on as it is, and only services of the same audience believe it.
 */
export function createContextCarrier({ internalOrigins }: ServiceSettings, house: House): ContextCarrier {
  const origins = new Map(internalOrigins.map((internal) => [internal.origin, internal.audience]));
  const received = new WeakMap<TenantContext, string>();
  const sign = house.shared ? createContextSigner(ownSigningKey(house.keyring), systemClock) : undefined;

  function contextFor(context: TenantContext, target: string): string {
    const text = sign?.(context, target) ?? received.get(context);
    if (text !== undefined) return text;
    const detail = "This work has no context of the gateway that could be sent on, and no key to sign one.";
    throw new Fault("forbidden", detail, { public: { detail } });
  }

  return {
    remember: (context, signed) => void received.set(context, signed),
    fetchFor: (context) =>
      createTenantFetch((origin) => {
        const target = origins.get(origin);
        if (target === undefined) return undefined;
        const { tenant, trace, requestId } = context;
        return {
          "x-tenant-context": contextFor(context, target),
          "x-tenant-id": tenant.id,
          "x-request-id": requestId,
          traceparent: toTraceparent({ ...trace, spanId: systemRandom.bytes(8).toString("hex") }),
          baggage: `tenant.id=${tenant.id}`,
        };
      }),
  };
}
