import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { apiKey, putModels, startModels, USAGES } from "./models-under-test.ts";
import { startProvider } from "./scripted-provider.ts";

const freehold = await startFreehold();
const provider = await startModels(freehold);
const a = freehold.as(freehold.credentials.a.member);
const operator = freehold.trusted(freehold.platform.admin);
const admin = freehold.as(freehold.credentials.a.admin);

const CHAT = "/v1/chat/completions";
const messages = [{ role: "user", content: "Say something." }];

interface Line {
  readonly target: string;
  readonly attempt: number;
  readonly outcome: string;
  readonly source: string;
  readonly status: number;
  readonly input: number;
  readonly output: number;
  readonly cost: number;
}

/** The lines of the newest request, when so many are written: two tries can be in two batches. */
async function linesOf(requestId: unknown, linesMin = 1): Promise<Line[]> {
  return await until("the lines of the ledger", async () => {
    const { lines } = (await admin.get("/tenant/v1/models/ledger?limit=50")).json<{ lines: (Line & { requestId: string })[] }>();
    const own = lines.filter((line) => line.requestId === requestId).toSorted((one, other) => one.attempt - other.attempt);
    return own.length >= linesMin ? own : undefined;
  });
}

describe("models", () => {
  guard(freehold);

  describe("what goes to a model", () => {
    test("arrives byte for byte, but for the name of the model", async () => {
      const body =
        '{ "messages":[{"role":"user","content":"a \\u00e9 \\"model\\" {"}] ,\n"unknown_member": {"model": 1.0e2}, "model" : "small" , "z":[1e400]}';
      const reply = await a.send("POST", CHAT, { body, headers: { "content-type": "application/json" } });
      assert.equal(reply.status, 200, reply.text);
      assert.equal(provider.seen.at(-1)?.text, body.replace('"small"', '"say-5"'));
      assert.equal(reply.headers["set-cookie"], undefined);
      assert.equal(reply.headers["x-freehold-model"], "small");
      assert.equal(reply.headers["x-freehold-upstream-request-id"], "req_scripted");
    });

    test("comes back byte for byte", async () => {
      const [whole, stream] = [
        { model: "say-3", messages },
        { model: "say-3", messages, stream: true, stream_options: { include_usage: true } },
      ];
      for (const json of [whole, stream]) {
        const through = await a.post(CHAT, json);
        const direct = await fetch(`${provider.url}/chat/completions`, {
          method: "POST",
          body: JSON.stringify(json),
          headers: { authorization: "Bearer sk-provider-5f0c9a" },
        });
        assert.equal(through.text, await direct.text());
      }
    });

    test("is refused here, and not sent, when two readers could read it in two ways", async () => {
      const sent = provider.seen.length;
      for (const body of [
        '{"model":"small","model":"say-40","messages":[]}',
        '{"model":"small","\\u006dodel":"say-40","messages":[]}',
        '{"model":"small","messages":[]} {"model":"say-40"}',
        '{"model":"small","messages":[}]}',
        '{"model":"small","messages":[]',
        '["small"]',
        '{"messages":[]}',
        '{"model":5}',
        '{"model":"small","stream":"yes"}',
        '{"model":"small","max_tokens":-1}',
        '{"model":"small","n":1000}',
        "",
      ]) {
        const reply = await a.send("POST", CHAT, { body, headers: { "content-type": "application/json" } });
        assert.deepEqual([reply.status, reply.json<{ error: { code: string } }>().error.code], [400, "invalid_json"], body);
      }
      assert.equal(provider.seen.length, sent);
    });

    test("that the tenant may not use is not there, as what does not exist", async () => {
      await putModels(freehold, provider.url, { plans: { starter: { models: ["*"] } } });
      const closed = await a.post(CHAT, { model: "small", messages });
      const nowhere = await a.post(CHAT, { model: "nowhere", messages });
      const shown = ({ status, text }: typeof closed): unknown[] => [status, text.replace(/"requestId":"[^"]*"/, "")];
      assert.deepEqual(shown(closed), shown(nowhere));
      assert.equal(closed.status, 404);
      await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: { models: ["sm*"] } } });
      assert.equal((await a.post(CHAT, { model: "small", messages })).status, 200);
      assert.equal((await a.post(CHAT, { model: "say-3", messages })).status, 404);
      await putModels(freehold, provider.url);
    });

    test("needs the scope of its own", async () => {
      assert.equal((await freehold.as(freehold.credentials.a.chatKey).post(CHAT, { model: "small", messages })).status, 403);
    });

    test("goes to the tenant's own provider with the tenant's own key", async () => {
      const own = await startProvider("sk-own-of-a");
      try {
        const document = {
          providers: { mine: { kind: "openai-compatible", baseUrl: own.url } },
          models: { "my-model": { provider: "mine", model: "say-7" } },
          routes: { small: { targets: [{ model: "my-model" }] } },
        };
        assert.equal((await admin.send("PUT", "/tenant/v1/models", { json: { document } })).status, 200);
        const keyless = await a.post(CHAT, { model: "small", messages });
        assert.deepEqual([keyless.status, keyless.json<{ error: { code: string } }>().error.code], [422, "invalid_settings"]);
        await admin.send("PUT", "/tenant/v1/models/keys/mine", { json: { key: "sk-own-of-a" } });
        assert.equal((await a.post(CHAT, { model: "small", messages })).status, 200);
        assert.deepEqual([own.seen.length, own.problems], [1, []]);
        await freehold.trusted(freehold.credentials.b.member).post(CHAT, { model: "small", messages });
        assert.equal(own.seen.length, 1);
      } finally {
        await admin.send("PUT", "/tenant/v1/models", { json: { document: {} } });
        own.close();
      }
    });
  });

  describe("a target that fails", () => {
    test("is followed by the next, each try with a line of its own", async () => {
      const reply = await a.post(CHAT, { model: "spare", messages });
      assert.deepEqual([reply.status, reply.headers["x-freehold-attempts"], reply.headers["x-freehold-model"]], [200, "2", "small"]);
      const lines = await linesOf(reply.headers["x-request-id"], 2);
      assert.deepEqual(
        lines.map(({ target, outcome, status, source }) => [target, outcome, status, source]),
        [
          ["failing", "failed", 503, "none"],
          ["small", "ok", 200, "reported"],
        ],
      );
    });

    test("gives its own error when it is the last", async () => {
      const reply = await a.post(CHAT, { model: "hopeless", messages });
      assert.equal(reply.status, 503);
      assert.match(reply.text, /scripted 503/);
    });

    test("is given a rest, and its rest is no other tenant's", async () => {
      for (let at = 0; at < 4; at++) await a.post(CHAT, { model: "spare", messages });
      const rested = await a.post(CHAT, { model: "spare", messages });
      assert.equal(rested.headers["x-freehold-attempts"], "1");
      const ofB = await freehold.trusted(freehold.credentials.b.member).post(CHAT, { model: "spare", messages });
      assert.equal(ofB.headers["x-freehold-attempts"], "2");
    });

    test("about its key says so in words of ours, and never shows the key or the provider's own words", async () => {
      const reply = await a.post(CHAT, { model: "unauthorised", messages });
      assert.deepEqual([reply.status, reply.json<{ error: { code: string } }>().error.code], [502, "upstream_invalid"]);
      assert.ok(!reply.text.includes("scripted"));
    });
  });

  describe("a route", () => {
    test("with conditions leads where they hold", async () => {
      const short = await a.post(CHAT, { model: "sized", messages });
      const long = await a.post(CHAT, { model: "sized", messages: [{ role: "user", content: "x".repeat(500) }] });
      assert.deepEqual(
        [short, long].map(({ headers }) => headers["x-freehold-model"]),
        ["small", "say-40"],
      );
    });

    test("by weight leads to each as often as it says", async () => {
      const replies = await Promise.all(Array.from({ length: 200 }, () => a.post(CHAT, { model: "shared", messages })));
      const heavy = replies.filter(({ headers }) => headers["x-freehold-model"] === "say-3").length;
      // binomial of 200 and 0.75: below 110 or above 185 once in a million runs
      assert.ok(heavy > 110 && heavy < 185, `${heavy} of 200`);
    });
  });

  describe("the cache", () => {
    const question = (text: string): object => ({ model: "small", messages: [{ role: "user", content: text }] });

    test("keeps nothing unless the tenant wants it", async () => {
      const before = provider.seen.length;
      for (let at = 0; at < 2; at++) assert.equal((await a.post(CHAT, question("off"))).headers["x-freehold-cache"], undefined);
      assert.equal(provider.seen.length - before, 2);
    });

    test("answers the same bytes of the same tenant, and nobody else's", async () => {
      const b = freehold.trusted(freehold.credentials.b.member);
      for (const [name, admins] of [
        ["a", admin],
        ["b", freehold.trusted(freehold.credentials.b.admin)],
      ] as const) {
        const reply = await admins.send("PUT", "/tenant/v1/models", { json: { document: { cache: { ttlMs: 600_000 } } } });
        assert.equal(reply.status, 200, name);
      }
      const before = provider.seen.length;
      const first = await a.post(CHAT, question("on"));
      const again = await until("the answer to be kept", async () => {
        const reply = await a.post(CHAT, question("on"));
        return reply.headers["x-freehold-cache"] === "hit" ? reply : undefined;
      });
      assert.equal(again.text, first.text);
      const [line] = await linesOf(again.headers["x-request-id"]);
      assert.deepEqual([line?.outcome, line?.input, line?.cost], ["cached", 0, 0]);
      const sent = provider.seen.length;
      assert.equal((await b.post(CHAT, question("on"))).headers["x-freehold-cache"], undefined);
      assert.equal((await a.post(CHAT, question("On"))).headers["x-freehold-cache"], undefined);
      assert.equal((await a.post(CHAT, { ...question("on"), stream: true })).headers["x-freehold-cache"], undefined);
      assert.equal(provider.seen.length - sent, 3);
      assert.ok(sent > before);
      for (const admins of [admin, freehold.trusted(freehold.credentials.b.admin)])
        await admins.send("PUT", "/tenant/v1/models", { json: { document: {} } });
    });
  });

  describe("what a provider says was used", () => {
    test("is the line of the ledger, at the price of the day", async () => {
      const reply = await a.post(CHAT, { model: "say-3", messages });
      const { usage } = reply.json<{ usage: { prompt_tokens: number } }>();
      const [line] = await linesOf(reply.headers["x-request-id"]);
      assert.deepEqual([line?.input, line?.output, line?.source], [usage.prompt_tokens, 3, "reported"]);
      assert.equal(line?.cost, usage.prompt_tokens * 2_000 + 3 * 8_000);
    });

    test("is refused when it is negative, huge, missing or no number: then it is counted here, and written down", async () => {
      for (const at of USAGES.keys()) {
        for (const stream of [false, true]) {
          const reply = await a.post(CHAT, { model: `usage-${at}`, messages, stream });
          assert.equal(reply.status, 200, reply.text);
          const [line] = await linesOf(reply.headers["x-request-id"]);
          assert.equal(line?.source, "counted", `${USAGES[at]}`);
          assert.ok(line.input > 0 && line.input < 1_000 && line.output >= 0 && line.output < 1_000 && line.cost >= 0);
        }
      }
      const audit = (await operator.get("/admin/v1/audit?limit=200")).text;
      assert.ok(audit.split("usage_rejected").length - 1 >= USAGES.length);
    });

    test("of a stream that broke off, or whose caller went, is what was seen of it", async () => {
      const broken = await a.post(CHAT, { model: "broken", messages, stream: true });
      const [line] = await linesOf(broken.headers["x-request-id"]);
      assert.deepEqual([line?.outcome, line?.source], ["broken", "counted"]);
      const key = await apiKey(freehold, "a");
      const whole = await fetch(`${freehold.app.url}${CHAT}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: "broken", messages }),
      });
      await assert.rejects(whole.text(), "half an answer does not look whole");
      assert.equal((await linesOf(whole.headers.get("x-request-id")))[0]?.outcome, "broken");
      const leaving = new AbortController();
      const going = await fetch(`${freehold.app.url}${CHAT}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: "say-40", messages, stream: true }),
        signal: leaving.signal,
      });
      await going.body?.getReader().read();
      leaving.abort();
      const [gone] = await linesOf(going.headers.get("x-request-id"));
      assert.ok(gone && ["aborted", "ok"].includes(gone.outcome) && gone.output > 0, JSON.stringify(gone));
    });

    test("in single bytes is read all the same", async () => {
      const reply = await a.post(CHAT, { model: "dripping", messages, stream: true });
      const [line] = await linesOf(reply.headers["x-request-id"]);
      assert.deepEqual([line?.outcome, line?.output, line?.source], ["ok", 4, "reported"]);
      assert.ok(!reply.text.includes('"total_tokens"') && reply.text.endsWith("data: [DONE]\n\n"));
    });

    test("adds up for its tenant, and for no other", async () => {
      const { usage } = (await admin.get("/tenant/v1/models/usage")).json<{
        usage: { model: string; output: number; attempts: number }[];
      }>();
      assert.ok(usage.some(({ model, output }) => model === "say-3" && output > 0));
      const ofB = (await freehold.trusted(freehold.credentials.b.admin).get("/tenant/v1/models/usage")).json<{
        usage: { model: string }[];
      }>();
      assert.ok(!ofB.usage.some(({ model }) => model === "say-3"));
    });
  });
});
