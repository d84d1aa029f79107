import { json, type Operation, publicOperation } from "../../../gateway/index.ts";
import type { HealthReport, Services } from "../../services.ts";

/** What listens on the loopback port only: health for orchestrators, metrics for Prometheus. */
export function healthOperations({ health, metrics }: Pick<Services, "health" | "metrics">): readonly Operation[] {
  return [
    publicOperation({
      method: "GET",
      path: "/health",
      summary: "Whether the process is alive.",
      run: () => json(200, { status: "ok" }),
    }),
    publicOperation({
      method: "GET",
      path: "/ready",
      summary: "Whether requests can be answered at the moment, part by part.",
      run: async () => {
        const report: HealthReport = await health();
        return json(report.ok ? 200 : 503, report);
      },
    }),
    publicOperation({
      method: "GET",
      path: "/metrics",
      summary: "Metrics in the text format of Prometheus.",
      run: async () => ({ status: 200, headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" }, body: await metrics() }),
    }),
  ];
}
