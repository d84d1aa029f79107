import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { describe, it } from "node:test";
import { compileCost } from "../../../src/gateway/plugins/ai-rate-limiting/cost-expression.ts";
import { type Echo, startEcho, startPlane } from "../../support/data-plane.ts";
import { documentOf } from "./access-document.ts";

const CHAT = JSON.stringify({ messages: [{ role: "user", content: "Hello" }], model: "any" });
const USAGE = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

function instanceOf(echo: Echo, name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  const auth = { header: { [`x-key-of-${name}`]: `secret-${name}` } };
  return { name, provider: "openai-compatible", weight: 1, auth, override: { endpoint: `http://${echo.node}` }, ...more };
}

/** Answers like a provider of models. */
async function startModel(t: Parameters<typeof startEcho>[0], status = 200): Promise<Echo> {
  const echo = await startEcho(t);
  echo.answer = (_received, response) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ choices: [], usage: USAGE }));
  };
  return echo;
}

const post = { method: "POST", headers: { "content-type": "application/json" }, body: CHAT } as const;

describe("ai-proxy", () => {
  it("tells a provider its key, the options and the request, and nothing about the tenant or the caller", async (t) => {
    const model = await startModel(t);
    const { name: _name, weight: _weight, ...settings } = instanceOf(model, "one", { options: { model: "small", temperature: 0 } });
    const { send } = await startPlane(t, documentOf("127.0.0.1:1", { "ai-proxy": settings }));
    const reply = await send("/x?secret=1", { ...post, as: "acme", headers: { ...post.headers, cookie: "a=b", "x-caller": "c" } });
    assert.equal(reply.status, 200, reply.text);
    const [received] = model.received;
    assert.deepEqual([received?.method, received?.target, received?.headers.host], ["POST", "/v1/chat/completions", model.node]);
    assert.equal(received?.headers["x-key-of-one"], "secret-one");
    assert.deepEqual(JSON.parse(received.body), { temperature: 0, messages: [{ role: "user", content: "Hello" }], model: "small" });
    const names = Object.keys(received.headers);
    for (const name of [
      "authorization",
      "cookie",
      "x-caller",
      "x-tenant-id",
      "x-tenant-context",
      "baggage",
      "x-forwarded-for",
      "x-real-ip",
    ]) {
      assert.ok(!names.includes(name), name);
    }
  });

  it("refuses what is no request to a model before anything is sent", async (t) => {
    const model = await startModel(t);
    const { name: _name, weight: _weight, ...settings } = instanceOf(model, "one");
    const { send } = await startPlane(t, documentOf("127.0.0.1:1", { "ai-proxy": settings }));
    for (const body of ["", "{", "[]", '{"model":"a"}', '{"messages":[],"messages":[]}']) {
      assert.equal((await send("/x", { ...post, as: "acme", body })).status, 400, body);
    }
    assert.equal((await send("/x", { ...post, as: "acme", headers: { "content-type": "text/plain" } })).status, 415);
    assert.equal(model.received.length, 0);
  });
});

describe("ai-proxy-multi", () => {
  it("goes on to the next instance when one fails, and gives it no key but its own", async (t) => {
    const [failing, good] = [await startModel(t, 503), await startModel(t)];
    const instances = [instanceOf(failing, "a", { priority: 1 }), instanceOf(good, "b")];
    const { send } = await startPlane(t, documentOf("127.0.0.1:1", { "ai-proxy-multi": { instances, fallback_strategy: ["http_5xx"] } }));
    const reply = await send("/x", { ...post, as: "acme" });
    assert.deepEqual([reply.status, failing.received.length, good.received.length], [200, 1, 1]);
    assert.deepEqual(
      ["x-key-of-a", "x-key-of-b"].map((name) => good.received[0]?.headers[name]),
      [undefined, "secret-b"],
    );
  });

  it("goes on to an instance with a name whose address was never looked up before", async (t) => {
    const [failing, good] = [await startEcho(t), await startModel(t)];
    // a provider takes its time, and a look-up that began before takes less
    const later = async (): Promise<void> => {
      for (let times = 0; times < 3; times++) await lookup("localhost");
    };
    failing.answer = (_received, response) => void later().then(() => response.writeHead(503).end());
    const named = { endpoint: `http://localhost:${good.port}` };
    const instances = [instanceOf(failing, "a", { priority: 1 }), instanceOf(good, "b", { override: named })];
    const { send } = await startPlane(t, documentOf("127.0.0.1:1", { "ai-proxy-multi": { instances, fallback_strategy: ["http_5xx"] } }));
    assert.equal((await send("/x", { ...post, as: "acme" })).status, 200);
  });

  it("gives the last error when no strategy says otherwise", async (t) => {
    const [failing, good] = [await startModel(t, 503), await startModel(t)];
    const instances = [instanceOf(failing, "a", { priority: 1 }), instanceOf(good, "b")];
    const { send } = await startPlane(t, documentOf("127.0.0.1:1", { "ai-proxy-multi": { instances } }));
    assert.equal((await send("/x", { ...post, as: "acme" })).status, 503);
    assert.equal(good.received.length, 0);
  });
});

describe("ai-rate-limiting", () => {
  it("refuses a tenant whose tokens are used up, and no other", async (t) => {
    const model = await startModel(t);
    const plugins = { "ai-proxy-multi": { instances: [instanceOf(model, "one")] }, "ai-rate-limiting": { limit: 20, time_window: 60 } };
    const { send } = await startPlane(t, documentOf("127.0.0.1:1", plugins));
    const statuses: number[] = [];
    for (let at = 0; at < 3; at++) statuses.push((await send("/x", { ...post, as: "acme" })).status);
    const other = await send("/x", { ...post, as: "globex" });
    assert.deepEqual([...statuses, other.status], [200, 200, 429, 200]);
    assert.equal(other.headers["x-ai-ratelimit-remaining-one"], "20");
  });

  it("takes an instance that has tokens left where it may", async (t) => {
    const [first, second] = [await startModel(t), await startModel(t)];
    const plugins = {
      "ai-proxy-multi": {
        instances: [instanceOf(first, "a", { priority: 1 }), instanceOf(second, "b")],
        fallback_strategy: ["rate_limiting"],
      },
      "ai-rate-limiting": { instances: [{ name: "a", limit: 10, time_window: 60 }] },
    };
    const { send } = await startPlane(t, documentOf("127.0.0.1:1", plugins));
    for (let at = 0; at < 3; at++) assert.equal((await send("/x", { ...post, as: "acme" })).status, 200);
    assert.deepEqual([first.received.length, second.received.length], [1, 2]);
  });

  it("reckons a cost by a formula, which gives nothing back and runs nothing", () => {
    const counts = new Map([
      ["a", 50],
      ["b", 200],
    ]);
    for (const [formula, cost] of [
      ["a + b * 0.1", 70],
      ["(a + b) / 2 - -1", 126],
      ["a - b", 0],
      ["a / missing", 0],
      ["2 + 3 * 4", 14],
    ] as const) {
      assert.equal(compileCost(formula)(counts), cost, formula);
    }
    for (const wrong of ["", "a +", "(a", "a b", "a; b", "process.exit()", "a ** b", "1..2"])
      assert.throws(() => compileCost(wrong), wrong);
  });
});
