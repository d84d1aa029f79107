import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { createCallMetrics } from "../../../src/gateway/plugins/prometheus/call-metrics.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";
import { assertRefused, routeWith } from "./content-document.ts";

describe("prometheus", () => {
  it("counts calls by route, status and tenant, and bytes with them", async (t) => {
    const echo = await startEcho(t);
    const registry = new Registry();
    const metrics = createCallMetrics(registry, { tenantsMax: 10, routesMax: 10 });
    const document = routeWith(echo.node, { prometheus: { prefer_name: true } }, {});
    const { send } = await startPlane(t, { ...document, services: [{ id: "s", name: "unused" }] }, { ports: { metrics } });
    await send("/x", { as: "acme", method: "POST", body: "12345" });
    await send("/x", { as: "acme" });
    await send("/x", { as: "globex" });
    await until("three calls are counted", async () => (await registry.metrics()).includes('tenant="globex"'));
    const text = await registry.metrics();
    assert.match(text, /freehold_gateway_calls_total\{code="200",route="1",service="",tenant="acme"\} 2/);
    assert.match(text, /freehold_gateway_calls_total\{code="200",route="1",service="",tenant="globex"\} 1/);
    assert.match(text, /freehold_gateway_bytes_total\{direction="in",route="1",tenant="acme"\} 5/);
    assert.match(text, /freehold_gateway_seconds_count\{type="request",route="1"\} 3/);
    assert.match(text, /freehold_gateway_seconds_count\{type="upstream",route="1"\} 3/);
  });

  it("the number of metrics is bounded: the first tenants and routes are told apart, the rest are others", async () => {
    const registry = new Registry();
    const metrics = createCallMetrics(registry, { tenantsMax: 3, routesMax: 2 });
    for (let i = 0; i < 1000; i++) {
      metrics.record({
        route: `route-${i % 50}`,
        service: `service-${i % 50}`,
        tenant: `tenant-${i % 500}`,
        status: 200,
        durationMs: 1,
        upstreamMs: undefined,
        bytesIn: 1,
        bytesOut: 1,
      });
    }
    const series = (await registry.metrics()).split("\n").filter((line) => line.startsWith("freehold_gateway_calls_total{"));
    assert.ok(series.length <= 4 * 3, `${series.length} series`);
    assert.ok(series.some((line) => line.includes('tenant="other"') && line.includes('route="other"')));
    assert.equal(
      series.map((line) => Number(line.split(" ").at(-1))).reduce((sum, count) => sum + count),
      1000,
    );
  });

  it("without somebody who counts it does nothing, and wrong settings are refused", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWith(echo.node, { prometheus: {} }));
    assert.equal((await send("/x", { as: "acme" })).status, 200);
    assertRefused("prometheus", { prefer_name: "yes" }, /wrong type: expected boolean, got string/);
  });
});
