import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { guard, startFreehold } from "../support/freehold.ts";
import { promptTokens } from "./scripted-provider.ts";
import { apiKey, startModels } from "./models-under-test.ts";

const freehold = await startFreehold();
const provider = await startModels(freehold);
const key = await apiKey(freehold, "a");
const { url } = freehold.app;

const openai = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
const anthropic = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 });
const messages = [{ role: "user" as const, content: "Say something." }];

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe("existing clients with a key and a base URL of Freehold", () => {
  guard(freehold);

  describe("openai", () => {
    test("gets a whole completion, with tools passed on as they are", async () => {
      const tools = [
        {
          type: "function" as const,
          function: { name: "look_up", parameters: { type: "object", properties: { id: { type: "string" } } } },
        },
      ];
      const completion = await openai.chat.completions.create({ model: "small", messages, tools });
      assert.equal(completion.choices[0]?.message.content, "tok tok tok tok tok");
      assert.equal(completion.usage?.completion_tokens, 5);
      assert.deepEqual(provider.seen.at(-1)?.body["tools"], tools);
    });

    test("gets a stream, and nothing that it has not asked for", async () => {
      const chunks = await all(await openai.chat.completions.create({ model: "small", messages, stream: true }));
      assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), "tok tok tok tok tok ");
      assert.ok(chunks.every(({ choices, usage }) => choices.length > 0 && (usage ?? null) === null));
      const asked = await openai.chat.completions.create({
        model: "small",
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      assert.equal((await all(asked)).at(-1)?.usage?.completion_tokens, 5);
    });

    test("gets responses, whole and streamed", async () => {
      const whole = await openai.responses.create({ model: "small", input: "Say something." });
      assert.equal(whole.output_text, "tok tok tok tok tok");
      const events = await all(await openai.responses.create({ model: "small", input: "Say something.", stream: true }));
      assert.equal(events.filter(({ type }) => type === "response.output_text.delta").length, 5);
      assert.equal(events.at(-1)?.type, "response.completed");
    });

    test("gets embeddings, in both encodings", async () => {
      const packed = await openai.embeddings.create({ model: "small", input: "text" });
      assert.deepEqual(packed.data[0]?.embedding, [0.25, 0.5]);
      const floats = await openai.embeddings.create({ model: "small", input: "text", encoding_format: "float" });
      assert.deepEqual(floats.data[0]?.embedding, [0.25, 0.5]);
    });

    test("lists models, and reads refusals as its own errors", async () => {
      const names = (await all(await openai.models.list())).map(({ id }) => id);
      assert.ok(names.includes("small") && names.includes("spare"));
      assert.equal((await openai.models.retrieve("small")).id, "small");
      await assert.rejects(openai.chat.completions.create({ model: "nobodys", messages }), OpenAI.NotFoundError);
      const stranger = new OpenAI({ apiKey: "sk-nobody", baseURL: `${url}/v1`, maxRetries: 0 });
      await assert.rejects(stranger.chat.completions.create({ model: "small", messages }), OpenAI.AuthenticationError);
      await assert.rejects(openai.chat.completions.create({ model: "refusing", messages }), (error: unknown) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.match(error.message, /scripted 400/);
        return true;
      });
    });

    test("sees an error, and not an end, when the provider breaks a stream off", async () => {
      const stream = await openai.chat.completions.create({ model: "broken", messages, stream: true });
      await assert.rejects(all(stream), (error: unknown) => {
        assert.ok(error instanceof OpenAI.APIError);
        assert.equal(error.code, "upstream_unreachable");
        return true;
      });
    });
  });

  describe("@anthropic-ai/sdk", () => {
    test("gets a whole message, and a stream", async () => {
      const whole = await anthropic.messages.create({ model: "haiku", max_tokens: 100, messages });
      assert.deepEqual(whole.content, [{ type: "text", text: "tok tok tok tok tok tok" }]);
      assert.equal(whole.usage.output_tokens, 6);
      const final = await anthropic.messages.stream({ model: "haiku", max_tokens: 100, messages }).finalMessage();
      assert.equal(final.usage.output_tokens, 6);
      assert.equal(provider.seen.at(-1)?.headers["authorization"], undefined);
    });

    test("lists models, and reads refusals as its own errors", async () => {
      const names = (await all(await anthropic.models.list())).map(({ id }) => id);
      assert.ok(names.includes("haiku"));
      await assert.rejects(anthropic.messages.create({ model: "nobodys", max_tokens: 5, messages }), Anthropic.NotFoundError);
      await assert.rejects(anthropic.messages.create({ model: "haiku", max_tokens: 0, messages }), Anthropic.BadRequestError);
    });

    test("counts tokens before it sends, at a provider that can and by what was used where none can", async () => {
      const before = provider.billed.requests;
      const asked = await anthropic.messages.countTokens({ model: "haiku", messages, system: "Be short." });
      const { path, body, text } = provider.seen.at(-1) ?? assert.fail();
      assert.deepEqual([path, body["model"], asked.input_tokens], ["/v1/messages/count_tokens", "say-6", promptTokens(text)]);
      const sent = provider.seen.length;
      const estimated = await anthropic.beta.messages.countTokens({ model: "small", messages });
      assert.ok(estimated.input_tokens > 0);
      assert.deepEqual([provider.seen.length, provider.billed.requests], [sent, before]);
      await assert.rejects(anthropic.messages.countTokens({ model: "nobodys", messages }), Anthropic.NotFoundError);
    });

    test("sees an error, and not an end, when the provider breaks a stream off", async () => {
      const stream = await anthropic.messages.create({ model: "haiku-broken", max_tokens: 100, messages, stream: true });
      await assert.rejects(all(stream), /broke its answer off/);
    });
  });

  describe("ai", () => {
    const ofOpenai = createOpenAI({ apiKey: key, baseURL: `${url}/v1` });
    const ofAnthropic = createAnthropic({ apiKey: key, baseURL: `${url}/v1` });

    test("generates and streams text over all three protocols", async () => {
      for (const [model, text] of [
        [ofOpenai.chat("small"), "tok tok tok tok tok"],
        [ofOpenai.responses("small"), "tok tok tok tok tok"],
        [ofAnthropic("haiku"), "tok tok tok tok tok tok"],
      ] as const) {
        const whole = await generateText({ model, prompt: "Say something.", maxRetries: 0 });
        assert.equal(whole.text, text);
        const streamed = streamText({ model, prompt: "Say something.", maxRetries: 0 });
        assert.equal((await streamed.text).trim(), text);
        assert.equal((await streamed.usage).outputTokens, text.split(" ").length);
      }
    });
  });

  test("give the provider its own key, and nothing of the caller's", () => {
    assert.deepEqual(provider.problems, []);
    for (const { headers, text } of provider.seen) assert.ok(!JSON.stringify(headers).includes(key) && !text.includes(key));
  });
});
