import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { after, describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import type { Client, Reply } from "../support/freehold-client.ts";
import { startStub } from "../support/stub-server.ts";
import { until } from "../support/until.ts";
import { PRICES, putModels, startModels } from "./models-under-test.ts";

const freehold = await startFreehold();
const provider = await startModels(freehold);
const a = freehold.as(freehold.credentials.a.member);
const b = freehold.trusted(freehold.credentials.b.member);
const admin = freehold.as(freehold.credentials.a.admin);

const CHAT = "/v1/chat/completions";
const SECRET = `whsec_${randomBytes(24).toString("base64")}`;

/** Text that has one of each kind, and what looks like them and is none. */
const PERSONAL = "Write to jo.doe@acme.example or +49 151 23456789, card 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00, host 10.1.2.3.";
const MASKED = "Write to [email] or [phone], card [card], [iban], host [ip].";
const HARMLESS = "Order 4111 1111 1111 1112 at 12:30:00, version 1.2.3, @acme, +1 2, DE00 3704 0044 0532 0130 00, 999.1.2.3.";

/** What the models of this suite answer. */
const ANSWERS = {
  personal: PERSONAL,
  secret: "The plan is Project Halibut, they say.",
  plain: "Nothing to see.",
  fitting: '{"city":"Rome"}',
  unfitting: '{"city":5}',
} as const;

const model = (text: string, name = "main"): object => ({
  provider: name,
  model: `text-${Buffer.from(text).toString("base64url")}`,
  prices: PRICES,
  outputTokensMax: 200,
});
const named = (prefix: string, name: string): Record<string, object> =>
  Object.fromEntries(Object.entries(ANSWERS).map(([key, text]) => [`${prefix}${key}`, model(text, name)]));
await putModels(freehold, provider.url, { models: { ...named("", "main"), ...named("claude-", "claude") }, routes: {} });

const service = await startStub((request, body, response) => {
  const { headers } = request;
  const signed = `${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${body.toString()}`;
  const signature = createHmac("sha256", Buffer.from(SECRET.slice(6), "base64"))
    .update(signed)
    .digest("base64");
  assert.equal(headers["webhook-signature"], `v1,${signature}`);
  asked.push(JSON.parse(body.toString()) as Asked);
  if (verdict === "broken") return void response.writeHead(200).end("no verdict");
  const refused = asked.at(-1)?.data.texts.some((text) => text.includes("Halibut"));
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(refused === true ? { allow: false, reason: "fish is not allowed" } : { allow: true }));
});
after(() => service.close());

interface Asked {
  readonly type: string;
  readonly data: { readonly tenantId: string; readonly model: string; readonly texts: readonly string[] };
}
const asked: Asked[] = [];
let verdict: "given" | "broken" = "given";

async function put(guardrails: object | undefined, more: object = {}): Promise<Reply> {
  return await admin.send("PUT", "/tenant/v1/models", { json: { document: { ...more, ...(guardrails && { guardrails }) } } });
}

async function set(guardrails: object | undefined, more: object = {}): Promise<void> {
  const reply = await put(guardrails, more);
  assert.equal(reply.status, 200, reply.text);
}

const ask = async (content: unknown, options: object = {}, client: Client = a): Promise<Reply> =>
  await client.post(CHAT, { model: "plain", messages: [{ role: "user", content }], ...options });

/** The texts of an answer, whichever protocol it has and whether it is a stream. */
function textOf({ text }: Reply): string {
  if (!text.startsWith("data:") && !text.startsWith("event:")) {
    const { choices, content, output } = JSON.parse(text) as Record<string, never[]>;
    const [first] = choices ?? content ?? output ?? [];
    const {
      message,
      text: own,
      content: inner,
    } = (first ?? {}) as { message?: { content: string }; text?: string; content?: { text: string }[] };
    return message?.content ?? own ?? inner?.[0]?.text ?? "";
  }
  const events = text
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>);
  return events
    .map(({ choices, delta }) => {
      const [choice] = (choices ?? []) as { delta: { content?: string } }[];
      return choice?.delta.content ?? (typeof delta === "string" ? delta : ((delta as { text?: string } | undefined)?.text ?? ""));
    })
    .join("");
}

/** The same question by every path that has answers. */
const WAYS: readonly (readonly [string, (name: string, stream: boolean) => Promise<Reply>])[] = [
  ["chat-completions", (name, stream) => ask("Go on.", { model: name, stream })],
  ["responses", (name, stream) => a.post("/v1/responses", { model: name, input: "Go on.", stream })],
  [
    "messages",
    (name, stream) =>
      a.post("/v1/messages", { model: `claude-${name}`, max_tokens: 200, messages: [{ role: "user", content: "Go on." }], stream }),
  ],
];

describe("guardrails", () => {
  guard(freehold);

  test("are off unless the tenant sets them, and are its own alone", async () => {
    assert.equal((await ask(PERSONAL)).status, 200);
    assert.ok(provider.seen.at(-1)?.text.includes("jo.doe@acme.example"));
    await set({ deny: { words: ["halibut"] } });
    assert.equal((await ask("Halibut?")).code, "content_refused");
    assert.equal((await ask("Halibut?", {}, b)).status, 200);
  });

  test("that cannot be used are refused when they are set", async () => {
    for (const [guardrails, code, field] of [
      [{ deny: { patterns: ["(a"] } }, "invalid_json", "document.guardrails.deny.patterns.0"],
      [{ deny: { patterns: ["(?=a)"] } }, "invalid_json", "document.guardrails.deny.patterns.0"],
      [{ deny: {} }, "invalid_json", "document.guardrails.deny"],
      [{ deny: { words: ["halibut", "\u200B"] } }, "invalid_settings", "guardrails.deny.words.1"],
      [{ deny: { words: ["\u00AD \u2060"] } }, "invalid_settings", "guardrails.deny.words.0"],
      [{ personalData: { kinds: ["shoe"] } }, "invalid_json", "document.guardrails.personalData.kinds.0"],
      [{ answerSchema: { type: "strange" } }, "invalid_settings", "guardrails.answerSchema"],
      [{ moderation: { url: "http://169.254.169.254/" } }, "egress_denied", undefined],
    ] as const) {
      const reply = await put(guardrails);
      assert.deepEqual([reply.code, reply.json()["field"]], [code, field], reply.text);
    }
  });

  describe("a deny list", () => {
    test("stops requests before they are sent, however the word is written", async () => {
      await set({ deny: { words: ["Project Halibut"], patterns: ["(?i)top[ -]secret"] } });
      const before = provider.seen.length;
      for (const content of [
        "about PROJECT HALIBUT.",
        "about project hali\u00ADbut",
        "ｐｒｏｊｅｃｔ ｈａｌｉｂｕｔ",
        "it is Top-Secret",
        [{ type: "text", text: "project halibut" }],
      ])
        assert.equal((await ask(content)).code, "content_refused", JSON.stringify(content));
      const escaped = `{"model":"plain","messages":[{"role":"user","content":"project \\u0068alibut"}]}`;
      assert.equal(
        (await a.send("POST", CHAT, { body: escaped, headers: { "content-type": "application/json" } })).code,
        "content_refused",
      );
      const inTool = { tools: [{ type: "function", function: { name: "f", description: "project halibut", parameters: {} } }] };
      assert.equal((await ask("x", inTool)).code, "content_refused");
      assert.equal((await a.post("/v1/embeddings", { model: "plain", input: ["project halibut"] })).code, "content_refused");
      assert.equal(provider.seen.length, before);
      assert.equal((await ask("projects halibuts, a topsecret")).status, 200);
    });

    test("tells in the shape of the API that something was found, and not what", async () => {
      const openai = (await ask("project halibut")).json<{ error: { message: string; code: string; type: string } }>().error;
      assert.deepEqual([openai.code, openai.type], ["content_refused", "invalid_request_error"]);
      assert.ok(!openai.message.toLowerCase().includes("halibut"));
      const content = "project halibut";
      const reply = await a.post("/v1/messages", { model: "claude-plain", max_tokens: 9, messages: [{ role: "user", content }] });
      assert.deepEqual([reply.status, reply.json()["type"], reply.code], [422, "error", "content_refused"]);
    });

    for (const [path, way] of WAYS) {
      test(`stops answers, whole and streamed, with nothing of them gone out (${path})`, async () => {
        for (const stream of [false, true]) {
          const reply = await way("secret", stream);
          assert.deepEqual([reply.status, reply.code], [422, "content_refused"], reply.text);
          assert.ok(!reply.text.includes("plan"));
          const passed = await way("plain", stream);
          assert.deepEqual([passed.status, textOf(passed)], [200, ANSWERS.plain], passed.text);
        }
      });
    }

    test("looks where it is told to", async () => {
      await set({ deny: { words: ["halibut"], on: ["answer"] } });
      assert.equal((await ask("halibut")).status, 200);
      await set({ deny: { words: ["halibut"], on: ["request"] } });
      assert.equal((await ask("x", { model: "secret" })).status, 200);
    });

    test("finds each of many words wherever it stands in a long text, and only whole ones", async () => {
      const many = Array.from({ length: 990 }, (_, at) => `w${(at * 7919).toString(36)} ${at.toString(36)}z`);
      await set({ deny: { words: [...many, "he", "she", "hers", "ushers then", "then", "秘密", "ΟΔΟΣ", "a-b"] } });
      const long = (index: number, text: string): string => `${"ab ".repeat(index)}${text}${" ba".repeat(100)}`;
      for (const found of [
        "ushers, she",
        "x he",
        "HERS",
        "ushers then",
        "xushers then",
        "这是秘密文件",
        "οδός οδος.",
        "οδοσ",
        "a-b-c",
        many.at(-1),
      ])
        for (const index of [0, 5_459, 5_460, 300_000])
          assert.equal((await ask(long(index, found ?? ""))).code, "content_refused", `${found} ${index}`);
      for (const harmless of ["ushers", "the shed", "ushers thenx", "hers_", "xa-b", "秘 密", `${many.at(-1)}x`])
        assert.equal((await ask(long(5_460, harmless))).status, 200, harmless);
    });
  });

  describe("data of persons", () => {
    test("is masked in requests, and what only looks like it stays byte for byte", async () => {
      await set({ personalData: { kinds: ["email", "phone", "card", "iban", "ip"] } });
      const picture = `data:image/png;base64,${Buffer.from("4111 1111 1111 1111".repeat(40)).toString("base64")}`;
      const body = `{"model":"plain", "messages":[{"role":"user","content":[{"type":"text","text":${JSON.stringify(PERSONAL)}},{"type":"image_url","image_url":{"url":"${picture}"}},{"type":"text","text":"${HARMLESS} \\u00e9"}]}]}`;
      assert.equal((await a.send("POST", CHAT, { body, headers: { "content-type": "application/json" } })).status, 200);
      const { model: upstream } = provider.seen.at(-1)?.body ?? {};
      assert.equal(provider.seen.at(-1)?.text, body.replace(PERSONAL, MASKED).replace('"plain"', JSON.stringify(upstream)));
    });

    for (const [path, way] of WAYS) {
      test(`is masked in answers, also where it comes in pieces (${path})`, async () => {
        for (const stream of [false, true]) {
          const reply = await way("personal", stream);
          assert.deepEqual([reply.status, textOf(reply)], [200, MASKED]);
          assert.ok(!/jo\.doe|4111|3704|10\.1\.2/.test(reply.text), reply.text);
        }
      });
    }

    test("is masked wherever it stands in a long text", async () => {
      await set({ personalData: { kinds: ["email", "phone", "card", "iban", "ip"] } });
      const edge = 16_384;
      for (let at = edge - PERSONAL.length - 2; at < edge + 2; at += 3) {
        const before = `${"x".repeat(at)} `;
        assert.equal((await ask(before + PERSONAL)).status, 200);
        const { messages } = JSON.parse(provider.seen.at(-1)?.text ?? "") as { messages: { content: string }[] };
        assert.equal(messages[0]?.content, before + MASKED);
      }
      const crowd = "10.1.2.3 ".repeat(100_000);
      assert.equal((await ask(crowd)).status, 200);
      assert.ok(provider.seen.at(-1)?.text.includes("[ip] ".repeat(100_000)));
    });

    test("is refused where the tenant wants that", async () => {
      await set({ personalData: { kinds: ["email"], action: "refuse" } });
      assert.equal((await ask("I am jo.doe@acme.example")).code, "content_refused");
      assert.equal((await ask("x", { model: "personal" })).code, "content_refused");
      assert.equal((await ask("4111 1111 1111 1111")).status, 200);
    });
  });

  test("answers that do not fit the tenant's schema are none, whole and streamed", async () => {
    await set({ answerSchema: { type: "object", required: ["city"], properties: { city: { type: "string" } } } });
    for (const [, way] of WAYS) {
      for (const stream of [false, true]) {
        assert.equal(textOf(await way("fitting", stream)), ANSWERS.fitting);
        for (const name of ["unfitting", "plain"]) {
          const reply = await way(name, stream);
          assert.deepEqual([reply.status, reply.code], [502, "upstream_invalid"], reply.text);
        }
      }
    }
  });

  describe("a moderation service", () => {
    const moderation = { url: `${service.url}/moderate`, timeoutMs: 2_000 };

    test("is not asked without a secret, and nothing is let through then", async () => {
      await set({ moderation });
      assert.deepEqual([(await ask("x")).code, service.requests], ["invalid_settings", 0]);
      const weak = await admin.send("PUT", "/tenant/v1/models/keys/moderation", { json: { key: "short" } });
      assert.equal(weak.code, "invalid_settings");
      assert.equal((await admin.send("PUT", "/tenant/v1/models/keys/moderation", { json: { key: SECRET } })).status, 204);
    });

    test("gets what is sent and answered, signed, and says what goes on", async () => {
      const before = provider.seen.length;
      const refused = await ask("Halibut");
      assert.deepEqual([refused.code, refused.text.includes("fish is not allowed")], ["content_refused", true]);
      assert.equal(provider.seen.length, before);
      for (const [, way] of WAYS) for (const stream of [false, true]) assert.equal((await way("secret", stream)).code, "content_refused");
      asked.length = 0;
      assert.equal((await ask("How are you?")).status, 200);
      assert.deepEqual(
        asked.map(({ type, data }) => [type, data.tenantId, data.model]),
        [
          ["model.request", "a", "plain"],
          ["model.answer", "a", "plain"],
        ],
      );
      assert.ok(asked[0]?.data.texts.includes("How are you?") && asked[1]?.data.texts.includes(ANSWERS.plain));
      assert.deepEqual(service.problems, []);
    });

    test("that cannot be asked lets nothing through, unless the tenant wants that", async () => {
      for (const state of ["broken", "down"] as const) {
        verdict = state === "broken" ? "broken" : "given";
        service.down = state === "down";
        await set({ moderation });
        assert.equal((await ask("x")).code, "dependency_unavailable", state);
        await set({ moderation: { ...moderation, onFailure: "pass" } });
        assert.equal((await ask("x")).status, 200, state);
      }
      verdict = "given";
      service.down = false;
    });
  });

  test("have looked at every answer that is kept: other settings find none", async () => {
    const cache = { ttlMs: 600_000 };
    await set(undefined, { cache });
    await until("the answer to be kept", async () =>
      (await ask("x", { model: "secret" })).headers["x-freehold-cache"] === "hit" ? true : undefined,
    );
    await set({ deny: { words: ["halibut"], on: ["answer"] } }, { cache });
    assert.equal((await ask("x", { model: "secret" })).code, "content_refused");
    await set({ personalData: { kinds: ["email"] } }, { cache });
    const kept = await until("the masked answer to be kept", async () => {
      const reply = await ask("x", { model: "personal" });
      return reply.headers["x-freehold-cache"] === "hit" ? reply : undefined;
    });
    assert.ok(textOf(kept).includes("[email]") && !kept.text.includes("jo.doe"));
  });

  test("hold an answer and settle what it has used, also when it is refused", async () => {
    await set({ deny: { words: ["halibut"] } });
    const { headers } = await ask("x", { model: "secret", stream: true });
    const line = await until("the line of the ledger", async () => {
      const { lines } = (await admin.get("/tenant/v1/models/ledger?limit=20")).json<{
        lines: { requestId: string; output: number; source: string }[];
      }>();
      return lines.find(({ requestId }) => requestId === headers["x-request-id"]);
    });
    assert.deepEqual([line.output, line.source], [Math.ceil(ANSWERS.secret.length / 3), "reported"]);
  });

  test("refuse more text than they look at, and what is no text", async () => {
    await set({ deny: { words: ["halibut"] } });
    assert.equal((await ask("x ".repeat(600_000))).code, "body_too_large");
    const broken = Buffer.concat([
      Buffer.from('{"model":"plain","messages":[{"role":"user","content":"'),
      Buffer.from([0xff]),
      Buffer.from('"}]}'),
    ]);
    assert.equal((await a.send("POST", CHAT, { body: broken, headers: { "content-type": "application/json" } })).code, "invalid_json");
  });
});
