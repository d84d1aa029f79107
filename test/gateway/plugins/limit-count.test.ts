import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../../src/kernel/index.ts";
import { createLimits, createMemoryLedger } from "../../../src/tenancy/limits/index.ts";
import { createManualClock } from "../../support/clock.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertProblem, documentOf, statusesOf } from "./access-document.ts";

const TWO = { count: 2, time_window: 60 };

interface Collision {
  readonly join: string;
  readonly a: readonly [string, string];
  readonly b: readonly [string, string];
}

async function startLimited(t: TestContext, plugins: object, profile: "strict" | "apisix" = "strict") {
  const echo = await startEcho(t);
  const clock = createManualClock();
  const ports = { clock, limits: createLimits({ clock }) };
  return { echo, clock, ...(await startPlane(t, documentOf(echo.node, plugins as Record<string, unknown>), { profile, ports })) };
}

describe("limit-count", () => {
  it("two tenants never share a counter, whatever they send as the key", async (t) => {
    const { send } = await startLimited(t, { "limit-count": { ...TWO, key: "http_x_key" } });
    const call = (as: string) => () => send("/x", { as, headers: { "x-key": "same" } });
    assert.deepEqual(await statusesOf(3, call("acme")), [200, 200, 429]);
    assert.deepEqual(await statusesOf(3, call("globex")), [200, 200, 429]);
  });

  it("`per_tenant: false` is one counter for all", async (t) => {
    const { send } = await startLimited(t, { "limit-count": { ...TWO, key: "remote_addr", per_tenant: false } });
    assert.equal((await send("/x", { as: "acme" })).status, 200);
    assert.equal((await send("/x", { as: "globex" })).status, 200);
    assert.equal((await send("/x", { as: "acme" })).status, 429);
  });

  it("a refusal is 429 with when to come back, says the limit in the standard's fields, and does not reach the upstream", async (t) => {
    const { send, echo, clock } = await startLimited(t, { "limit-count": { ...TWO, key: "tenant_id" } });
    const first = await send("/x", { as: "acme" });
    assert.equal(first.headers["ratelimit-policy"], '"limit-count";q=2;w=60');
    assert.equal(first.headers["ratelimit"], '"limit-count";r=1;t=60');
    assert.equal(first.headers["x-ratelimit-remaining"], "1");
    await send("/x", { as: "acme" });
    clock.advance(10_000);
    const refused = await send("/x", { as: "acme" });
    assertProblem(refused, 429, "rate_limited");
    assert.equal(refused.headers["retry-after"], "50");
    assert.equal(refused.headers["ratelimit"], '"limit-count";r=0;t=50');
    assert.equal(refused.json()["policy"], "limit-count");
    assert.equal(echo.received.length, 2);
    clock.advance(50_000);
    assert.equal((await send("/x", { as: "acme" })).status, 200);
  });

  it("a request without the value that it is counted by is refused, and not counted by its address", async (t) => {
    for (const settings of [
      { ...TWO, key: "http_x_key" },
      { ...TWO, key: "$http_x_key", key_type: "var_combination" },
      { rules: [{ ...TWO, key: "$http_x_key" }] },
    ]) {
      const { send, echo } = await startLimited(t, { "limit-count": settings });
      assertProblem(await send("/x", { as: "acme" }), 400, "malformed_request");
      assert.equal(echo.received.length, 0);
      assert.equal((await send("/x", { as: "acme", headers: { "x-key": "1" } })).status, 200);
    }
  });

  it("parts of a combined key never meet in one counter", async (t) => {
    const file = new URL("../../vectors/composite-key-collisions.json", import.meta.url);
    const { pairs } = JSON.parse(readFileSync(file, "utf8")) as { readonly pairs: readonly Collision[] }; // the file is the tests' own
    for (const { join, a, b } of pairs) {
      const settings = { count: 1, time_window: 60, key: `\${http_one}${join}\${http_two}`, key_type: "var_combination" };
      const { send } = await startLimited(t, { "limit-count": settings });
      for (const [one, two] of [a, b]) {
        const call = () => send("/x", { as: "acme", headers: { one, two } });
        assert.deepEqual(await statusesOf(2, call), [200, 429], `${one} and ${two} by ${join}`);
      }
    }
    assert.ok(pairs.length > 0);
  });

  it("a changed limit holds for what was counted before, and what is left is never negative", async (t) => {
    const { send, apply, echo } = await startLimited(t, { "limit-count": { count: 5, time_window: 60, key: "tenant_id" } });
    assert.deepEqual(await statusesOf(4, () => send("/x", { as: "acme" })), [200, 200, 200, 200]);
    await apply(documentOf(echo.node, { "limit-count": { count: 2, time_window: 60, key: "tenant_id" } }));
    const refused = await send("/x", { as: "acme" });
    assert.equal(refused.status, 429);
    assert.equal(refused.headers["x-ratelimit-remaining"], "0");
    assert.equal((await send("/x", { as: "globex" })).headers["x-ratelimit-remaining"], "1");
  });

  it("each rule counts by its own key, and a group counts for all routes that name it", async (t) => {
    const rules = [
      { count: 1, time_window: 60, key: "$http_user" },
      { count: 2, time_window: 60, key: "$tenant_id", header_prefix: "all" },
    ];
    const { send, apply, echo } = await startLimited(t, { "limit-count": { rules } });
    const by = (user: string) => send("/x", { as: "acme", headers: { user } });
    const first = await by("a");
    assert.equal(first.headers["x-1-ratelimit-remaining"], "0");
    assert.equal(first.headers["x-all-ratelimit-remaining"], "1");
    assert.equal((await by("a")).status, 429);
    assert.equal((await by("b")).status, 200);
    assert.equal((await by("c")).status, 429);
    const route = (id: string, uri: string): unknown => ({
      id,
      uri,
      plugins: { "limit-count": { ...TWO, group: "g", key: "tenant_id" } },
      upstream: { nodes: { [echo.node]: 1 } },
    });
    await apply({ routes: [route("1", "/a"), route("2", "/b")] });
    assert.equal((await send("/a", { as: "acme" })).status, 200);
    assert.equal((await send("/b", { as: "acme" })).status, 200);
    assert.equal((await send("/a", { as: "acme" })).status, 429);
    assert.equal((await send("/a", { as: "globex" })).status, 200);
  });

  it("policy redis counts for all gateways together, to the unit", async (t) => {
    const ledger = createMemoryLedger(systemClock);
    const echo = await startEcho(t);
    const settings = { count: 5, time_window: 60, key: "tenant_id", policy: "redis", redis_host: "127.0.0.1" };
    const start = async () => {
      const limits = createLimits({ clock: systemClock, ledger: ledger.join() });
      t.after(() => limits.close());
      return startPlane(t, documentOf(echo.node, { "limit-count": settings }), { ports: { limits } });
    };
    const gateways = [await start(), await start(), await start()];
    const replies = await Promise.all(gateways.flatMap(({ send }) => [1, 2, 3, 4].map(() => send("/x", { as: "acme" }))));
    assert.equal(replies.filter(({ status }) => status === 200).length, 5);
    assert.equal(replies.filter(({ status }) => status === 429).length, 7);
    assert.equal((await gateways[0]?.send("/x", { as: "globex" }))?.status, 200);
  });

  it("a status and a text of the settings are used; rate-limit is another name of it", async (t) => {
    const { send } = await startLimited(t, { "rate-limit": { count: 1, time_window: 1, rejected_code: 503, rejected_msg: "slow down" } });
    await send("/x", { as: "acme" });
    const refused = await send("/x", { as: "acme" });
    assert.equal(refused.status, 503);
    assert.equal(refused.text, '{"error_msg":"slow down"}\n');
    assert.equal(refused.headers["retry-after"], "1");
  });

  it("apisix: 503 by default, the address where the key is empty, rules without a value left out, amounts of variables", async (t) => {
    const { send, apply, echo } = await startLimited(t, { "limit-count": { ...TWO, key: "http_x_key" } }, "apisix");
    assert.deepEqual(await statusesOf(3, () => send("/x")), [200, 200, 503]);
    assert.deepEqual(await statusesOf(1, () => send("/x", { headers: { "x-key": "a" } })), [200]);
    const rules = [
      { count: 1, time_window: 60, key: "$http_user" },
      { count: 9, time_window: 60, key: "$remote_addr" },
    ];
    await apply(documentOf(echo.node, { "limit-count": { rules } }));
    assert.deepEqual(await statusesOf(3, () => send("/x")), [200, 200, 200]);
    await apply(documentOf(echo.node, { "limit-count": { count: "${http_count ?? 1}", time_window: 60 } }));
    assert.deepEqual(await statusesOf(2, () => send("/x", { headers: { count: "2" } })), [200, 200]);
    assert.equal((await send("/x", { headers: { count: "0" } })).status, 500);
    assert.equal((await send("/x")).status, 503);
  });

  it("a limit that callers could set themselves, and settings that mean two things, are refused", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const wrong = (settings: unknown): Promise<unknown> => apply(documentOf("127.0.0.1:1", { "limit-count": settings }));
    await assert.rejects(wrong({ count: "$http_count", time_window: 1 }), /http_count, which callers choose themselves/);
    await assert.rejects(wrong({ count: 0, time_window: 1 }), /property "count" validation failed/);
    await assert.rejects(wrong({ ...TWO, rules: [] }), /cannot be specified at the same time/);
    const rule = { ...TWO, key: "$a" };
    await assert.rejects(wrong({ rules: [rule, rule] }), /duplicate key '\$a' in rules/);
  });
});
