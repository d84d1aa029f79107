import assert from "node:assert/strict";
import { test } from "node:test";
import { BREAKER_FAILURES_MAX, BREAKER_REST_MS, collect, type Invoker } from "../../src/agents/index.ts";
import { type AgentProtocol, Fault, type TenantContext } from "../../src/kernel/index.ts";
import { type AgentHandler, answers, startAgent } from "./agent-server.ts";
import { allOf, createTestInvoker } from "./invoker-under-test.ts";
import { createManualClock } from "../support/clock.ts";
import { CANARY, contextOf, messageFor } from "./tenants.ts";

const OK = answers("application/json", '{"response":"ok"}');
const FAILS = answers("text/plain", "broken", 500);
const STREAM = { "content-type": "text/event-stream" };
const PART = 'data: {"text":"part"}\n\n';

/** Never answers. */
const HANGS: AgentHandler = () => undefined;
/** Sends one part and then nothing any more. */
const HANGS_LATER: AgentHandler = (_request, response) => void response.writeHead(200, STREAM).write(PART);
/** Sends a byte now and then, for ever. */
const DRIPS: AgentHandler = (_request, response) => {
  response.writeHead(200, STREAM);
  const timer = setInterval(() => response.write(":"), 5);
  response.on("close", () => clearInterval(timer));
};

function ask(invoker: Invoker, context: TenantContext, signal = new AbortController().signal): Promise<unknown> {
  return collect(invoker.invoke(context, messageFor(context), signal));
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
}

for (const [what, handler] of [
  ["says nothing", HANGS],
  ["stops in the middle", HANGS_LATER],
  ["drips for ever", DRIPS],
] as const) {
  test(`an agent that ${what} meets the time limit and holds no slot`, async (t) => {
    const agent = await startAgent(t, handler);
    const invoker = createTestInvoker(t);
    const context = contextOf("a", { invokeUrl: agent.url, timeout: 50 });
    const cutOff = agent.nextCutOff();
    await assert.rejects(ask(invoker, context), { code: "upstream_timeout" });
    assert.equal(invoker.inUse(context.tenant.uuid), 0);
    await cutOff; // the connection is let go too
  });
}

test("nobody is called before the first event is asked for, nor for a caller who is gone", async (t) => {
  const agent = await startAgent(t, OK);
  const invoker = createTestInvoker(t);
  const context = contextOf("a", { invokeUrl: agent.url });
  invoker.invoke(context, messageFor(context), new AbortController().signal);
  await assert.rejects(ask(invoker, context, AbortSignal.abort()), { name: "AbortError" });
  assert.equal(invoker.inUse(context.tenant.uuid), 0);
  assert.deepEqual(agent.received, []);
});

test("a caller who goes away ends the call, with the signal's own reason", async (t) => {
  const agent = await startAgent(t, HANGS_LATER);
  const invoker = createTestInvoker(t);
  const context = contextOf("a", { invokeUrl: agent.url });
  const caller = new AbortController();
  const cutOff = agent.nextCutOff();
  const reason = new Error("the browser closed");
  const events = invoker.invoke(context, messageFor(context), caller.signal)[Symbol.asyncIterator]();
  assert.deepEqual((await events.next()).value, { type: "text", text: "part" });
  assert.equal(invoker.inUse(context.tenant.uuid), 1);
  caller.abort(reason);
  assert.equal(invoker.inUse(context.tenant.uuid), 0);
  await assert.rejects(events.next(), reason);
  await cutOff;
});

test("a reader who leaves early gives the slot and the connection back", async (t) => {
  const agent = await startAgent(t, HANGS_LATER);
  const invoker = createTestInvoker(t);
  const context = contextOf("a", { invokeUrl: agent.url });
  const cutOff = agent.nextCutOff();
  for await (const event of invoker.invoke(context, messageFor(context), new AbortController().signal)) {
    assert.equal(event.type, "text");
    break;
  }
  assert.equal(invoker.inUse(context.tenant.uuid), 0);
  await cutOff;
});

test("a reader who stops reading without a word loses the slot at the time limit, and the agent is not blamed", async (t) => {
  let handler = HANGS_LATER;
  const agent = await startAgent(t, (request, response) => handler(request, response));
  const invoker = createTestInvoker(t);
  const context = contextOf("a", { invokeUrl: agent.url, timeout: 50 });
  for (let i = 0; i < BREAKER_FAILURES_MAX; i++) {
    const cutOff = agent.nextCutOff();
    await invoker.invoke(context, messageFor(context), new AbortController().signal)[Symbol.asyncIterator]().next();
    await cutOff;
    assert.equal(invoker.inUse(context.tenant.uuid), 0);
  }
  handler = OK;
  await ask(invoker, { ...context, tenant: { ...context.tenant, agentConfig: { ...context.tenant.agentConfig, timeout: 10_000 } } });
});

test("after 1,000 calls given up at every stage no slot is in use and the agent is not blamed", async (t) => {
  const handlers = [HANGS, DRIPS, HANGS_LATER];
  let next = 0;
  let healthy = false;
  const callers = new Map<string, AbortController>();
  const agent = await startAgent(t, (request, response) => {
    if (healthy) return OK(request, response);
    handlers[next++ % handlers.length]?.(request, response);
    // the callers of the first two leave when the request has arrived, those of the third when the first part has
    if (next % 3 !== 0) callers.get(String(request.headers["x-request-id"]))?.abort();
  });
  const invoker = createTestInvoker(t);
  const context = contextOf("a", { invokeUrl: agent.url, concurrency: 20 });
  async function giveUp(id: number): Promise<void> {
    const caller = new AbortController();
    const requestId = `request-${id}`;
    callers.set(requestId, caller);
    const events = invoker.invoke({ ...context, requestId }, messageFor(context), caller.signal);
    if (id % 10 === 0) caller.abort();
    if (id % 10 === 1) setImmediate(() => caller.abort());
    await assert.rejects(
      async () => {
        for await (const event of events) if (event.type === "text") caller.abort();
      },
      { name: "AbortError" },
    );
    callers.delete(requestId);
  }
  for (let round = 0; round < 50; round++) {
    await Promise.all(Array.from({ length: 20 }, (_, i) => giveUp(round * 20 + i)));
    assert.equal(invoker.inUse(context.tenant.uuid), 0);
  }
  healthy = true;
  await ask(invoker, context);
  assert.equal(invoker.inUse(context.tenant.uuid), 0);
});

test("a tenant has no more answers under way than its settings allow, whatever other tenants do", async (t) => {
  const agent = await startAgent(t, (request, response) => (request.headers["x-tenant-id"] === "a" ? HANGS : OK)(request, response));
  const invoker = createTestInvoker(t);
  const a = contextOf("a", { invokeUrl: agent.url, concurrency: 2 });
  const b = contextOf("b", { invokeUrl: agent.url, concurrency: 2 });
  const caller = new AbortController();
  const underWay = [ask(invoker, a, caller.signal), ask(invoker, a, caller.signal)];
  await assert.rejects(ask(invoker, a), { code: "concurrency_exceeded" });
  await ask(invoker, b);
  assert.equal(invoker.inUse(a.tenant.uuid), 2);
  caller.abort();
  assert.deepEqual(await Promise.all(underWay.map(codeOf)), Array(2).fill("AbortError: This operation was aborted"));
  assert.equal(invoker.inUse(a.tenant.uuid), 0);
});

test("the agent of tenant a failing opens a's circuit only, even when b's agent lives at the same address", async (t) => {
  let sick = true;
  const agent = await startAgent(t, (request, response) =>
    (sick && request.headers["x-tenant-id"] === "a" ? FAILS : OK)(request, response),
  );
  const clock = createManualClock();
  const invoker = createTestInvoker(t, { clock });
  const [a, b] = [contextOf("a", { invokeUrl: agent.url }), contextOf("b", { invokeUrl: agent.url })];
  for (let i = 0; i < BREAKER_FAILURES_MAX; i++) assert.equal(await codeOf(ask(invoker, a)), "upstream_invalid");
  await assert.rejects(ask(invoker, a), { code: "circuit_open", public: { retryAfterMs: BREAKER_REST_MS } });
  assert.equal(agent.received.length, BREAKER_FAILURES_MAX);
  assert.equal(await codeOf(ask(invoker, b)), "ok");
  clock.advance(BREAKER_REST_MS);
  sick = false;
  assert.equal(await codeOf(ask(invoker, a)), "ok");
  assert.equal(await codeOf(ask(invoker, a)), "ok");
  assert.equal(invoker.inUse(a.tenant.uuid), 0);
});

test("time limits and an address where nobody listens count against the agent", async (t) => {
  const agent = await startAgent(t, HANGS);
  const clock = createManualClock();
  const invoker = createTestInvoker(t, { clock });
  const slow = contextOf("a", { invokeUrl: agent.url, timeout: 20 });
  for (let i = 0; i < BREAKER_FAILURES_MAX; i++) assert.equal(await codeOf(ask(invoker, slow)), "upstream_timeout");
  assert.equal(await codeOf(ask(invoker, slow)), "circuit_open");
  const nobody = contextOf("b", { invokeUrl: "http://127.0.0.1:1/" });
  for (let i = 0; i < BREAKER_FAILURES_MAX; i++) assert.equal(await codeOf(ask(invoker, nobody)), "upstream_unreachable");
  assert.equal(await codeOf(ask(invoker, nobody)), "circuit_open");
});

test("an address that may not be called is refused each time and opens no circuit", async (t) => {
  const invoker = createTestInvoker(t);
  const context = contextOf("a", { invokeUrl: "http://169.254.169.254/latest/meta-data" });
  for (let i = 0; i <= BREAKER_FAILURES_MAX; i++) assert.equal(await codeOf(ask(invoker, context)), "egress_denied");
  assert.equal(invoker.inUse(context.tenant.uuid), 0);
});

test("a name that leads to a private address is refused each time and opens no circuit", async (t) => {
  const invoker = createTestInvoker(t, { lookup: () => Promise.resolve([{ address: "10.0.0.1", family: 4 }]) });
  const context = contextOf("a", { invokeUrl: "https://agent.example.com/" });
  for (let i = 0; i <= BREAKER_FAILURES_MAX; i++) assert.equal(await codeOf(ask(invoker, context)), "egress_denied");
  assert.equal(invoker.inUse(context.tenant.uuid), 0);
});

test("settings that name no known protocol or no address call nobody", async (t) => {
  const invoker = createTestInvoker(t);
  // the type forbids it, as it would a settings document of a newer version
  const unknown = contextOf("a", { protocol: "constructor" as AgentProtocol });
  await assert.rejects(ask(invoker, unknown), {
    code: "invalid_settings",
    public: { detail: "The agent's protocol is not known.", field: "/agentConfig/protocol" },
  });
  for (const protocol of ["webhook", "openai"] as const) {
    await assert.rejects(ask(invoker, contextOf("a", { protocol, invokeUrl: null, model: "small" })), {
      code: "invalid_settings",
      public: { detail: "The agent has no address. Set agentConfig.invokeUrl.", field: "/agentConfig/invokeUrl" },
    });
  }
});

test("a message of tenant b never goes to the agent of tenant a", async (t) => {
  const agent = await startAgent(t, OK);
  const [a, b] = [contextOf("a", { invokeUrl: agent.url }), contextOf("b")];
  await assert.rejects(collect(createTestInvoker(t).invoke(a, messageFor(b), new AbortController().signal)), {
    code: "isolation_violation",
  });
  assert.deepEqual(agent.received, []);
});

test("in 400 answers of one agent to two tenants at once, nothing of b reaches a", async (t) => {
  const agent = await startAgent(t, (request, response) => {
    const text = request.headers["x-tenant-id"] === "b" ? CANARY : "for a";
    if (request.headers.accept === "application/json")
      return answers("application/json", JSON.stringify({ response: text }))(request, response);
    const parts = text.split("-").map((word, at) => `data: ${JSON.stringify({ text: at === 0 ? word : `-${word}` })}\n\n`);
    return answers("text/event-stream", `${parts.join("")}event: done\n\n`)(request, response);
  });
  const invoker = createTestInvoker(t);
  const tenants = ["a", "b"].map((name) => contextOf(name, { invokeUrl: agent.url, concurrency: 200 }));
  const answersOf = async (context: TenantContext): Promise<string[]> => {
    const calls = Array.from({ length: 200 }, (_, i) =>
      allOf(invoker.invoke(context, messageFor(context), new AbortController().signal, { stream: i % 2 === 0 })),
    );
    return (await Promise.all(calls)).map((events) => JSON.stringify(events.at(-1)));
  };
  const [ofA = [], ofB = []] = await Promise.all(tenants.map(answersOf));
  assert.deepEqual(new Set(ofA), new Set(['{"type":"done","text":"for a","citations":[]}']));
  assert.deepEqual(new Set(ofB), new Set([JSON.stringify({ type: "done", text: CANARY, citations: [] })]));
});

test("when the last event is there the slot is free again", async (t) => {
  const agent = await startAgent(t, OK);
  const invoker = createTestInvoker(t);
  const context = contextOf("a", { invokeUrl: agent.url, concurrency: 1 });
  for await (const event of invoker.invoke(context, messageFor(context), new AbortController().signal)) {
    assert.equal(invoker.inUse(context.tenant.uuid), event.type === "done" ? 0 : 1);
  }
});

test("an answer that is whole leaves no timer behind", async (t) => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const invoker = createTestInvoker(t);
  const before = timers();
  for (let i = 0; i < 10; i++) await ask(invoker, contextOf("a", { protocol: "builtin" }));
  assert.equal(timers(), before);
});
