import { writeFileSync } from "node:fs";
import path from "node:path";
import { CORES, nextMessage, startProgram } from "./child.ts";
import { startFreehold } from "./freehold-process.ts";
import { httpRequest } from "./load.ts";
import { benchPlan } from "./operations-house.ts";
import { temporaryFolder } from "./temporary-folder.ts";

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

/** A Freehold under the load of several tenants. */
export interface FairnessHouse {
  readonly pid: number;
  readonly port: number;
  /** A request of this tenant over the route with a fair share, or over the one where the upstream serves who comes first. */
  readonly requestOf: (tenant: string, order: "fair" | "arrival") => string;
}

/** Starts Freehold in front of an upstream that serves so many at once and lets the others wait in the order in which they came. */
export async function openFairnessHouse(ends: AsyncDisposableStack): Promise<FairnessHouse> {
  const folder = temporaryFolder(ends);
  const upstream = await nextMessage<number>(startProgram(ends, "./fairness-process.ts"));
  const nodes = { [`127.0.0.1:${upstream}`]: 1 };
  const fair = { concurrency: FAIRNESS.places, queue: 10_000, deadline_ms: 30_000 };
  const document = {
    routes: [
      { id: "fair", uri: "/fair", upstream: { type: "roundrobin", nodes, fair } },
      { id: "arrival", uri: "/arrival", upstream: { type: "roundrobin", nodes } },
    ],
  };
  const config = path.join(folder, "freehold.yaml");
  writeFileSync(path.join(folder, "gateway.yaml"), JSON.stringify(document));
  writeFileSync(config, JSON.stringify({ gateway: { file: path.join(folder, "gateway.yaml") } }));
  const freehold = await startFreehold(ends, { folder, core: CORES.measured, demo: false, config });
  await freehold.manage("PUT", "/admin/v1/plans", benchPlan());
  for (const id of ["flood", ...Array.from({ length: FAIRNESS.quiet }, (_, at) => `quiet-${at}`)])
    await freehold.manage("POST", "/admin/v1/tenants", { id, name: id, plan: "bench" });
  return {
    pid: freehold.pid,
    port: Number(new URL(freehold.url).port),
    requestOf: (tenant, order) => httpRequest("GET", `/${order}`, `authorization: Bearer ${tenant}:bench`),
  };
}
