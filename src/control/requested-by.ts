import type { RequestedBy } from "../tenancy/lifecycle/index.ts";
import type { Caller } from "./record-change.ts";

/** Who asks for something in the life of a tenant, as it is kept with it. */
export function requestedBy({ head, requestId, principal, context }: Caller): RequestedBy {
  return { actor: context?.principal.id ?? principal?.id ?? "", requestId, source: head.remoteAddress };
}
