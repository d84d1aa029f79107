import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { createManualClock } from "../../support/clock.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";
import { assertProblem, documentOf } from "./access-document.ts";

const BREAKER = { break_response_code: 503, unhealthy: { http_statuses: [500], failures: 2 }, healthy: { successes: 2 } };

/** An upstream that answers with the status in the field `x-status`. */
async function startBreakable(t: TestContext, settings: object, profile: "strict" | "apisix") {
  const echo = await startEcho(t);
  echo.answer = ({ headers }, response) => void response.writeHead(Number(headers["x-status"] ?? 200)).end();
  const clock = createManualClock();
  const plane = await startPlane(t, documentOf(echo.node, { "api-breaker": settings }), { profile, ports: { clock } });
  let calls = 0;
  const call = async (as: string | undefined, status: number, path = "/x") => {
    const headers = { "x-status": String(status) };
    const reply = await plane.send(path, as === undefined ? { headers } : { as, headers });
    calls++;
    // what a call has told the breaker is known when its exchange is over
    await until("the exchange is over", () => plane.records.length === calls);
    return reply;
  };
  return { echo, clock, call };
}

describe("api-breaker", () => {
  it("one tenant's failing calls open no other tenant's breaker", async (t) => {
    const { call, echo } = await startBreakable(t, BREAKER, "strict");
    for (let i = 0; i < 2; i++) assert.equal((await call("acme", 500)).status, 500);
    const broken = await call("acme", 200);
    assertProblem(broken, 503, "circuit_open");
    assert.equal(broken.headers["retry-after"], "2");
    assert.equal(echo.received.length, 2);
    for (let i = 0; i < 20; i++) assert.equal((await call("globex", 200)).status, 200);
  });

  it("a tenant cannot get around its breaker by another path of the route", async (t) => {
    const { call } = await startBreakable(t, BREAKER, "strict");
    await call("acme", 500, "/a");
    await call("acme", 500, "/b");
    assert.equal((await call("acme", 200, "/c")).status, 503);
  });

  it("it opens for twice as long each time, up to the most, and successes in a row close it", async (t) => {
    const { call, clock } = await startBreakable(t, { ...BREAKER, max_breaker_sec: 5 }, "strict");
    const fail = async (): Promise<void> => {
      for (let i = 0; i < 2; i++) await call("acme", 500);
    };
    for (const restMs of [2000, 4000, 5000, 5000]) {
      await fail();
      clock.advance(restMs - 1);
      assert.equal((await call("acme", 200)).status, 503);
      clock.advance(1);
    }
    await call("acme", 200);
    await call("acme", 500);
    await call("acme", 200);
    assert.equal((await call("acme", 200)).status, 200);
    await call("acme", 500);
    assert.equal((await call("acme", 200)).status, 200, "one failure after a clean slate opens nothing");
  });

  it("its answer is what the settings say, with templates in the fields", async (t) => {
    const answer = { break_response_body: "rest", break_response_headers: [{ key: "X-Why", value: "$request_method" }] };
    const { call } = await startBreakable(t, { ...BREAKER, break_response_code: 429, ...answer }, "strict");
    for (let i = 0; i < 2; i++) await call("acme", 500);
    const broken = await call("acme", 200);
    assert.deepEqual([broken.status, broken.text, broken.headers["x-why"]], [429, "rest", "GET"]);
  });

  it("apisix: by host and path, for everybody", async (t) => {
    const { call } = await startBreakable(t, { ...BREAKER, break_response_code: 599 }, "apisix");
    for (let i = 0; i < 2; i++) await call(undefined, 500);
    assert.equal((await call(undefined, 200)).status, 599);
    assert.equal((await call(undefined, 200, "/other")).status, 200);
  });

  it("wrong settings are refused with the dialect's words", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const wrong = apply(documentOf("127.0.0.1:1", { "api-breaker": { break_response_code: 199 } }));
    await assert.rejects(wrong, /expected 199 to be at least 200/);
  });
});
