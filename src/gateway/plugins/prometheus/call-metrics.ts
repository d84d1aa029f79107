import type { Registry } from "prom-client";
import { createDurations, createLabel, createTallies, type Durations, OTHER, type Tally } from "../../proxy/tally.ts";

/** One call that is over, as metrics see it. */
export interface CallSample {
  /** Empty when no route was matched. */
  readonly route: string;
  readonly service: string;
  /** Empty when none was proved. */
  readonly tenant: string;
  readonly status: number;
  readonly durationMs: number;
  readonly upstreamMs: number | undefined;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Takes samples and returns at once. */
export interface CallMetrics {
  record(sample: CallSample): void;
}

/** How many values of a label are told apart. The first that come keep theirs, what comes later is `other`. */
export interface LabelBounds {
  readonly tenantsMax: number;
  readonly routesMax: number;
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What is counted of one route, service and tenant. */
interface Counts {
  readonly byStatus: Map<number, Tally>;
  readonly bytesIn: Tally;
  readonly bytesOut: Tally;
  readonly request: Durations;
  readonly upstream: Durations;
}

/** Metrics of calls in this registry. Their number is bounded whatever callers send and however many tenants there are. */
export function createCallMetrics(registry: Registry, bounds: LabelBounds): CallMetrics {
  const calls = createTallies(registry, {
    name: "freehold_gateway_calls_total",
    help: "Calls answered on configured routes.",
    labelNames: ["code", "route", "service", "tenant"],
  });
  const bytes = createTallies(registry, {
    name: "freehold_gateway_bytes_total",
    help: "Bytes of bodies taken from callers (in) and sent to them (out).",
    labelNames: ["direction", "route", "tenant"],
  });
  const seconds = createDurations(
    registry,
    {
      name: "freehold_gateway_seconds",
      help: "Time of a call as a whole (request) and until the upstream's answer began (upstream).",
      labelNames: ["type", "route"],
    },
    SECONDS,
  );
  const tenants = createLabel(bounds.tenantsMax);
  const routes = createLabel(bounds.routesMax);
  // route, then service, then tenant: looked up by what is bounded, so it is bounded too
  const counts = new Map<string, Map<string, Map<string, Counts>>>();
  const countsOf = (route: string, service: string, tenant: string): Counts => {
    const ofService = within(within(counts, route), service);
    const known = ofService.get(tenant);
    if (known) return known;
    const made: Counts = {
      byStatus: new Map(),
      bytesIn: bytes("in", route, tenant),
      bytesOut: bytes("out", route, tenant),
      request: seconds("request", route),
      upstream: seconds("upstream", route),
    };
    ofService.set(tenant, made);
    return made;
  };
  return {
    record(sample) {
      const tenant = tenants(sample.tenant);
      const route = routes(sample.route);
      const service = route === OTHER ? OTHER : sample.service;
      const found = countsOf(route, service, tenant);
      let tally = found.byStatus.get(sample.status);
      if (!tally) {
        tally = calls(String(sample.status), route, service, tenant);
        found.byStatus.set(sample.status, tally);
      }
      tally.count++;
      found.bytesIn.count += sample.bytesIn;
      found.bytesOut.count += sample.bytesOut;
      found.request.observe(sample.durationMs / 1000);
      if (sample.upstreamMs !== undefined) found.upstream.observe(sample.upstreamMs / 1000);
    },
  };
}

function within<V>(outer: Map<string, Map<string, V>>, key: string): Map<string, V> {
  let inner = outer.get(key);
  if (!inner) {
    inner = new Map();
    outer.set(key, inner);
  }
  return inner;
}
