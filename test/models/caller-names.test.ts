import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Client } from "../support/freehold-client.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { startModels } from "./models-under-test.ts";
import { type Seen, startProvider } from "./scripted-provider.ts";

const freehold = await startFreehold();
const provider = await startModels(freehold);
const a = freehold.as(freehold.credentials.a.member);
const b = freehold.trusted(freehold.credentials.b.member);
const admin = freehold.as(freehold.credentials.a.admin);

const CHAT = "/v1/chat/completions";
const messages = [{ role: "user", content: "Say something." }];
const OPENAI_NAMES = ["prompt_cache_key", "safety_identifier", "user", "cache_salt"] as const;
const PATHS = {
  [CHAT]: { names: OPENAI_NAMES, more: { messages } },
  "/v1/responses": { names: OPENAI_NAMES, more: { input: "Say something." } },
  "/v1/embeddings": { names: ["user"], more: { input: "Say something." } },
} as const;
/** What providers take for any of the names. */
const MAC = /^[A-Za-z0-9_-]{43}$/;

/** What the provider got for this request. */
async function sent(client: Client, path: string, json: object, headers: Record<string, string> = {}): Promise<Seen> {
  const reply = await client.send("POST", path, { json, headers });
  assert.equal(reply.status, 200, reply.text);
  const seen = provider.seen.at(-1);
  assert.ok(seen);
  return seen;
}

describe("names that callers give at a provider of the platform's", () => {
  guard(freehold);

  for (const [path, { names, more }] of Object.entries(PATHS)) {
    test(`are each tenant's own (${path}): the same name of two tenants is two, and of one tenant always the same`, async () => {
      for (const name of names) {
        const json = { model: "small", ...more, [name]: "shared-name" };
        const ofA = (await sent(a, path, json)).body[name];
        const again = (await sent(a, path, json)).body[name];
        const other = (await sent(a, path, { ...json, [name]: "another" })).body[name];
        const ofB = (await sent(b, path, json)).body[name];
        assert.match(String(ofA), MAC, name);
        assert.equal(again, ofA);
        assert.equal(new Set([ofA, other, ofB, "shared-name"]).size, 4, name);
      }
    });
  }

  test("cannot be another tenant's, also for whoever has seen what the provider got", async () => {
    for (const name of OPENAI_NAMES) {
      const ofB = (await sent(b, CHAT, { model: "small", messages, [name]: "n" })).body[name];
      const copied = (await sent(a, CHAT, { model: "small", messages, [name]: ofB })).body[name];
      assert.notEqual(copied, ofB);
    }
    const alone = (await sent(b, CHAT, { model: "keyed", messages })).body["prompt_cache_key"];
    const copied = (await sent(a, CHAT, { model: "keyed", messages, prompt_cache_key: alone })).body["prompt_cache_key"];
    assert.notEqual(copied, alone);
  });

  test("are replaced and nothing else of the body", async () => {
    const body = '{"user" : "me",\n "messages":[{"role":"user","content":"user"}], "metadata":{"user_id":"me"}, "model":"say-3"}';
    const reply = await a.send("POST", CHAT, { body, headers: { "content-type": "application/json" } });
    assert.equal(reply.status, 200, reply.text);
    const { text = "", body: got } = provider.seen.at(-1) ?? {};
    assert.equal(text, body.replace('"user" : "me"', `"user" : "${String(got?.["user"])}"`));
  });

  test("of Anthropic's protocol are inside its metadata", async () => {
    const json = { model: "haiku", max_tokens: 20, messages, metadata: { user_id: "somebody" } };
    const ofA = (await sent(a, "/v1/messages", json)).body["metadata"] as { user_id: string };
    const ofB = (await sent(b, "/v1/messages", json)).body["metadata"] as { user_id: string };
    assert.match(ofA.user_id, MAC);
    assert.notEqual(ofA.user_id, ofB.user_id);
    assert.equal((await sent(a, "/v1/messages", { ...json, metadata: undefined })).body["metadata"], undefined);
  });

  test("are also keys under which a provider keeps answers", async () => {
    const headers = { "idempotency-key": "order-1" };
    const json = { model: "small", messages };
    const ofA = (await sent(a, CHAT, json, headers)).headers["idempotency-key"];
    const ofB = (await sent(b, CHAT, json, headers)).headers["idempotency-key"];
    assert.match(String(ofA), MAC);
    assert.match(String(ofB), MAC);
    assert.notEqual(ofA, ofB);
  });

  test("that are missing are the tenant's where the provider keeps a cache by them, and are not made up elsewhere", async () => {
    for (const [model, member] of [
      ["keyed", "prompt_cache_key"],
      ["salted", "cache_salt"],
    ] as const) {
      const ofA = (await sent(a, CHAT, { model, messages })).body[member];
      assert.match(String(ofA), MAC);
      assert.equal((await sent(a, CHAT, { model, messages, [member]: null })).body[member], ofA);
      assert.notEqual((await sent(b, CHAT, { model, messages })).body[member], ofA);
      assert.notEqual((await sent(a, CHAT, { model, messages, [member]: "mine" })).body[member], ofA);
    }
    assert.deepEqual(Object.keys((await sent(a, "/v1/embeddings", { model: "keyed", input: "x" })).body), ["model", "input"]);
    assert.deepEqual(Object.keys((await sent(a, CHAT, { model: "small", messages })).body), ["model", "messages"]);
  });

  test("that are no text are refused here", async () => {
    const before = provider.seen.length;
    for (const [path, json, field] of [
      [CHAT, { model: "small", messages, prompt_cache_key: 5 }, "prompt_cache_key"],
      [CHAT, { model: "small", messages, user: ["me"] }, "user"],
      ["/v1/messages", { model: "haiku", max_tokens: 20, messages, metadata: "me" }, "metadata"],
      ["/v1/messages", { model: "haiku", max_tokens: 20, messages, metadata: { user_id: 5 } }, "metadata.user_id"],
    ] as const) {
      const reply = await a.post(path, json);
      assert.equal(reply.code, "invalid_json", reply.text);
      assert.ok(reply.text.includes(field), reply.text);
    }
    assert.equal(provider.seen.length, before);
  });

  test("stay as they are at the tenant's own provider, which nobody shares", async () => {
    const own = await startProvider("sk-own-of-a");
    try {
      const document = {
        providers: { mine: { kind: "openai", baseUrl: own.url } },
        models: { "say-2": { provider: "mine" } },
      };
      const keyed = { ...document, providers: { mine: { ...document.providers.mine, cacheKey: "cache_salt" } } };
      const refused = await admin.send("PUT", "/tenant/v1/models", { json: { document: keyed } });
      assert.deepEqual([refused.code, refused.json()["field"]], ["invalid_json", "document.providers.mine.cacheKey"], refused.text);
      assert.equal((await admin.send("PUT", "/tenant/v1/models", { json: { document } })).status, 200);
      await admin.send("PUT", "/tenant/v1/models/keys/mine", { json: { key: "sk-own-of-a" } });
      const body = JSON.stringify({ model: "say-2", messages, user: "me", prompt_cache_key: "mine" });
      const headers = { "content-type": "application/json", "idempotency-key": "order-1" };
      assert.equal((await a.send("POST", CHAT, { body, headers })).status, 200);
      assert.deepEqual([own.seen.at(-1)?.text, own.seen.at(-1)?.headers["idempotency-key"]], [body, "order-1"]);
    } finally {
      await admin.send("PUT", "/tenant/v1/models", { json: { document: {} } });
      own.close();
    }
  });
});
