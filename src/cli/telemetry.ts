import pino, { type Logger } from "pino";
import {
  AggregatorRegistry,
  collectDefaultMetrics,
  Counter,
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry as MetricsRegistry,
} from "prom-client";
import { type Fault, FAULTS } from "../kernel/index.ts";
import { createDurations, createTallies, type RequestRecord } from "../gateway/index.ts";
import type { EventLag } from "../stores/events/index.ts";

/** Log and metrics of the process. */
export interface Telemetry {
  readonly log: Logger;
  /** The counters of a request, and its line in the log, if it has one. Bodies, credentials and query strings never reach it. */
  readonly observe: (record: RequestRecord) => void;
  /** A fault that no caller can be told of. */
  readonly report: (fault: Fault) => void;
  /** In the text format of Prometheus; with others' values (from their `ownMetrics`) added up. */
  readonly metrics: (others?: readonly string[]) => Promise<string>;
  /** This process's values, for the process that is asked. */
  readonly ownMetrics: () => Promise<string>;
  /** Where others register metrics of their own. */
  readonly registry: MetricsRegistry;
}

/** Takes the lines of the log, one at a time. */
export interface LogLines {
  write(line: string): void;
}

/** What log and metrics are made of. */
export interface TelemetryOptions {
  readonly level: string;
  /** The share of the requests that went well which have a line in the log; all others have one. */
  readonly sample: number;
  readonly lag: () => Promise<EventLag>;
  /** Where lines go; to standard error when there is none. */
  readonly lines?: LogLines | undefined;
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * Log lines as JSON. Its own metrics carry no tenant: their number must not grow with what callers send; who wants to know about one tenant asks
 * the log.
 */
export function createTelemetry({ level, sample, lag, lines }: TelemetryOptions): Telemetry {
  const log = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: ["*.authorization", "*.token", "*.key"] },
    lines ?? pino.destination({ fd: 2, sync: true }),
  );
  const registry = new MetricsRegistry();
  collectDefaultMetrics({ register: registry });
  const requests = createTallies(registry, {
    name: "freehold_requests_total",
    help: "Requests answered.",
    labelNames: ["route", "method", "status"],
  });
  const faults = new Counter({ name: "freehold_faults_total", help: "Faults by code.", labelNames: ["code"], registers: [registry] });
  const seconds = createDurations(
    registry,
    { name: "freehold_request_seconds", help: "Time until the head of the answer.", labelNames: ["route"] },
    SECONDS,
  );
  registerLag(registry, lag);
  return {
    log,
    observe(record) {
      const route = record.route || "none";
      requests(route, METHODS.has(record.method) ? record.method : "other", String(record.status)).count++;
      seconds(route).observe(record.durationMs / 1000);
      if (record.fault) faults.inc({ code: record.fault.code });
      const isUsual = record.fault === undefined && record.status < 500;
      if (!isUsual || Math.random() < sample) logRequest(log, record);
    },
    report(fault) {
      faults.inc({ code: fault.code });
      log.error({ code: fault.code, err: fault }, fault.message);
    },
    registry,
    ownMetrics: async () => JSON.stringify(await registry.getMetricsAsJSON()),
    async metrics(others = []) {
      if (others.length === 0) return await registry.metrics();
      const all = [
        await registry.getMetricsAsJSON(),
        ...others.map((text) => JSON.parse(text) as MetricObjectWithValues<MetricValue<string>>[]),
      ]; // made by `ownMetrics`
      return await AggregatorRegistry.aggregate(all).metrics();
    },
  };
}

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

function logRequest(log: Logger, { fault, durationMs, ...record }: RequestRecord): void {
  const line = { ...record, durationMs: Math.round(durationMs * 100) / 100, ...(fault && { code: fault.code, why: fault.message }) };
  // our own faults come with their cause; what callers did wrong is told in a line
  if (fault && FAULTS[fault.code].status >= 500) log.error({ ...line, err: fault }, "request");
  else log.info(line, "request");
}

/** Each of the three asks for itself, since each is read by itself; what they ask for together is counted once. */
function registerLag(registry: MetricsRegistry, lag: () => Promise<EventLag>): void {
  let counting: Promise<EventLag> | undefined;
  const count = (): Promise<EventLag> =>
    (counting ??= lag().finally(() => {
      counting = undefined;
    }));
  const gauge = (name: string, help: string, read: (lag: EventLag) => number): Gauge =>
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        this.set(read(await count()));
      },
    });
  gauge("freehold_events_pending", "Events that wait to be handled.", ({ pending }) => pending);
  gauge("freehold_events_oldest_seconds", "Age of the oldest event that waits.", ({ oldestMs }) => oldestMs / 1000);
  gauge("freehold_events_dead_letters", "Events that were given up.", ({ deadLetters }) => deadLetters);
}
