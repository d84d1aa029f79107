import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { type AgentAnswer, collect } from "../../src/agents/index.ts";
import { Fault } from "../../src/kernel/index.ts";
import { type AgentHandler, type AgentServer, answers, startAgent, streams } from "./agent-server.ts";
import { createTestInvoker } from "./invoker-under-test.ts";
import { contextOf, messageFor } from "./tenants.ts";

const JSON_TYPE = "application/json";
const END = "data: [DONE]\n\n";
const COMPLETION = {
  id: "chatcmpl-1",
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello there" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 },
};

function chunk(delta: object, more: object = {}): string {
  return `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta }], ...more })}\n\n`;
}

async function ask(t: TestContext, handler: AgentHandler, stream = true): Promise<{ agent: AgentServer; answer: AgentAnswer }> {
  const agent = await startAgent(t, handler);
  const context = contextOf("a", { protocol: "openai", invokeUrl: `${agent.url}/v1/`, model: "small" });
  const answer = await collect(createTestInvoker(t).invoke(context, messageFor(context), new AbortController().signal, { stream }));
  return { agent, answer };
}

test("history and message go to /chat/completions below the base address, without naming the user", async (t) => {
  const { agent } = await ask(t, answers(JSON_TYPE, JSON.stringify(COMPLETION)), false);
  const [request] = agent.received;
  assert.equal(request?.path, "/v1/chat/completions");
  assert.deepEqual(JSON.parse(request?.body ?? ""), {
    model: "small",
    messages: [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "How can I help?" },
      { role: "user", content: "Hello" },
    ],
  });
});

test("a whole completion is read with its usage, also when parts were asked for", async (t) => {
  const { answer } = await ask(t, answers(JSON_TYPE, JSON.stringify(COMPLETION)));
  assert.deepEqual(answer, { text: "Hello there", citations: [], usage: { inputTokens: 9, outputTokens: 2 } });
});

test("a stream of chunks is read with its usage", async (t) => {
  const text =
    chunk({ role: "assistant", content: "" }) + chunk({ content: "Hello" }) + chunk({ content: " there" }, { usage: null }) + chunk({});
  const usage = `data: ${JSON.stringify({ choices: [], usage: COMPLETION.usage })}\n\n`;
  const { agent, answer } = await ask(t, streams(text + usage + END));
  assert.deepEqual(answer, { text: "Hello there", citations: [], usage: { inputTokens: 9, outputTokens: 2 } });
  const sent: unknown = JSON.parse(agent.received[0]?.body ?? "");
  assert.partialDeepStrictEqual(sent, { stream: true, stream_options: { include_usage: true } });
});

test("only the first choice is read", async (t) => {
  const other = `data: ${JSON.stringify({ choices: [{ index: 1, delta: { content: "other" } }] })}\n\n`;
  assert.equal((await ask(t, streams(chunk({ content: "first" }) + other + END))).answer.text, "first");
});

test("usage that is not two whole counts is left out", async (t) => {
  for (const usage of [
    { prompt_tokens: -1, completion_tokens: 1 },
    { prompt_tokens: 1.5, completion_tokens: 1 },
    { prompt_tokens: 1 },
    [],
    "many",
  ]) {
    const { answer } = await ask(t, answers(JSON_TYPE, JSON.stringify({ ...COMPLETION, usage })));
    assert.deepEqual(answer, { text: "Hello there", citations: [] });
  }
});

const UNUSABLE: readonly (readonly [what: string, handler: AgentHandler, detail: RegExp])[] = [
  ["no choice", answers(JSON_TYPE, '{"choices":[]}'), /no text/],
  ["a choice without text", answers(JSON_TYPE, '{"choices":[{"message":{"content":null}}]}'), /no text/],
  ["another shape", answers(JSON_TYPE, '{"response":"a"}'), /no text/],
  ["a stream without an end mark", streams(chunk({ content: "half" })), /before its end mark/],
  [
    "an error in the stream",
    streams(`${chunk({ content: "half" })}data: {"error":{"message":"overloaded"}}\n\n${END}`),
    /reported an error/,
  ],
  ["a chunk of another shape", streams(`data: {"text":"a"}\n\n${END}`), /no chunk/],
  ["a chunk whose content is a number", streams(chunk({ content: 1 }) + END), /no text/],
  ["a stream without text", streams(chunk({ role: "assistant" }) + END), /no text/],
];

for (const [what, handler, detail] of UNUSABLE) {
  test(`a model server that answers with ${what} is at fault`, async (t) => {
    await assert.rejects(
      ask(t, handler),
      (error) => error instanceof Fault && error.code === "upstream_invalid" && detail.test(error.public.detail ?? ""),
    );
  });
}

test("without a model nobody is called", async (t) => {
  const agent = await startAgent(t, answers(JSON_TYPE, JSON.stringify(COMPLETION)));
  const context = contextOf("a", { protocol: "openai", invokeUrl: agent.url, model: null });
  await assert.rejects(collect(createTestInvoker(t).invoke(context, messageFor(context), new AbortController().signal)), {
    code: "invalid_settings",
    public: { detail: "The agent has no model. Set agentConfig.model.", field: "/agentConfig/model" },
  });
  assert.deepEqual(agent.received, []);
});
