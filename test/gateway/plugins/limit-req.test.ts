import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimits } from "../../../src/tenancy/limits/index.ts";
import { createManualClock } from "../../support/clock.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertProblem, documentOf, statusesOf } from "./access-document.ts";

describe("limit-req", () => {
  it("a tenant over its rate and burst is refused with when to come back; another is not touched", async (t) => {
    const echo = await startEcho(t);
    const clock = createManualClock();
    const plugins = { "limit-req": { rate: 2, burst: 1, nodelay: true, key: "tenant_id" } };
    const { send } = await startPlane(t, documentOf(echo.node, plugins), { ports: { clock, limits: createLimits({ clock }) } });
    assert.deepEqual(await statusesOf(2, () => send("/x", { as: "acme" })), [200, 200]);
    const refused = await send("/x", { as: "acme" });
    assertProblem(refused, 429, "rate_limited");
    assert.equal(refused.headers["retry-after"], "1");
    assert.deepEqual(await statusesOf(2, () => send("/x", { as: "globex" })), [200, 200]);
    clock.advance(500);
    assert.deepEqual(await statusesOf(2, () => send("/x", { as: "acme" })), [200, 429]);
  });

  it("requests within the burst wait as long as the rate wants, and not at all with nodelay", async (t) => {
    const echo = await startEcho(t);
    const clock = createManualClock();
    const waited: number[] = [];
    const limits = createLimits({ clock });
    const bucket = limits.bucket.bind(limits);
    const noticed = {
      window: limits.window.bind(limits),
      slot: limits.slot.bind(limits),
      inUse: limits.inUse.bind(limits),
      exact: limits.exact,
      defaultScope: limits.defaultScope,
      bucket: (...args: Parameters<typeof bucket>) => {
        const decision = bucket(...args);
        waited.push(decision.delayMs);
        return decision;
      },
    };
    const plugins = { "limit-req": { rate: 1000, burst: 5, key: "tenant_id" } };
    const { send } = await startPlane(t, documentOf(echo.node, plugins), { ports: { clock, limits: noticed } });
    assert.deepEqual(await statusesOf(4, () => send("/x", { as: "acme" })), [200, 200, 200, 200]);
    assert.deepEqual(waited, [0, 1, 2, 3]);
  });

  it("`$tenant_id` under key_type var is the tenant in strict; in the dialect it would be the address", async (t) => {
    const echo = await startEcho(t);
    const clock = createManualClock();
    const document = documentOf(echo.node, { "limit-req": { rate: 1, burst: 0, key: "$tenant_id", per_tenant: false } });
    const ports = { clock, limits: createLimits({ clock }) };
    const strict = await startPlane(t, document, { ports });
    assert.deepEqual(await statusesOf(2, () => strict.send("/x", { as: "acme" })), [200, 429]);
    assert.deepEqual(await statusesOf(2, () => strict.send("/x", { as: "globex" })), [200, 429]);
    const apisix = await startPlane(t, document, { profile: "apisix", ports: { clock, limits: createLimits({ clock }) } });
    assert.ok(
      apisix.warnings.some((line) => line.includes("$tenant_id")),
      apisix.warnings.join("\n"),
    );
    assert.equal((await apisix.send("/x", { as: "acme" })).status, 200);
    assert.equal((await apisix.send("/x", { as: "globex" })).status, 503);
  });

  it("wrong settings are refused with the dialect's words", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const wrong = apply(documentOf("127.0.0.1:1", { "limit-req": { rate: 0, burst: 0, key: "remote_addr" } }));
    await assert.rejects(wrong, /property "rate" validation failed: expected 0 to be greater than 0/);
    const noHost = { rate: 1, burst: 0, key: "remote_addr", policy: "redis" };
    await assert.rejects(apply(documentOf("127.0.0.1:1", { "limit-req": noHost })), /then clause did not match/);
  });
});
