import { nextMessage, startProgram } from "./child.ts";
import { httpRequest } from "./load.ts";

/** What the fairness bench is about: places at an upstream, the tenants that share them and what they send. */
export const FAIRNESS = {
  places: 32,
  /** It takes anything between, in milliseconds: with one time for all, all places would be left at the same moments. */
  upstreamMs: [10, 30],
  /** Tenants that keep within their part, with one request under way each. */
  quiet: 3,
  /** Requests under way of the one that does not: fifty times its part of the places. */
  flood: 400,
} as const;

/** A server under the load of several tenants. Whatever answers 200 to a tenant's requests after the upstream's time can be put in. */
export interface FairnessHouse {
  readonly pid: number;
  readonly port: number;
  /** A request of this tenant as it goes over the wire. */
  readonly requestOf: (tenant: string) => string;
}

/** Starts a server of the bench's own, which does nothing but queue. */
export async function openFairnessHouse(ends: AsyncDisposableStack, order: "fair" | "arrival"): Promise<FairnessHouse> {
  const child = startProgram(ends, "./fairness-process.ts", [order]);
  const port = await nextMessage<number>(child);
  return { pid: child.pid ?? 0, port, requestOf: (tenant) => httpRequest("GET", "/", `x-tenant: ${tenant}`) };
}
