import type { Plugin } from "../../proxy/plugin.ts";

/** Settings of prometheus: whether routes and services are told by their names instead of their ids. */
export interface PrometheusSettings {
  readonly prefer_name: boolean;
}

const SCHEMA = { type: "object", properties: { prefer_name: { type: "boolean", default: false } } };

/** Counts the calls of the places where it stands: by route, service, status and (for a bounded number of them) tenant. */
export const prometheus: Plugin<PrometheusSettings> = {
  name: "prometheus",
  priority: 500,
  schema: SCHEMA,
  create({ prefer_name: prefersName }, _owner, { metrics, clock }) {
    if (!metrics) return {};
    return {
      log(call, end) {
        const { route } = call;
        metrics.record({
          route: (prefersName ? (route?.name ?? route?.id) : route?.id) ?? "",
          service: (prefersName ? (route?.serviceName ?? route?.serviceId) : route?.serviceId) ?? "",
          tenant: call.context?.tenant.id ?? "",
          status: end.status,
          durationMs: clock.monotonic() - call.startedMs,
          upstreamMs: call.upstreamMs,
          bytesIn: end.bytesIn,
          bytesOut: end.bytesOut,
        });
      },
    };
  },
};
