import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { BREAKER_FAILURES_MAX, BREAKER_REST_MS, collect, type Invoker, type ToolCallNote } from "../../src/agents/index.ts";
import { MCP_KEPT_MS } from "../../src/agents/tools/mcp-pool.ts";
import { Secret } from "../../src/kernel/index.ts";
import { createManualClock, type ManualClock } from "../support/clock.ts";
import { startStub } from "../support/stub-server.ts";
import { until } from "../support/until.ts";
import { createTestInvoker } from "./invoker-under-test.ts";
import { contextOf, messageFor } from "./tenants.ts";
import { startToolServer, type ToolServer } from "./tool-servers.ts";

const KEY = "the key";

/** Who asks, and where. */
interface Asking {
  readonly tenant?: "a" | "b";
  readonly user?: string;
}

interface House {
  readonly invoker: Invoker;
  readonly clock: ManualClock;
  readonly notes: ToolCallNote[];
  /** What the servers are called with from now on. */
  key: string;
  /** Asks the built-in agent, whose model calls the tool where it is offered; the answer is what the tool gave. */
  ask(url: string, asking?: Asking): Promise<string>;
  /** What the model waits for before it calls. */
  beforeCall: () => Promise<void>;
}

function openHouse(t: TestContext): House {
  const clock = createManualClock();
  const notes: ToolCallNote[] = [];
  const invoker = createTestInvoker(t, {
    clock,
    tools: {
      mcpSecret: () => Promise.resolve(new Secret(house.key)),
      noteToolCall: (note) => void notes.push(note),
      async askModel(_context, body) {
        const { messages, tools } = body as unknown as {
          messages: { role: string; content: string }[];
          tools: { function: { name: string } }[];
        };
        const result = messages.findLast(({ role }) => role === "tool")?.content;
        const offered = tools.some(({ function: { name } }) => name === "crm__look_up");
        if (result === undefined) await house.beforeCall();
        const call = { id: "call_1", type: "function", function: { name: "crm__look_up", arguments: '{"id":"7"}' } };
        const message = result === undefined && offered ? { content: null, tool_calls: [call] } : { content: result ?? "no tool" };
        return { status: 200, body: Buffer.from(JSON.stringify({ choices: [{ index: 0, message }] })) };
      },
    },
  });
  t.after(() => invoker.close());
  const house: House = {
    invoker,
    clock,
    notes,
    key: KEY,
    beforeCall: () => Promise.resolve(),
    async ask(url, { tenant = "a", user = "somebody" } = {}) {
      const mcpServers = [{ name: "crm", url: `${url}/mcp`, tools: ["look_up"], secretHeader: "x-crm-key" }];
      const base = contextOf(tenant, { protocol: "builtin", model: "obedient", mcpServers });
      const context = { ...base, tenant: { ...base.tenant, agentSecrets: { ...base.tenant.agentSecrets, mcp: ["crm"] } } };
      const message = { ...messageFor(context, "Where is order 7?"), userId: user };
      return (await collect(invoker.invoke(context, message, new AbortController().signal))).text;
    },
  };
  return house;
}

async function startServer(t: TestContext, sessions = false, key = KEY): Promise<ToolServer> {
  const server = await startToolServer(key, () => "On its way.", { sessions });
  t.after(() => server.close());
  return server;
}

function count(server: ToolServer, method: string): number {
  return server.asked.filter((each) => each === method).length;
}

test("a server without sessions is greeted once for the answers of a tenant, says each time what it has, and hears for whom each call is", async (t) => {
  const house = openHouse(t);
  const server = await startServer(t);
  for (const user of ["one", "two", "three"]) assert.equal(await house.ask(server.url, { user }), "On its way.");
  assert.deepEqual(server.asked, ["server/discover", ...Array.from({ length: 3 }, () => ["tools/list", "tools/call"]).flat()]);
  assert.deepEqual(
    server.calls.map(({ about }) => about["freehold/user"]),
    ["one", "two", "three"],
  );
  await house.ask(server.url, { tenant: "b" });
  assert.equal(count(server, "server/discover"), 2);
  assert.equal(server.calls.at(-1)?.about["freehold/tenant"], "b");
});

test("answers at the same time have a connection each, and one of them is kept", async (t) => {
  const house = openHouse(t);
  const server = await startServer(t);
  const both = Promise.withResolvers<void>();
  let waiting = 0;
  house.beforeCall = async () => {
    if (++waiting === 2) both.resolve();
    await both.promise;
  };
  await Promise.all([house.ask(server.url), house.ask(server.url)]);
  assert.equal(count(server, "server/discover"), 2);
  await house.ask(server.url);
  assert.equal(count(server, "server/discover"), 2);
});

test("a session of a server goes on for the same user, and is ended before another one gets a session", async (t) => {
  const house = openHouse(t);
  const server = await startServer(t, true);
  for (const user of ["one", "one", "two"]) assert.equal(await house.ask(server.url, { user }), "On its way.");
  assert.equal(count(server, "initialize"), 2);
  await until("the first one's session is ended", () => count(server, "DELETE") === 1);
  await house.invoker.close();
  assert.equal(count(server, "DELETE"), 2);
});

test("a session that the server has forgotten is begun anew, and the call is made once", async (t) => {
  const house = openHouse(t);
  const server = await startServer(t, true);
  await house.ask(server.url);
  server.forget();
  assert.equal(await house.ask(server.url), "On its way.");
  assert.deepEqual([count(server, "initialize"), server.calls.length], [2, 2]);
});

test("a server that nobody asks any more is let go", async (t) => {
  const house = openHouse(t);
  const [server, other] = [await startServer(t, true), await startServer(t)];
  await house.ask(server.url);
  house.clock.advance(MCP_KEPT_MS);
  await house.ask(other.url, { tenant: "b" });
  await until("its session is ended", () => count(server, "DELETE") === 1);
});

test("with another secret a server is greeted anew, and nothing goes out with the old one", async (t) => {
  const house = openHouse(t);
  const server = await startServer(t);
  await house.ask(server.url);
  house.key = "another";
  assert.equal(await house.ask(server.url), "no tool");
  house.key = KEY;
  assert.equal(await house.ask(server.url), "On its way.");
  assert.equal(count(server, "tools/call"), 2);
});

test("a server that fails five times in a row has a rest, the same one of another tenant has not, and it is asked again afterwards", async (t) => {
  const house = openHouse(t);
  const stub = await startStub((_request, _body, response) => void response.writeHead(500).end());
  t.after(() => stub.close());
  const outcome = async (asking?: Asking): Promise<string | undefined> => {
    assert.equal(await house.ask(stub.url, asking), "no tool");
    return house.notes.at(-1)?.outcome;
  };
  for (let n = 0; n < BREAKER_FAILURES_MAX; n++) assert.equal(await outcome(), "upstream_invalid");
  const { requests } = stub;
  assert.equal(await outcome(), "circuit_open");
  assert.equal(stub.requests, requests);
  assert.equal(await outcome({ tenant: "b" }), "upstream_invalid");
  house.clock.advance(BREAKER_REST_MS);
  assert.equal(await outcome(), "upstream_invalid");
});
