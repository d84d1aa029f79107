import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createBatcher } from "../../../src/gateway/plugins/http-logger/batcher.ts";
import { createManualClock } from "../../support/clock.ts";
import { type Echo, startEcho, startPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";
import { assertRefused, routeWith } from "./content-document.ts";

interface Line {
  readonly request: { readonly uri: string; readonly headers: Record<string, string>; readonly body?: string };
  readonly response: { readonly status: number; readonly headers: Record<string, string>; readonly body?: string };
  readonly tenant_id: string;
}

const QUICK = { batch_max_size: 1 };
const SECRET = "s3cret-value";

async function lineOf(collector: Echo): Promise<Line> {
  const received = await until("a line has come", () => collector.received.at(-1));
  return JSON.parse(received.body) as Line;
}

describe("http-logger", () => {
  it("a line says what happened, and nothing that a caller proved itself with", async (t) => {
    const [echo, collector] = [await startEcho(t), await startEcho(t)];
    echo.answer = (_received, response) => response.writeHead(201, { "set-cookie": `a=${SECRET}`, "x-made": "yes" }).end("made");
    const settings = { uri: `http://${collector.node}/logs`, auth_header: "Bearer collector", ...QUICK };
    const { send } = await startPlane(t, routeWith(echo.node, { "http-logger": settings }));
    const headers = {
      authorization: `Bearer acme:${SECRET}`,
      cookie: SECRET,
      "x-api-secret": SECRET,
      "x-plain": "seen",
      referer: `/a?token=${SECRET}`,
    };
    await send(`/x?a=1&client%5Fsecret=${SECRET}&x_token=${SECRET}`, { headers });
    const line = await lineOf(collector);
    assert.equal(collector.received[0]?.headers["authorization"], "Bearer collector");
    assert.equal(line.request.uri, "/x?a=1&client%5Fsecret=[redacted]&x_token=[redacted]");
    assert.equal(line.request.headers["x-plain"], "seen");
    assert.equal(line.response.status, 201);
    assert.equal(line.response.headers["x-made"], "yes");
    assert.equal(line.response.body, undefined);
    assert.equal(line.tenant_id, "acme");
    assert.ok(!collector.received[0]?.body.includes(SECRET), "a credential was logged");
  });

  it("bodies are logged when that is asked for, up to their bounds, and reach everybody whole", async (t) => {
    const [echo, collector] = [await startEcho(t), await startEcho(t)];
    echo.answer = ({ body }, response) => response.end(body);
    const bodies = { include_req_body: true, max_req_body_bytes: 10, include_resp_body: true, max_resp_body_bytes: 4 };
    const settings = { uri: `http://${collector.node}/logs`, ...bodies, ...QUICK };
    const { send } = await startPlane(t, routeWith(echo.node, { "http-logger": settings }));
    assert.equal((await send("/x", { as: "acme", method: "POST", body: "0123456789" })).text, "0123456789");
    const line = await lineOf(collector);
    assert.equal(line.request.body, "0123456789");
    assert.equal(line.response.body, "0123");
    assert.equal((await send("/x", { as: "acme", method: "POST", body: "0123456789a" })).text, "0123456789a");
    await until("the second line has come", () => collector.received.length === 2);
    assert.equal((await lineOf(collector)).request.body, undefined);
  });

  it("a format says what is in a line; credentials are not, whatever it says", async (t) => {
    const [echo, collector] = [await startEcho(t), await startEcho(t)];
    const log_format = { who: "$tenant_id", fixed: 7, inner: { auth: "$http_authorization", key: "$arg_apikey", at: "$request_uri" } };
    const settings = { uri: `http://${collector.node}/logs`, log_format, ...QUICK };
    const { send } = await startPlane(t, routeWith(echo.node, { "http-logger": settings }));
    await send(`/x?apikey=${SECRET}`, { as: "acme" });
    const inner = { auth: "[redacted]", key: "[redacted]", at: "/x?apikey=[redacted]" };
    assert.deepEqual(await lineOf(collector), { who: "acme", fixed: 7, inner, route_id: "1" });
  });

  it("lines go in batches, and what waits is sent when the configuration goes", async (t) => {
    const [echo, collector] = [await startEcho(t), await startEcho(t)];
    const settings = { uri: `http://${collector.node}/logs`, batch_max_size: 3, concat_method: "new_line", log_format: { at: "$uri" } };
    const { send, apply, records } = await startPlane(t, routeWith(echo.node, { "http-logger": settings }));
    for (let i = 0; i < 5; i++) await send(`/${i}`, { as: "acme" });
    await until("all calls are over", () => records.length === 5);
    await apply(routeWith(echo.node, {}));
    await until("both batches have come", () => collector.received.length === 2);
    const lines = collector.received.flatMap(({ body }) =>
      body.split("\n").map((line) => (JSON.parse(line) as { readonly at: string }).at),
    );
    assert.deepEqual(lines.toSorted(), ["/0", "/1", "/2", "/3", "/4"]);
    assert.equal(collector.received[0]?.headers["content-type"], "text/plain");
  });

  it("no call waits for a collector that does not answer", async (t) => {
    const [echo, collector] = [await startEcho(t), await startEcho(t)];
    collector.answer = () => undefined;
    const settings = { uri: `http://${collector.node}/logs`, timeout: 1, ...QUICK };
    const { send } = await startPlane(t, routeWith(echo.node, { "http-logger": settings }));
    for (let i = 0; i < 20; i++) assert.equal((await send("/x", { as: "acme" })).status, 200);
    await until("lines are under way", () => collector.received.length > 0);
    await collector.close();
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("http-logger", {}, /property "uri" is required/);
    assertRefused("http-logger", { uri: "127.0.0.1" }, /property "uri" validation failed: failed to match pattern/);
    assertRefused("http-logger", { uri: "ftp://a.test" }, /is no address of HTTP/);
    assertRefused(
      "http-logger",
      { uri: "http://a.test", include_req_body_expr: [["a", "!!", 1]] },
      /failed to validate the '\w+' expression/,
    );
  });
});

describe("the batches of http-logger", () => {
  const settings = { max_retry_count: 2, retry_delay: 0, buffer_duration: 60, inactive_timeout: 60, batch_max_size: 2 };

  it("a batch that failed is sent again, so many times, and then given up and said", async () => {
    const tries: (readonly string[])[] = [];
    const warnings: unknown[] = [];
    const warn = (_message: string, facts: unknown): void => void warnings.push(facts);
    const send = (entries: readonly string[]): Promise<boolean> => {
      tries.push(entries);
      return tries.length === 1 ? Promise.reject(new Error("gone")) : Promise.resolve(false);
    };
    const batcher = createBatcher(settings, 100, { clock: createManualClock(), send, warn });
    batcher.push("a");
    batcher.push("b");
    await until("it is given up", () => warnings.length === 1);
    assert.deepEqual(tries, [
      ["a", "b"],
      ["a", "b"],
      ["a", "b"],
    ]);
    assert.deepEqual(warnings, [{ entries: 2, reason: "the collector refused them" }]);
    await batcher.close();
  });

  it("the buffer is bounded with what is on its way, and closing sends the rest", async () => {
    const sent: string[] = [];
    const warnings: unknown[] = [];
    let release: (taken: boolean) => void = () => undefined;
    const send = (entries: readonly string[]): Promise<boolean> => {
      sent.push(...entries);
      return sent.length > 2 ? Promise.resolve(true) : new Promise((resolve) => (release = resolve));
    };
    const batcher = createBatcher(settings, 3, { clock: createManualClock(), send, warn: (_message, facts) => void warnings.push(facts) });
    for (const entry of ["a", "b", "c", "d", "e"]) batcher.push(entry);
    assert.deepEqual(sent, ["a", "b"]);
    assert.deepEqual(warnings, [{ entries: 1, reason: "the buffer is full" }]);
    const closing = batcher.close();
    release(true);
    await closing;
    assert.deepEqual(sent, ["a", "b", "c"]);
  });
});
