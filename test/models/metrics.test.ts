import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Registry } from "prom-client";
import { createModelMetrics } from "../../src/cli/model-metrics.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { apiKey, startModels } from "./models-under-test.ts";
import { startProvider } from "./scripted-provider.ts";

const freehold = await startFreehold();
await startModels(freehold);
const a = freehold.as(freehold.credentials.a.member);
const admin = freehold.as(freehold.credentials.a.admin);
const operator = freehold.trusted(freehold.platform.admin);
const onlooker = freehold.trusted(freehold.platform.viewer, "admin");

const CHAT = "/v1/chat/completions";
const messages = [{ role: "user", content: "Say something." }];

/** The value of one series; 0 as long as it is not there. */
async function valueOf(series: string): Promise<number> {
  const { text } = await onlooker.get("/metrics");
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

describe("metrics of models", () => {
  guard(freehold);

  test("count requests by how they ended, tokens, cost and the first byte", async () => {
    const { usage } = (await a.post(CHAT, { model: "say-3", messages })).json<{ usage: { prompt_tokens: number } }>();
    await a.post(CHAT, { model: "refusing", messages });
    const input = usage.prompt_tokens;
    assert.equal(await valueOf('freehold_model_requests_total{tenant="a",model="say-3",outcome="ok"}'), 1);
    assert.equal(await valueOf('freehold_model_requests_total{tenant="a",model="refusing",outcome="refused"}'), 1);
    assert.equal(await valueOf('freehold_model_tokens_total{tenant="a",model="say-3",kind="input"}'), input);
    assert.equal(await valueOf('freehold_model_tokens_total{tenant="a",model="say-3",kind="output"}'), 3);
    assert.ok(Math.abs((await valueOf('freehold_model_cost_total{tenant="a",model="say-3"}')) - (input * 2 + 3 * 8) / 1e6) < 1e-12);
    assert.equal(await valueOf('freehold_model_first_byte_seconds_count{model="say-3"}'), 1);
  });

  test("count a try that another target followed apart from the request", async () => {
    assert.equal((await a.post(CHAT, { model: "spare", messages })).headers["x-freehold-attempts"], "2");
    assert.equal(await valueOf('freehold_model_retries_total{tenant="a",model="failing"}'), 1);
    assert.equal(await valueOf('freehold_model_requests_total{tenant="a",model="failing",outcome="failed"}'), 0);
    assert.equal(await valueOf('freehold_model_requests_total{tenant="a",model="small",outcome="ok"}'), 1);
  });

  test("count what a budget refused, and what the cache answered", async () => {
    const budgets = [{ name: "none", unit: "requests", per: "day", limit: 0 }];
    await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: { budgets } } });
    assert.equal((await a.post(CHAT, { model: "say-40", messages })).code, "insufficient_quota");
    assert.equal(await valueOf('freehold_model_budget_refusals_total{tenant="a",model="say-40"}'), 1);
    await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: {} } });
    await admin.send("PUT", "/tenant/v1/models", { json: { document: { cache: { ttlMs: 600_000 } } } });
    await until("the answer to be kept", async () => {
      const { headers } = await a.post(CHAT, { model: "say-40", messages });
      return headers["x-freehold-cache"] === "hit" ? true : undefined;
    });
    assert.equal(await valueOf('freehold_model_requests_total{tenant="a",model="say-40",outcome="cached"}'), 1);
    await admin.send("PUT", "/tenant/v1/models", { json: { document: {} } });
  });

  test("have no name that a tenant has made up: neither of its own models, nor of one that is not there", async () => {
    const own = await startProvider("sk-own-of-a");
    try {
      const document = {
        providers: { mine: { kind: "openai-compatible", baseUrl: own.url } },
        models: { "made-up-by-a": { provider: "mine", model: "say-7" } },
      };
      await admin.send("PUT", "/tenant/v1/models", { json: { document } });
      await admin.send("PUT", "/tenant/v1/models/keys/mine", { json: { key: "sk-own-of-a" } });
      assert.equal((await a.post(CHAT, { model: "made-up-by-a", messages })).status, 200);
      assert.equal((await a.post(CHAT, { model: "nowhere-at-all", messages })).status, 404);
      assert.equal(await valueOf('freehold_model_requests_total{tenant="a",model="own",outcome="ok"}'), 1);
      const { text } = await onlooker.get("/metrics");
      assert.ok(!text.includes("made-up-by-a") && !text.includes("nowhere-at-all"));
    } finally {
      await admin.send("PUT", "/tenant/v1/models", { json: { document: {} } });
      own.close();
    }
  });

  test("are each tenant's by itself, and shown on the port of the operators only", async () => {
    const key = await apiKey(freehold, "b");
    const before = await valueOf('freehold_model_requests_total{tenant="a",model="small",outcome="ok"}');
    await freehold.trusted({ authorization: `Bearer ${key}` }).post(CHAT, { model: "small", messages });
    assert.equal(await valueOf('freehold_model_requests_total{tenant="b",model="small",outcome="ok"}'), 1);
    assert.equal(await valueOf('freehold_model_requests_total{tenant="a",model="small",outcome="ok"}'), before);
    assert.equal((await admin.get("/metrics")).status, 404);
  });

  test("stay as many as their bounds, whatever comes: what is too much is counted as other", async () => {
    const registry = new Registry();
    const metrics = createModelMetrics(registry, { tenantsMax: 2, modelsMax: 3 });
    for (let at = 0; at < 50; at++)
      metrics.refused({ id: `tenant-${at % 10}` } as Parameters<typeof metrics.refused>[0], {
        target: `model-${at % 7}`,
        owner: "platform",
      });
    const series = (await registry.metrics()).split("\n").filter((line) => line.startsWith("freehold_model_budget_refusals_total{"));
    assert.ok(series.length <= 3 * 4, `${series.length} series`);
    assert.ok(series.some((line) => line.includes('tenant="other",model="other"')));
    assert.equal(
      series.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0),
      50,
    );
  });
});
