import { Counter, Histogram, type Registry } from "prom-client";

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

/** Metrics of calls in this registry. Their number is bounded whatever callers send and however many tenants there are. */
export function createCallMetrics(registry: Registry, bounds: LabelBounds): CallMetrics {
  const registers = [registry];
  const calls = new Counter({
    name: "freehold_gateway_calls_total",
    help: "Calls answered on configured routes.",
    labelNames: ["code", "route", "service", "tenant"],
    registers,
  });
  const bytes = new Counter({
    name: "freehold_gateway_bytes_total",
    help: "Bytes of bodies taken from callers (in) and sent to them (out).",
    labelNames: ["direction", "route", "tenant"],
    registers,
  });
  const seconds = new Histogram({
    name: "freehold_gateway_seconds",
    help: "Time of a call as a whole (request) and until the upstream's answer began (upstream).",
    labelNames: ["type", "route"],
    buckets: SECONDS,
    registers,
  });
  const tenants = createLabel(bounds.tenantsMax);
  const routes = createLabel(bounds.routesMax);
  return {
    record(sample) {
      const tenant = tenants(sample.tenant);
      const route = routes(sample.route);
      calls.inc({ code: String(sample.status), route, service: route === OTHER ? OTHER : sample.service, tenant });
      if (sample.bytesIn > 0) bytes.inc({ direction: "in", route, tenant }, sample.bytesIn);
      if (sample.bytesOut > 0) bytes.inc({ direction: "out", route, tenant }, sample.bytesOut);
      seconds.observe({ type: "request", route }, sample.durationMs / 1000);
      if (sample.upstreamMs !== undefined) seconds.observe({ type: "upstream", route }, sample.upstreamMs / 1000);
    },
  };
}

const OTHER = "other";

function createLabel(valuesMax: number): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= valuesMax) return OTHER;
    known.add(value);
    return value;
  };
}
