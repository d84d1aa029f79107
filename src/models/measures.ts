import type { Tenant } from "../kernel/index.ts";
import type { FoundBy } from "./answer-cache.ts";
import type { Attempt } from "./attempts.ts";

/** Is told of what is counted for the metrics of the installation, and returns at once. */
export interface ModelMeasures {
  /** One try at a provider is over; with `isLast` its request is, too. */
  tried(tenant: Tenant, attempt: Attempt, isLast: boolean): void;
  /** The tenant's cache of answers was asked for one of this model. */
  looked(tenant: Tenant, model: Pick<Attempt, "target" | "owner">, result: FoundBy | "miss"): void;
  /** A budget has refused a request before it was sent. */
  refused(tenant: Tenant, model: Pick<Attempt, "target" | "owner">): void;
}
