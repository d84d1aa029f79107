import assert from "node:assert/strict";
import { test } from "node:test";
import { collect } from "../../src/agents/index.ts";
import { Fault } from "../../src/kernel/index.ts";
import { type AgentHandler, answers, startAgent, streams } from "./agent-server.ts";
import { allOf, createTestInvoker } from "./invoker-under-test.ts";
import { contextOf, messageFor } from "./tenants.ts";

const MIB = 1024 * 1024;
const JSON_TYPE = "application/json";
const END = "data: [DONE]\n\n";

function part(text: string): string {
  return `data: ${JSON.stringify({ text })}\n\n`;
}

async function eventsOf(t: Parameters<typeof startAgent>[0], handler: AgentHandler): Promise<unknown[]> {
  const agent = await startAgent(t, handler);
  const context = contextOf("a", { invokeUrl: agent.url });
  return allOf(createTestInvoker(t).invoke(context, messageFor(context), new AbortController().signal));
}

test("an answer in JSON is the text under response", async (t) => {
  assert.deepEqual(await eventsOf(t, answers("application/json; charset=utf-8", '{"response":"Grüezi","more":1}')), [
    { type: "text", text: "Grüezi" },
    { type: "done", text: "Grüezi", citations: [] },
  ]);
});

test("an answer in parts is passed on part by part", async (t) => {
  for (const end of [END, "event: done\n\n", 'event: done\ndata: {"ignored":true}\n\n']) {
    assert.deepEqual(await eventsOf(t, streams(`: hello\n\n${part("Grü")}${part("ezi")}${end}`)), [
      { type: "text", text: "Grü" },
      { type: "text", text: "ezi" },
      { type: "done", text: "Grüezi", citations: [] },
    ]);
  }
});

test("an agent receives the message and a short list of header fields, and nothing else", async (t) => {
  const agent = await startAgent(t, answers(JSON_TYPE, '{"response":"ok"}'));
  const context = contextOf("a", { invokeUrl: `${agent.url}/hook?key=value` });
  const message = messageFor(context);
  await collect(createTestInvoker(t).invoke(context, message, new AbortController().signal));
  const [request] = agent.received;
  assert.ok(request);
  assert.equal(`${request.method} ${request.path}`, "POST /hook?key=value");
  assert.deepEqual(JSON.parse(request.body), message);
  const { host, connection, "content-length": contentLength, ...sent } = request.headers;
  assert.ok(host && contentLength && connection !== "close");
  assert.deepEqual(sent, {
    accept: "text/event-stream, application/json",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": "freehold",
    "x-request-id": "request-1",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "x-tenant-id": "a",
  });
});

test("an agent is asked for a whole answer when the caller cannot use parts", async (t) => {
  const agent = await startAgent(t, answers(JSON_TYPE, '{"response":"ok"}'));
  const context = contextOf("a", { invokeUrl: agent.url });
  await collect(createTestInvoker(t).invoke(context, messageFor(context), new AbortController().signal, { stream: false }));
  assert.equal(agent.received[0]?.headers.accept, "application/json");
});

test("what comes behind the end mark is not waited for", async (t) => {
  const neverEnds: AgentHandler = (_request, response) =>
    response.writeHead(200, { "content-type": "text/event-stream" }).write(part("ok") + END);
  assert.deepEqual((await eventsOf(t, neverEnds)).at(-1), { type: "done", text: "ok", citations: [] });
});

const UNUSABLE: readonly (readonly [what: string, handler: AgentHandler, detail: RegExp])[] = [
  ["a status of failure", answers(JSON_TYPE, '{"response":"no"}', 500), /^The agent answered with status 500\.$/],
  ["a status of refusal", answers(JSON_TYPE, '{"response":"no"}', 404), /status 404/],
  ["no content", (_request, response) => response.writeHead(204).end(), /status 204/],
  ["HTML", answers("text/html", "<p>Hello</p>"), /neither application\/json nor text\/event-stream/],
  ["no type", (_request, response) => response.writeHead(200).end("{}"), /neither/],
  ["invalid JSON", answers(JSON_TYPE, '{"response":'), /not valid JSON/],
  ["the same name twice", answers(JSON_TYPE, '{"response":"a","response":"b"}'), /not valid JSON/],
  ["JSON nested without end", answers(JSON_TYPE, "[".repeat(100_000)), /not valid JSON/],
  ["bytes that are not UTF-8", answers(JSON_TYPE, Buffer.from('{"response":"\xff"}', "latin1")), /not valid JSON/],
  ["half a character", answers(JSON_TYPE, '{"response":"\\ud800"}'), /not valid JSON/],
  ["NUL", answers(JSON_TYPE, '{"response":"\\u0000"}'), /not valid JSON/],
  ["another shape", answers(JSON_TYPE, '{"reply":"a"}'), /no text under "response"/],
  ["a list", answers(JSON_TYPE, '["a"]'), /no text under "response"/],
  ["no text", answers(JSON_TYPE, '{"response":" \\n"}'), /no text/],
  ["an empty body", answers(JSON_TYPE, ""), /not valid JSON/],
  ["a stream without text", streams(END), /no text/],
  ["a stream without an end mark", streams(part("half an ans")), /before its end mark/],
  ["an end mark without a blank line", streams(`${part("half")}data: [DONE]`), /before its end mark/],
  ["an error in the stream", streams(`${part("half")}event: error\ndata: {}\n\n${END}`), /reported an error/],
  ["an event nobody knows", streams(`event: tool\ndata: {"text":"a"}\n\n${END}`), /does not know/],
  ["a part of another shape", streams(`data: {"delta":"a"}\n\n${END}`), /no text under "text"/],
  ["a part that is no JSON", streams(`data: hello\n\n${END}`), /not valid JSON/],
  ["a stream that is not UTF-8", streams(Buffer.from(`data: {"text":"\xff"}\n\n`, "latin1")), /not UTF-8/],
  ["10,001 events", streams(part("x").repeat(10_001) + END), /more than 10000 events/],
  ["an event of 65 KiB", streams(part("x".repeat(65 * 1024)) + END), /event of more than 65536 bytes/],
];

for (const [what, handler, detail] of UNUSABLE) {
  test(`an agent that answers with ${what} is at fault, and the caller learns why`, async (t) => {
    const agent = await startAgent(t, handler);
    const invoker = createTestInvoker(t);
    const context = contextOf("a", { invokeUrl: agent.url });
    await assert.rejects(collect(invoker.invoke(context, messageFor(context), new AbortController().signal)), (error) => {
      assert.ok(error instanceof Fault);
      assert.equal(error.code, "upstream_invalid");
      assert.match(error.public.detail ?? "", detail);
      return true;
    });
    assert.equal(invoker.inUse(context.tenant.uuid), 0);
  });
}

const REFUSED_UNREAD: readonly (readonly [what: string, handler: AgentHandler])[] = [
  ["compressed bytes", (_request, response) => response.writeHead(200, { "content-type": JSON_TYPE, "content-encoding": "br" }).end("x")],
  [
    "a header of 1 MiB",
    (_request, response) => response.writeHead(200, { "content-type": JSON_TYPE, x: "x".repeat(MIB) }).end('{"response":"a"}'),
  ],
  ["2 MiB of JSON", answers(JSON_TYPE, JSON.stringify({ response: "x".repeat(2 * MIB) }))],
  ["2 MiB in parts", streams(part("x".repeat(1000)).repeat((2 * MIB) / 1000) + END)],
  ["2 MiB of comments", streams(": x\n\n".repeat((2 * MIB) / 5))],
  ["2 MiB where a status says all", answers("text/plain", "x".repeat(2 * MIB), 500)],
];

for (const [what, handler] of REFUSED_UNREAD) {
  test(`an agent that answers with ${what} is at fault`, async (t) => {
    await assert.rejects(eventsOf(t, handler), { code: "upstream_invalid" });
  });
}

test("an agent that hangs up in the middle never gives an answer that looks whole", async (t) => {
  const hangsUp: AgentHandler = (_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(part("half"), () => response.destroy());
  };
  await assert.rejects(eventsOf(t, hangsUp), (error) => error instanceof Fault && /^upstream_(invalid|unreachable)$/.test(error.code));
});

test("a redirect is not followed", async (t) => {
  const other = await startAgent(t, answers(JSON_TYPE, '{"response":"stolen"}'));
  for (const status of [301, 302, 303, 307, 308]) {
    const redirects: AgentHandler = (_request, response) => response.writeHead(status, { location: other.url }).end();
    await assert.rejects(eventsOf(t, redirects), { code: "upstream_invalid" });
  }
  assert.deepEqual(other.received, []);
});
