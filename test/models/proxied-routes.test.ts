import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { temporaryFolder } from "../support/engines.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { PROVIDER_KEY, startModels } from "./models-under-test.ts";

const file = path.join(temporaryFolder(), "gateway.json");
writeFileSync(file, "{}");
const freehold = await startFreehold({ settings: { gateway: { file } } });
const provider = await startModels(freehold);
const a = freehold.credentials.a.member;
const b = freehold.credentials.b.member;
const admin = freehold.as(freehold.credentials.a.admin);
const operator = freehold.trusted(freehold.platform.admin);

const { origin } = new URL(provider.url);
const auth = { header: { authorization: `Bearer ${PROVIDER_KEY}` } };
const instance = (name: string, options: object): object => ({
  name,
  provider: "openai-compatible",
  weight: 1,
  priority: name === "first" ? 1 : 0,
  auth,
  options,
  override: { endpoint: origin },
});
const proxied = (settings: object): object => ({ "ai-proxy": { auth, override: { endpoint: origin }, ...settings } });
const instances = [instance("first", { model: "fail-503" }), instance("second", { model: "say-5" })];
const ROUTES: Readonly<Record<string, object>> = {
  "/ai/any": proxied({ provider: "openai-compatible" }),
  "/ai/openai": proxied({ provider: "openai", options: { model: "say-3" } }),
  "/ai/nowhere": proxied({ provider: "openai", override: { endpoint: "http://127.0.0.1:1" } }),
  "/ai/multi": { "ai-proxy-multi": { instances, fallback_strategy: ["http_5xx"] } },
  "/claude/v1/messages": proxied({ provider: "anthropic" }),
};
writeFileSync(file, JSON.stringify({ routes: Object.entries(ROUTES).map(([uri, plugins], at) => ({ id: `ai-${at}`, uri, plugins })) }));
await freehold.app.reloadGateway();

const messages = [{ role: "user", content: "Say something." }];
const MAC = /^[A-Za-z0-9_-]{43}$/;

/** What a route has answered, whose fields are the provider's as far as they go on. */
interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function ask(by: Readonly<Record<string, string>>, uri: string, json: object = {}, more: Record<string, string> = {}): Promise<Got> {
  const headers = { ...by, "content-type": "application/json", ...more };
  const body = JSON.stringify({ model: "say-3", messages, ...json });
  const response = await fetch(`${freehold.app.url}${uri}`, { method: "POST", headers, body });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const errorOf = ({ text }: Got): Record<string, unknown> => (JSON.parse(text) as { error: Record<string, unknown> }).error;

interface Line {
  readonly requestId: string;
  readonly attempt: number;
  readonly model: string;
  readonly target: string;
  readonly provider: string;
  readonly owner: string;
  readonly protocol: string;
  readonly outcome: string;
  readonly status: number;
  readonly source: string;
  readonly input: number;
  readonly output: number;
  readonly cost: number;
}

/** The lines of this request in the ledger of tenant a. */
async function linesOf({ headers }: Got, count = 1): Promise<readonly Line[]> {
  return await until("the lines of the request", async () => {
    const { lines } = (await admin.get("/tenant/v1/models/ledger?limit=50")).json<{ lines: Line[] }>();
    const own = lines.filter(({ requestId }) => requestId === headers.get("x-request-id"));
    return own.length >= count ? own.toSorted((one, other) => one.attempt - other.attempt) : undefined;
  });
}

async function give(...budgets: readonly object[]): Promise<void> {
  const reply = await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: { models: [], budgets } } });
  assert.equal(reply.status, 200, reply.text);
}

async function guardrails(settings: object | undefined): Promise<void> {
  const reply = await admin.send("PUT", "/tenant/v1/models", { json: { document: { ...(settings && { guardrails: settings }) } } });
  assert.equal(reply.status, 200, reply.text);
}

const modelNamed = (text: string): string => `text-${Buffer.from(text).toString("base64url")}`;

describe("a route to a model", () => {
  guard(freehold);

  test("writes what each request has used into the ledger of its tenant", async () => {
    for (const stream of [false, true]) {
      const reply = await ask(a, "/ai/any", { stream });
      assert.equal(reply.status, 200, reply.text);
      const [line] = await linesOf(reply);
      const billed = provider.billed.byRequest.get(String(provider.seen.at(-1)?.headers["x-request-id"]));
      assert.partialDeepStrictEqual(line, {
        model: "say-3",
        target: "say-3",
        provider: "ai-proxy-openai-compatible",
        owner: "platform",
        protocol: "chat-completions",
        outcome: "ok",
        status: 200,
        source: "reported",
        output: 3,
        ...billed,
      });
      assert.ok(line && line.cost === line.input * 2_000 + 3 * 8_000, JSON.stringify(line));
    }
    const ofB = await ask(b, "/ai/any");
    assert.equal(ofB.status, 200, ofB.text);
    const claude = await ask(a, "/claude/v1/messages", { model: "say-6", max_tokens: 50 });
    assert.partialDeepStrictEqual(await linesOf(claude), [{ protocol: "messages", outcome: "ok", target: "haiku", output: 6 }]);
    const { lines } = (await admin.get("/tenant/v1/models/ledger?limit=50")).json<{ lines: Line[] }>();
    assert.ok(!lines.some(({ requestId }) => requestId === ofB.headers.get("x-request-id")));
  });

  test("has a line for each try, also where no answer came", async () => {
    const reply = await ask(a, "/ai/multi");
    assert.equal(reply.status, 200, reply.text);
    assert.partialDeepStrictEqual(await linesOf(reply, 2), [
      { attempt: 1, provider: "first", target: "failing", outcome: "failed", status: 503, source: "none" },
      { attempt: 2, provider: "second", target: "small", outcome: "ok", status: 200, output: 5 },
    ]);
    const refused = await ask(a, "/ai/any", { model: "fail-400" });
    assert.partialDeepStrictEqual(await linesOf(refused), [{ outcome: "refused", status: 400, output: 0 }]);
    const unreached = await ask(a, "/ai/nowhere");
    assert.equal(unreached.status, 502, unreached.text);
    assert.partialDeepStrictEqual(await linesOf(unreached), [{ outcome: "failed", status: 0, output: 0 }]);
    // the key is the platform's, and what is said about it is for operators
    const unauthorised = await ask(a, "/ai/any", { model: "fail-401" });
    assert.deepEqual([unauthorised.status, errorOf(unauthorised)["code"]], [502, "upstream_invalid"]);
    assert.partialDeepStrictEqual(await linesOf(unauthorised), [{ outcome: "failed", status: 401 }]);
    const broken = await ask(a, "/ai/any", { model: "break-5", stream: true });
    assert.partialDeepStrictEqual(await linesOf(broken), [{ outcome: "broken", source: "counted" }]);
  });

  test("names no account by what a caller has made up", async () => {
    const [line] = await linesOf(await ask(a, "/ai/any", { model: "say-7" }));
    assert.partialDeepStrictEqual(line, { model: "say-7", target: "ai-proxy-openai-compatible" });
    await give({ name: "each", unit: "requests", per: "day", limit: 1, for: "model" });
    const replies = [await ask(a, "/ai/any", { model: "say-8" }), await ask(a, "/ai/any", { model: "say-9" })];
    assert.deepEqual(
      replies.map(({ status }) => status),
      [200, 429],
    );
  });

  test("takes part in the tenant's budgets, together with its other requests, and in nobody else's", async () => {
    await give({ name: "five", unit: "requests", per: "day", limit: 5 });
    const ways = ["/ai/any", "/ai/openai", "/v1/chat/completions", "/ai/multi"];
    const replies = await Promise.all(Array.from({ length: 16 }, async (_, at) => await ask(a, ways[at % 4] ?? "")));
    const passed = replies.filter(({ status }) => status === 200);
    const refused = replies.filter(({ status }) => status === 429);
    assert.deepEqual([passed.length, refused.length], [5, 11]);
    for (const reply of refused) {
      assert.equal(reply.headers.get("x-should-retry"), "false");
      assert.partialDeepStrictEqual(errorOf(reply), { type: "insufficient_quota", code: "insufficient_quota", policy: "five" });
    }
    assert.equal((await ask(b, "/ai/any")).status, 200);
    // what has failed has used nothing
    await give({ name: "one", unit: "requests", per: "day", limit: 1 });
    assert.equal((await ask(a, "/ai/any", { model: "fail-400" })).status, 400);
    await until("the failed request to be given back", async () => ((await ask(a, "/ai/any")).status === 200 ? true : undefined));
    assert.equal((await ask(a, "/ai/any")).status, 429);
  });

  test("bounds answers by what is left, and ends a stream that passes it", async () => {
    await give({ name: "tokens", unit: "tokens", per: "day", limit: 230 });
    const whole = await ask(a, "/ai/any", { model: "say-40", max_tokens: 5_000 });
    assert.equal(whole.status, 200, whole.text);
    assert.ok(Number(provider.seen.at(-1)?.body["max_tokens"]) < 200, provider.seen.at(-1)?.text);
    const stream = await ask(a, "/ai/any", { model: "stubborn-200", stream: true });
    assert.equal(stream.status, 200, stream.text);
    assert.match(stream.text, /"code":"insufficient_quota"/);
    assert.partialDeepStrictEqual(await linesOf(stream), [{ outcome: "cut" }]);
    assert.equal((await ask(a, "/ai/any")).status, 429);
    await give();
  });

  test("lets no name of a caller through: they are those of the tenant, as on its other paths", async () => {
    const names = { user: "somebody", prompt_cache_key: "shared", safety_identifier: "s", cache_salt: "salt" };
    const headers = { "idempotency-key": "order-1" };
    const sent = async (by: typeof a, uri: string): Promise<Readonly<Record<string, unknown>>> => {
      const reply = await ask(by, uri, names, headers);
      assert.equal(reply.status, 200, reply.text);
      const seen = provider.seen.at(-1);
      assert.ok(seen);
      const { body, headers: fields } = seen;
      return { ...Object.fromEntries(Object.keys(names).map((name) => [name, body[name]])), key: fields["idempotency-key"] };
    };
    const [ofA, ofB, platform] = [await sent(a, "/ai/any"), await sent(b, "/ai/any"), await sent(a, "/v1/chat/completions")];
    for (const name of Object.keys(ofA)) {
      assert.match(String(ofA[name]), MAC, name);
      assert.notEqual(ofA[name], ofB[name], name);
    }
    assert.deepEqual(ofA, platform);
    assert.deepEqual(await sent(a, "/ai/multi"), ofA);
    await ask(a, "/ai/openai");
    assert.match(String(provider.seen.at(-1)?.body["prompt_cache_key"]), MAC);
    await ask(a, "/claude/v1/messages", { model: "say-6", max_tokens: 50, metadata: { user_id: "somebody" } });
    const last = provider.seen.at(-1);
    assert.ok(last);
    assert.match((last.body["metadata"] as { user_id: string }).user_id, MAC);
  });

  test("holds to the tenant's guardrails, in requests and in answers", async () => {
    const secret = modelNamed("The plan is Project Halibut, they say.");
    const personal = modelNamed("Write to jo.doe@acme.example.");
    await guardrails({ deny: { words: ["halibut"] }, personalData: { kinds: ["email"] } });
    const before = provider.seen.length;
    const refused = await ask(a, "/ai/any", { messages: [{ role: "user", content: "Halibut?" }] });
    assert.deepEqual([refused.status, errorOf(refused)["code"], provider.seen.length], [422, "content_refused", before]);
    const named = await ask(a, "/ai/any", { messages: [{ role: "user", content: "I am jo.doe@acme.example" }] });
    assert.equal(named.status, 200, named.text);
    assert.deepEqual(provider.seen.at(-1)?.body["messages"], [{ role: "user", content: "I am [email]" }]);
    for (const stream of [false, true]) {
      const hidden = await ask(a, "/ai/any", { model: secret, stream });
      assert.deepEqual([hidden.status, errorOf(hidden)["code"], hidden.text.includes("Halibut")], [422, "content_refused", false]);
      const [line] = await linesOf(hidden);
      assert.deepEqual([line?.outcome, line?.source], ["ok", "reported"]);
      const masked = await ask(a, "/ai/any", { model: personal, stream });
      assert.equal(masked.status, 200, masked.text);
      assert.ok(masked.text.includes("[email]") && !masked.text.includes("acme.example"), masked.text);
    }
    assert.equal((await ask(b, "/ai/any", { model: secret })).status, 200);
    await guardrails(undefined);
  });
});
