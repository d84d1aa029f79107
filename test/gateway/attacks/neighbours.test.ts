import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type ServerResponse } from "node:http";
import { describe, test } from "node:test";
import type { FairSettings } from "../../../src/gateway/dialect/objects.ts";
import { systemClock } from "../../../src/kernel/index.ts";
import { createFairQueue, type FairQueue } from "../../../src/tenancy/limits/index.ts";
import { type Received, startEcho, startPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";
import { routeWith } from "../plugins/content-document.ts";

const LARGE_BYTES = 50 * 1024 * 1024;

/** Whom the upstream answers for. */
const tenantOf = ({ headers }: Received): string => String(headers["x-tenant-id"]);

describe("a tenant beside a hostile one", () => {
  test("is served while every call of the other fails, by breakers, health of nodes and retries alike", async (t) => {
    const [first, second] = [await startEcho(t), await startEcho(t)];
    for (const echo of [first, second])
      echo.answer = (received, response) => {
        if (tenantOf(received) !== "acme") response.end("fine");
        else if (received.target === "/break") response.destroy();
        else response.writeHead(500).end("broken");
      };
    const upstream = {
      type: "roundrobin",
      nodes: { [first.node]: 1, [second.node]: 1 },
      checks: {
        active: { type: "tcp", healthy: { interval: 1000 }, unhealthy: { interval: 1000 } },
        passive: { healthy: { successes: 5 }, unhealthy: { http_statuses: [500], http_failures: 1, tcp_failures: 1, timeouts: 1 } },
      },
    };
    const breaker = { break_response_code: 503, unhealthy: { http_statuses: [500], failures: 1 }, healthy: { successes: 3 } };
    const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", plugins: { "api-breaker": breaker }, upstream }] });
    const others: number[] = [];
    for (let i = 0; i < 60; i++) {
      const own = await plane.send(i % 2 === 0 ? "/fail" : "/break", { as: "acme" });
      assert.ok(own.status >= 500);
      others.push((await plane.send("/x", { as: "globex" })).status);
    }
    assert.deepEqual(new Set(others), new Set([200]));
  });

  test("gets the next free place at a fair upstream, however long the line of the other is", async (t) => {
    const echo = await startEcho(t);
    const held: { readonly of: string; readonly response: ServerResponse }[] = [];
    echo.answer = (received, response) => void held.push({ of: tenantOf(received), response });
    const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 }, fair: { concurrency: 2, queue: 100, deadline_ms: 60_000 } };
    let line: FairQueue | undefined;
    const fairQueue = ({ concurrency, queue: queueMax, deadline_ms: deadlineMs }: FairSettings): FairQueue =>
      (line = createFairQueue({ concurrency, queueMax, deadlineMs, clock: systemClock }));
    const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream }] }, { ports: { fairQueue } });
    const flood = Array.from({ length: 60 }, () => plane.send("/x", { as: "acme" }));
    await until("the places are taken", () => held.length === 2);
    await until("the line of acme", () => line?.waiting === 58);
    const one = plane.send("/x", { as: "globex" });
    await until("globex in line behind it", () => line?.waiting === 59);
    const more = Array.from({ length: 20 }, () => plane.send("/y", { as: "acme" }));
    const order: string[] = [];
    while (!order.includes("globex")) {
      const next = await until("one is under way", () => held.shift());
      order.push(next.of);
      next.response.end("done");
    }
    assert.equal((await one).status, 200);
    assert.ok(order.length <= 6, `globex came as number ${order.length}`);
    echo.answer = (_received, response) => response.end("done");
    for (const { response } of held.splice(0)) response.end("done");
    assert.ok((await Promise.all([...flood, ...more])).every(({ status }) => status === 200));
  });

  test("waits for none of the other's 50 MB, neither while they pass nor where they are refused", async (t) => {
    const echo = await startEcho(t);
    const bound = { body_schema: { type: "object" }, max_req_body_size: 1_000_000 };
    const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    const plane = await startPlane(t, {
      routes: [
        { id: "checked", uri: "/checked", plugins: { "request-validation": bound }, upstream },
        { id: "any", uri: "/any", upstream },
      ],
    });
    const headers = { authorization: "Bearer acme:user-1", "content-type": "application/json", "content-length": LARGE_BYTES };
    const large = request({ host: "127.0.0.1", port: plane.port, method: "POST", path: "/any", headers, agent: false });
    const piece = Buffer.alloc(1024 * 1024, "x");
    let served = 0;
    for (let sent = 0; sent < LARGE_BYTES - piece.length; sent += piece.length) {
      // every piece is on its way when the neighbour asks, and the last is held back until it was answered every time
      large.write(piece);
      assert.equal((await plane.send("/any", { as: "globex" })).status, 200);
      served++;
    }
    assert.equal(served, 49);
    assert.ok(echo.received.every((received) => tenantOf(received) === "globex"));
    large.end(piece);
    const [whole] = (await once(large, "response")) as [NodeJS.ReadableStream]; // the event's only argument
    whole.resume();
    await once(whole, "end");
    assert.equal(echo.received.at(-1)?.body.length, LARGE_BYTES);

    const refused = request({ host: "127.0.0.1", port: plane.port, method: "POST", path: "/checked", headers, agent: false });
    refused.on("error", () => undefined).flushHeaders();
    const [answer] = (await once(refused, "response")) as [{ statusCode: number }]; // the event's only argument
    assert.ok([400, 413].includes(answer.statusCode), "refused by its length alone: not a byte of it was sent");
    refused.destroy();
    assert.equal((await plane.send("/any", { as: "globex" })).status, 200);
  });
});

describe("retries", () => {
  test("of one gateway behind another do not multiply", async (t) => {
    const [first, second] = [await startEcho(t), await startEcho(t)];
    for (const echo of [first, second]) echo.answer = (_received, response) => void response.destroy();
    const both = { type: "roundrobin", nodes: { [first.node]: 1, [second.node]: 1 } };
    const inner = [0, 1].map(() => startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: both }] }, { profile: "apisix" }));
    const nodes = Object.fromEntries((await Promise.all(inner)).map(({ port }) => [`127.0.0.1:${port}`, 1]));
    const outer = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes } }] });
    const calls = 50;
    for (let i = 0; i < calls; i++) assert.equal((await outer.send("/x", { as: "acme" })).status, 502);
    const tries = first.received.length + second.received.length;
    // without a tenant the inner gateways have no budget: two nodes, so two tries each
    assert.equal(tries, calls * 2);
  });

  test("carry no more than the first try did: one tenant, no credential, the whole body", async (t) => {
    const [bad, good] = [await startEcho(t), await startEcho(t)];
    bad.answer = (_received, response) => void response.destroy();
    const nodes = { [bad.node]: 1000, [good.node]: 1 };
    const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes } }] });
    const reply = await plane.send("/x", {
      as: "acme",
      method: "PUT",
      body: "whole",
      headers: { cookie: "theme=dark", x_tenant_id: "globex" },
    });
    assert.equal(bad.received.length, 1);
    const { rawHeaders, body } = reply.echoed();
    const names = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [name.toLowerCase().replaceAll("_", "-")] : []));
    assert.equal(names.filter((name) => name === "x-tenant-id").length, 1);
    assert.ok(!names.includes("authorization"));
    assert.equal(body, "whole");
    assert.deepEqual(good.received[0]?.rawHeaders.length, bad.received[0]?.rawHeaders.length);
  });
});

test("an upstream's failure to one tenant is told in that tenant's words and escaped, to no other", async (t) => {
  const echo = await startEcho(t);
  await echo.close();
  const plane = await startPlane(t, routeWith(echo.node, {}));
  const reply = await plane.send("/x?<script>alert(1)</script>", { as: "acme" });
  assert.equal(reply.status, 502);
  assert.equal(reply.headers["content-type"], "application/problem+json");
  assert.ok(!reply.text.includes("script") && !reply.text.includes("127.0.0.1"), reply.text);
});
