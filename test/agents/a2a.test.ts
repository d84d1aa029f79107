import assert from "node:assert/strict";
import { test } from "node:test";
import { collect } from "../../src/agents/index.ts";
import { Fault } from "../../src/kernel/index.ts";
import { type AgentHandler, startAgent } from "./agent-server.ts";
import { allOf, createTestInvoker } from "./invoker-under-test.ts";
import { contextOf, messageFor } from "./tenants.ts";

interface Request {
  readonly id: string;
  readonly method: string;
  readonly params: { readonly message: Readonly<Record<string, unknown>>; readonly configuration: unknown };
}

/** An agent that answers each request with these results: one as JSON, several as a stream. */
function gives(...results: readonly object[]): AgentHandler {
  return ({ body }, response) => {
    const { id, method } = JSON.parse(body) as Request;
    const responses = results.map((result) => JSON.stringify({ jsonrpc: "2.0", id, ...("error" in result ? result : { result }) }));
    if (method === "message/send" || results.some((result) => "error" in result)) {
      return void response.writeHead(200, { "content-type": "application/json" }).end(responses[0]);
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const each of responses) response.write(`data: ${each}\n\n`);
    if (results.length > 0) response.end();
  };
}

const text = (...texts: readonly string[]): object => ({ parts: texts.map((each) => ({ kind: "text", text: each })) });
const message = (...texts: readonly string[]): object => ({ kind: "message", role: "agent", messageId: "1", ...text(...texts) });
const status = (state: string, said?: string): object => ({
  kind: "status-update",
  final: state !== "working",
  status: { state, ...(said !== undefined && { message: message(said) }) },
});
const artifact = (...texts: readonly string[]): object => ({ kind: "artifact-update", artifact: { artifactId: "1", ...text(...texts) } });

async function eventsOf(t: Parameters<typeof startAgent>[0], handler: AgentHandler, stream = true): Promise<unknown[]> {
  const agent = await startAgent(t, handler);
  const context = contextOf("a", { invokeUrl: agent.url, protocol: "a2a" });
  return allOf(createTestInvoker(t).invoke(context, messageFor(context), new AbortController().signal, { stream }));
}

const parts = (...texts: readonly string[]): unknown[] => [
  ...texts.map((each) => ({ type: "text", text: each })),
  { type: "done", text: texts.join(""), citations: [] },
];

test("an A2A agent's message, artifacts and last word are its answer, whole or in parts", async (t) => {
  assert.deepEqual(await eventsOf(t, gives(message("Grü", "ezi")), false), parts("Grü", "ezi"));
  assert.deepEqual(await eventsOf(t, gives(message("Hello"))), parts("Hello"));
  const task = { kind: "task", status: { state: "completed", message: message("not this") }, artifacts: [text("One. "), text("Two.")] };
  assert.deepEqual(await eventsOf(t, gives(task), false), parts("One. ", "Two."));
  const begun = { kind: "task", status: { state: "submitted" } };
  const streamed = gives(begun, status("working", "thinking"), artifact("One. "), artifact("Two."), status("completed"));
  assert.deepEqual(await eventsOf(t, streamed), parts("One. ", "Two."));
  assert.deepEqual(await eventsOf(t, gives(begun, status("completed", "Done."))), parts("Done."));
  assert.deepEqual(await eventsOf(t, gives(status("input-required", "Which order?"))), parts("Which order?"));
});

test("an A2A agent gets the message, and a context that is the session's and says nothing else", async (t) => {
  const agent = await startAgent(t, gives(message("ok")));
  const context = contextOf("a", { invokeUrl: `${agent.url}/a2a`, protocol: "a2a" });
  const invoker = createTestInvoker(t);
  const first = messageFor(context);
  const other = contextOf("b", { invokeUrl: `${agent.url}/a2a`, protocol: "a2a" });
  await collect(invoker.invoke(context, first, new AbortController().signal, { stream: false }));
  await collect(invoker.invoke(context, messageFor(context), new AbortController().signal));
  await collect(invoker.invoke(other, { ...messageFor(other), sessionId: first.sessionId }, new AbortController().signal));
  const [one, two, three] = agent.received.map(({ body }) => JSON.parse(body) as Request);
  assert.deepEqual([one?.method, two?.method], ["message/send", "message/stream"]);
  assert.deepEqual(one?.params.message, {
    kind: "message",
    role: "user",
    messageId: first.id,
    contextId: one?.params.message["contextId"],
    parts: [{ kind: "text", text: first.text }],
    metadata: { userId: first.userId, tenantId: "a", platform: first.platform },
  });
  assert.equal(two?.params.message["contextId"], one.params.message["contextId"]);
  assert.notEqual(three?.params.message["contextId"], one.params.message["contextId"]);
});

test("an A2A agent that cannot stream is asked for the whole", async (t) => {
  for (const code of [-32_601, -32_004]) {
    const agent = await startAgent(t, (request, response) => {
      const streaming = (JSON.parse(request.body) as Request).method === "message/stream";
      gives(streaming ? { error: { code, message: "no" } } : message("Whole."))(request, response);
    });
    const context = contextOf("a", { invokeUrl: agent.url, protocol: "a2a" });
    const answer = await collect(createTestInvoker(t).invoke(context, messageFor(context), new AbortController().signal));
    assert.deepEqual([answer.text, agent.received.length], ["Whole.", 2]);
  }
});

const UNUSABLE: readonly (readonly [what: string, handler: AgentHandler, detail: RegExp])[] = [
  ["an error", gives({ error: { code: -32_603, message: "a secret" } }), /^The agent reported an error\.$/],
  ["a task that failed", gives(status("failed", "a secret")), /gave up its task/],
  ["a task that was refused", gives({ kind: "task", status: { state: "rejected" } }), /gave up its task/],
  ["a stream that ends too early", gives({ kind: "task", status: { state: "working" } }, artifact("half")), /ended before its task did/],
  ["no text", gives({ kind: "message", parts: [{ kind: "data", data: {} }] }), /no text/],
  ["no parts", gives({ kind: "message" }), /without parts/],
  ["a text that is none", gives({ kind: "message", parts: [{ kind: "text", text: 1 }] }), /text is no text/],
  ["an unknown kind", gives({ kind: "weather" }), /does not know/],
  ["artifacts that are no list", gives({ kind: "task", artifacts: {}, status: { state: "completed" } }), /no list/],
  ["a task without a state", gives({ kind: "task" }), /without a state/],
  [
    "another request's response",
    (_request, response) =>
      response
        .writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify({ jsonrpc: "2.0", id: "x", result: message("no") })),
    /no response to this request/,
  ],
];

for (const [what, handler, detail] of UNUSABLE) {
  test(`an A2A agent that answers with ${what} is at fault, and the caller learns why`, async (t) => {
    await assert.rejects(eventsOf(t, handler), (error) => {
      assert.ok(error instanceof Fault);
      assert.deepEqual([error.code, detail.test(error.public.detail ?? "")], ["upstream_invalid", true], error.public.detail);
      assert.ok(!JSON.stringify(error.public).includes("a secret"));
      return true;
    });
  });
}

test("what an A2A agent sends behind the end of its answer is not waited for", async (t) => {
  const open: AgentHandler = ({ body }, response) => {
    const { id } = JSON.parse(body) as Request;
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`data: ${JSON.stringify({ jsonrpc: "2.0", id, result: message("ok") })}\n\n`);
  };
  assert.deepEqual(await eventsOf(t, open), parts("ok"));
});
