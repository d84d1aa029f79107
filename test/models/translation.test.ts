import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { apiKey, lineOf, PRICES, putModels, startModels } from "./models-under-test.ts";

const freehold = await startFreehold();
const provider = await startModels(freehold);
const key = await apiKey(freehold, "a");
const { url } = freehold.app;
const openai = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
const anthropic = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 });
const a = freehold.as(freehold.credentials.a.member);
const admin = freehold.as(freehold.credentials.a.admin);
const operator = freehold.trusted(freehold.platform.admin);

const ARGUMENTS = { city: "Rome", days: 3 };
const model = (upstream: string, name: string, outputTokensMax = 200): object => ({
  provider: name,
  model: upstream,
  prices: PRICES,
  outputTokensMax,
});
const tool = `tool-${Buffer.from(JSON.stringify(ARGUMENTS)).toString("base64url")}`;
await putModels(freehold, provider.url, {
  models: {
    gpt: model("say-5", "main"),
    claude: model("say-5", "claude"),
    "gpt-tool": model(tool, "main"),
    "claude-tool": model(tool, "claude"),
    "gpt-broken": model("break-5", "main"),
    "claude-broken": model("break-5", "claude"),
    "gpt-half": model("half-5", "main"),
    "claude-half": model("half-5", "claude"),
    "gpt-refusing": model("fail-400", "main"),
    "claude-refusing": model("fail-400", "claude"),
    "gpt-failing": model("fail-503", "main"),
    "claude-failing": model("fail-503", "claude"),
    "gpt-stubborn": model("stubborn-200", "main"),
    "claude-stubborn": model("stubborn-200", "claude"),
  },
  routes: {
    "to-claude": { targets: [{ model: "gpt-failing" }, { model: "claude" }] },
    "to-gpt": { targets: [{ model: "claude-failing" }, { model: "gpt" }] },
  },
});

const TEXT = "tok tok tok tok tok";
const parameters = { type: "object" as const, properties: { city: { type: "string" } } };
const PICTURE = Buffer.from("a picture").toString("base64");

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe("models that speak another protocol", () => {
  guard(freehold);

  describe("a client of OpenAI at a provider of Anthropic's protocol", () => {
    const messages = [{ role: "user" as const, content: "Say something." }];

    test("gets a whole answer, and the provider a request of its own protocol with all that was said", async () => {
      const { data, response } = await openai.chat.completions
        .create({
          model: "claude",
          messages: [
            { role: "developer", content: "Be short." },
            {
              role: "user",
              content: [
                { type: "text", text: "What is it?" },
                { type: "image_url", image_url: { url: `data:image/png;base64,${PICTURE}` } },
              ],
            },
          ],
          max_completion_tokens: 50,
          temperature: 0.5,
          stop: ["END"],
          safety_identifier: "somebody",
        })
        .withResponse();
      assert.equal(data.choices[0]?.message.content, TEXT);
      assert.equal(data.choices[0].finish_reason, "stop");
      assert.deepEqual([data.object, data.model], ["chat.completion", "claude"]);
      const { path, body, headers } = provider.seen.at(-1) ?? assert.fail();
      assert.equal(path, "/v1/messages");
      assert.equal(headers["anthropic-version"], "2023-06-01");
      const { system, messages: sent, max_tokens: max, temperature, stop_sequences: stop } = body;
      assert.deepEqual([system, max, temperature, stop], [[{ type: "text", text: "Be short." }], 50, 0.5, ["END"]]);
      assert.deepEqual(sent, [
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: PICTURE } },
          ],
        },
      ]);
      const line = await lineOf(freehold, response.headers.get("x-request-id"));
      const { protocol, source, input, output } = line;
      assert.deepEqual([protocol, source, input, output], ["chat-completions", "reported", data.usage?.prompt_tokens, 5]);
      assert.equal(data.usage?.completion_tokens, 5);
    });

    test("gets a stream as it comes, with its usage only where it has asked for it", async () => {
      const chunks = await all(await openai.chat.completions.create({ model: "claude", messages, stream: true }));
      assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), "tok tok tok tok tok ");
      assert.equal(chunks.filter(({ choices }) => (choices[0]?.delta.content ?? "") !== "").length, 5);
      assert.equal(chunks.at(-1)?.choices[0]?.finish_reason, "stop");
      assert.ok(chunks.every(({ choices, usage }) => choices.length === 1 && (usage ?? null) === null));
      const asked = { model: "claude", messages, stream: true, stream_options: { include_usage: true } } as const;
      assert.equal((await all(await openai.chat.completions.create(asked))).at(-1)?.usage?.completion_tokens, 5);
    });

    test("calls tools, whole and streamed, and gives back what they have said", async () => {
      const tools = [{ type: "function" as const, function: { name: "look_up", description: "Looks up.", parameters } }];
      const request = { model: "claude-tool", messages, tools, tool_choice: "required" as const };
      const whole = await openai.chat.completions.create(request);
      const [call] = whole.choices[0]?.message.tool_calls ?? [];
      assert.ok(call?.type === "function");
      assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["look_up", ARGUMENTS]);
      assert.equal(whole.choices[0]?.finish_reason, "tool_calls");
      const { body } = provider.seen.at(-1) ?? assert.fail();
      const [sent] = body["tools"] as Record<string, unknown>[];
      assert.deepEqual(
        [sent?.["name"], sent?.["input_schema"], (body["tool_choice"] as { type: string }).type],
        ["look_up", parameters, "any"],
      );
      const stream = openai.chat.completions.stream(request);
      const { choices } = await stream.finalChatCompletion();
      const [streamed] = choices[0]?.message.tool_calls ?? [];
      assert.ok(streamed?.type === "function");
      assert.deepEqual([streamed.function.name, JSON.parse(streamed.function.arguments)], ["look_up", ARGUMENTS]);
      const answered = { role: "tool" as const, tool_call_id: call.id, content: "Sunny." };
      const assistant = { role: "assistant" as const, content: null, tool_calls: [call] };
      await openai.chat.completions.create({ model: "claude", messages: [...messages, assistant, answered], tools });
      const turns = provider.seen.at(-1)?.body["messages"] as { role: string; content: Record<string, unknown>[] }[];
      assert.deepEqual(turns[1]?.content, [{ type: "tool_use", id: "toolu_1", name: "look_up", input: ARGUMENTS }]);
      const [result] = turns[2]?.content ?? [];
      assert.deepEqual([turns[2]?.role, result?.["type"], result?.["tool_use_id"]], ["user", "tool_result", "toolu_1"]);
      assert.ok(JSON.stringify(result).includes("Sunny."));
    });

    test("is told in its own protocol what the provider has refused", async () => {
      await assert.rejects(openai.chat.completions.create({ model: "claude-refusing", messages }), (error: unknown) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.deepEqual([error.status, error.message.includes("scripted 400"), error.type], [400, true, "invalid_request_error"]);
        return true;
      });
    });
  });

  describe("a client of Anthropic at a provider of OpenAI's protocol", () => {
    const messages = [{ role: "user" as const, content: "Say something." }];

    test("gets a whole answer, and the provider a request of its own protocol with all that was said", async () => {
      const { data, response } = await anthropic.messages
        .create({
          model: "gpt",
          system: "Be short.",
          max_tokens: 50,
          stop_sequences: ["END"],
          messages: [
            {
              role: "user",
              content: [
                { type: "text", text: "What is it?", cache_control: { type: "ephemeral" } },
                { type: "image", source: { type: "base64", media_type: "image/png", data: PICTURE } },
              ],
            },
          ],
        })
        .withResponse();
      assert.deepEqual([data.type, data.role, data.model, data.stop_reason], ["message", "assistant", "gpt", "end_turn"]);
      assert.ok(data.content[0]?.type === "text");
      assert.equal(data.content[0].text, TEXT);
      const { path, body } = provider.seen.at(-1) ?? assert.fail();
      assert.equal(path, "/v1/chat/completions");
      assert.deepEqual([body["max_tokens"] ?? body["max_completion_tokens"], body["stop"]], [50, ["END"]]);
      assert.deepEqual(body["messages"], [
        { role: "system", content: "Be short." },
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${PICTURE}` } },
          ],
        },
      ]);
      const { protocol, source, input, output } = await lineOf(freehold, response.headers.get("x-request-id"));
      assert.deepEqual([protocol, source, input, output], ["messages", "reported", data.usage.input_tokens, 5]);
    });

    test("gets a stream as it comes, complete with its usage", async () => {
      const stream = anthropic.messages.stream({ model: "gpt", max_tokens: 50, messages });
      const pieces: string[] = [];
      stream.on("text", (piece) => pieces.push(piece));
      const message = await stream.finalMessage();
      assert.deepEqual(pieces, ["tok ", "tok ", "tok ", "tok ", "tok "]);
      assert.deepEqual([message.stop_reason, message.usage.output_tokens], ["end_turn", 5]);
      assert.ok(message.usage.input_tokens > 0);
    });

    test("calls tools, whole and streamed, and gives back what they have said", async () => {
      const tools = [{ name: "look_up", description: "Looks up.", input_schema: parameters }];
      const request = { model: "gpt-tool", max_tokens: 50, messages, tools, tool_choice: { type: "any" as const } };
      for (const message of [await anthropic.messages.create(request), await anthropic.messages.stream(request).finalMessage()]) {
        const [call] = message.content;
        assert.ok(call?.type === "tool_use");
        assert.deepEqual([call.name, call.input, message.stop_reason], ["look_up", ARGUMENTS, "tool_use"]);
      }
      const { body } = provider.seen.at(-1) ?? assert.fail();
      assert.equal(body["tool_choice"], "required");
      const content = [{ type: "tool_use" as const, id: "call_1", name: "look_up", input: ARGUMENTS }];
      const results = [
        { type: "tool_result" as const, tool_use_id: "call_1", content: "Sunny." },
        { type: "text" as const, text: "And now?" },
      ];
      const turns = [...messages, { role: "assistant" as const, content }, { role: "user" as const, content: results }];
      await anthropic.messages.create({ model: "gpt", max_tokens: 50, messages: turns, tools });
      const sent = provider.seen.at(-1)?.body["messages"] as Record<string, unknown>[];
      assert.deepEqual(
        sent.slice(1).map(({ role }) => role),
        ["assistant", "tool", "user"],
      );
      assert.deepEqual([sent[2]?.["tool_call_id"], sent[2]?.["content"]], ["call_1", "Sunny."]);
    });

    test("is told in its own protocol what the provider has refused", async () => {
      await assert.rejects(anthropic.messages.create({ model: "gpt-refusing", max_tokens: 50, messages }), (error: unknown) => {
        assert.ok(error instanceof Anthropic.BadRequestError);
        assert.deepEqual([error.status, error.message.includes("scripted 400")], [400, true]);
        return true;
      });
    });
  });

  describe("translation", () => {
    const WAYS = [
      ["/v1/chat/completions", "claude", "gpt", { messages: [{ role: "user", content: "x" }] }],
      ["/v1/messages", "gpt", "claude", { messages: [{ role: "user", content: "x" }], max_tokens: 200 }],
    ] as const;

    for (const [path, other, own, more] of WAYS) {
      test(`falls from one protocol to the other (${path})`, async () => {
        const reply = await a.post(path, { model: `to-${other}`, ...more });
        assert.deepEqual(
          [reply.status, reply.headers["x-freehold-attempts"], reply.headers["x-freehold-model"]],
          [200, "2", other],
          reply.text,
        );
        const streamed = await a.post(path, { model: `to-${other}`, ...more, stream: true });
        assert.equal(streamed.text.split('"tok "').length - 1, 5);
      });

      test(`refuses what cannot be said in the other protocol, and sends nothing (${path})`, async () => {
        const before = provider.seen.length;
        const strange = path === "/v1/messages" ? { inference_geo: "eu" } : { logprobs: true };
        const [field = ""] = Object.keys(strange);
        for (const json of [
          { model: other, ...more, ...strange },
          { model: other, ...more, messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] },
        ]) {
          const reply = await a.post(path, json);
          assert.equal(reply.code, "malformed_request", reply.text);
        }
        assert.ok((await a.post(path, { model: other, ...more, ...strange })).text.includes(field));
        assert.equal(provider.seen.length, before);
        // by its own protocol it passes, and in a route the one that can take it does
        assert.equal((await a.post(path, { model: own, ...more, ...strange })).status, 200);
        assert.equal((await a.post(path, { model: `to-${other}`, ...more, ...strange })).status, 503);
      });

      test(`ends a stream that breaks off as one of the caller's protocol, which does not look whole (${path})`, async () => {
        for (const name of [`${other}-broken`, `${other}-half`]) {
          const reply = await a.post(path, { model: name, ...more, stream: true });
          assert.equal(reply.status, 200);
          assert.ok(reply.text.includes("upstream_unreachable"), reply.text);
          assert.ok(!reply.text.includes("[DONE]") && !reply.text.includes("message_stop"));
          const line = await lineOf(freehold, reply.headers["x-request-id"]);
          assert.deepEqual([line.outcome, line.source], ["broken", "counted"]);
        }
        const whole = await a.post(path, { model: `${other}-broken`, ...more });
        assert.equal(whole.code, "upstream_invalid", whole.text);
      });

      test(`keeps to budgets: a stream that goes on past one ends in the caller's protocol (${path})`, async () => {
        const name = `cut-${other}`;
        const budgets = [{ name, unit: "tokens", per: "day", limit: 500 }];
        await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: { budgets } } });
        const bounded = path === "/v1/messages" ? more : { ...more, max_tokens: 200 };
        let last = await a.post(path, { model: `${other}-stubborn`, ...bounded, stream: true });
        for (let at = 0; at < 4 && last.status === 200 && !last.text.includes("insufficient_quota"); at++)
          last = await a.post(path, { model: `${other}-stubborn`, ...bounded, stream: true });
        assert.equal(last.status, 200, last.text);
        assert.ok(last.text.includes("insufficient_quota"), last.text);
        assert.ok(!last.text.includes("[DONE]") && !last.text.includes("message_stop"));
        assert.equal((await lineOf(freehold, last.headers["x-request-id"])).outcome, "cut");
        await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: {} } });
      });

      test(`passes guardrails and the cache in the caller's protocol (${path})`, async () => {
        const settings = (document: object): Promise<unknown> => admin.send("PUT", "/tenant/v1/models", { json: { document } });
        await settings({ guardrails: { deny: { words: ["tok"], on: ["answer"] } } });
        for (const stream of [false, true]) assert.equal((await a.post(path, { model: other, ...more, stream })).code, "content_refused");
        await settings({ guardrails: { deny: { words: ["nothing"], on: ["answer"] } }, cache: { ttlMs: 600_000 } });
        assert.equal((await a.post(path, { model: other, ...more, stream: true })).text.split('"tok "').length - 1, 5);
        const first = await a.post(path, { model: other, ...more });
        const again = await until("the answer to be kept", async () => {
          const reply = await a.post(path, { model: other, ...more });
          return reply.headers["x-freehold-cache"] === "hit" ? reply : undefined;
        });
        assert.deepEqual(Object.keys(again.json()), Object.keys(first.json()));
        await settings({});
      });

      test(`ends the provider's work when the caller goes (${path})`, async () => {
        const leaving = new AbortController();
        const going = await fetch(`${url}${path}`, {
          method: "POST",
          headers: { authorization: `Bearer ${key}` },
          body: JSON.stringify({ model: `${other}-stubborn`, ...more, stream: true }),
          signal: leaving.signal,
        });
        await going.body?.getReader().read();
        leaving.abort();
        const line = await lineOf(freehold, going.headers.get("x-request-id"));
        assert.ok(["aborted", "ok"].includes(line.outcome), line.outcome);
      });
    }

    test("asks the provider as the platform does: with its key, and nothing of the caller's", () => {
      assert.deepEqual(provider.problems, []);
    });
  });
});
