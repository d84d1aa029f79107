import { type AccessRecord, createDurations, createTallies, type Durations, type Tally } from "../gateway/index.ts";
import { FAULTS } from "../kernel/index.ts";
import type { Telemetry } from "./telemetry.ts";

/** What is counted of a route. */
interface RouteCounts {
  readonly byStatus: Map<number, Tally>;
  readonly seconds: Durations;
}

const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const NO_ROUTE = "none";

/**
 * Takes the record of each proxied call: counters and times by route, and a line of the access log. Of what went well the log has only the
 * share `sample`; refusals by the gateway, failures and what the caller broke off are always in it.
 */
export function createProxyTelemetry(telemetry: Telemetry, sample: number): (record: AccessRecord) => void {
  const routes = new Map<string, RouteCounts>();
  const seconds = createDurations(
    telemetry.registry,
    { name: "freehold_proxied_seconds", help: "Time from the request's head to the end of the answer.", labelNames: ["route"] },
    BUCKETS,
  );
  const requests = createTallies(telemetry.registry, {
    name: "freehold_proxied_requests_total",
    help: "Proxied requests by route and status; status 0 where the caller left before an answer began.",
    labelNames: ["route", "status"],
  });
  const countsOf = (route: string): RouteCounts => {
    const known = routes.get(route);
    if (known) return known;
    const counts = { byStatus: new Map<number, Tally>(), seconds: seconds(route) };
    routes.set(route, counts);
    return counts;
  };
  return (record) => {
    const { status, durationMs, fault } = record;
    const route = record.routeId ?? NO_ROUTE;
    const counts = countsOf(route);
    let tally = counts.byStatus.get(status);
    if (!tally) {
      tally = requests(route, String(status));
      counts.byStatus.set(status, tally);
    }
    tally.count++;
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
