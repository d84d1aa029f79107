import { Counter, Histogram } from "prom-client";
import type { AccessRecord } from "../gateway/index.ts";
import { FAULTS } from "../kernel/index.ts";
import type { Telemetry } from "./telemetry.ts";

/** What is counted of a route until the metrics are read: adding to a number costs nothing, a labelled metric does. */
interface RouteCounts {
  readonly byStatus: Map<number, number>;
  readonly seconds: Histogram.Internal<"route">;
}

const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const NO_ROUTE = "none";

/**
 * Takes the record of each proxied call: counters and times by route, and a line of the access log. Of what went well the log has only the
 * share `sample`; refusals by the gateway, failures and what the caller broke off are always in it.
 */
export function createProxyTelemetry(telemetry: Telemetry, sample: number): (record: AccessRecord) => void {
  const routes = new Map<string, RouteCounts>();
  const seconds = new Histogram({
    name: "freehold_proxied_seconds",
    help: "Time from the request's head to the end of the answer.",
    labelNames: ["route"],
    buckets: BUCKETS,
    registers: [telemetry.registry],
  });
  new Counter({
    name: "freehold_proxied_requests_total",
    help: "Proxied requests by route and status; status 0 where the caller left before an answer began.",
    labelNames: ["route", "status"],
    registers: [telemetry.registry],
    collect() {
      this.reset();
      for (const [route, { byStatus }] of routes)
        for (const [status, count] of byStatus) this.inc({ route, status: String(status) }, count);
    },
  });
  const countsOf = (route: string): RouteCounts => {
    const known = routes.get(route);
    if (known) return known;
    const counts = { byStatus: new Map<number, number>(), seconds: seconds.labels(route) };
    routes.set(route, counts);
    return counts;
  };
  return (record) => {
    const { status, durationMs, fault } = record;
    const counts = countsOf(record.routeId ?? NO_ROUTE);
    counts.byStatus.set(status, (counts.byStatus.get(status) ?? 0) + 1);
    counts.seconds.observe(durationMs / 1000);
    const isUsual = fault === undefined && status >= 200 && status < 500 && !record.aborted;
    if (isUsual && Math.random() >= sample) return;
    log(telemetry, record);
  };
}

function log({ log: lines }: Telemetry, record: AccessRecord): void {
  const { call, tenantId, routeId, consumer, status, upstreamStatuses, upstreamAddress, durationMs, bytesIn, bytesOut, aborted, fault } =
    record;
  const line = {
    requestId: call.requestId,
    tenantId,
    principal: call.context?.principal.id,
    method: call.head.method,
    route: routeId ?? NO_ROUTE,
    consumer,
    status,
    upstream: upstreamAddress,
    upstreamStatuses,
    durationMs: Math.round(durationMs * 100) / 100,
    bytesIn,
    bytesOut,
    ...(aborted && { aborted }),
    ...(fault && { code: fault.code, why: fault.message }),
  };
  if (fault && FAULTS[fault.code].status >= 500) lines.error({ ...line, err: fault }, "proxied");
  else lines.info(line, "proxied");
}
