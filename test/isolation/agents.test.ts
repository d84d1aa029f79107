import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BREAKER_FAILURES_MAX } from "../../src/agents/index.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import type { AgentBehaviour } from "../support/recorded-agent.ts";
import { CANARY } from "../support/tenants.ts";

const freehold = await startFreehold();
const operator = freehold.trusted(freehold.platform.admin);
const a = freehold.as(freehold.credentials.a.member);
const b = freehold.trusted(freehold.credentials.b.member);

/** Ways to fail, and the code that the caller is told. */
const FAILURES: readonly (readonly [what: string, behaviour: AgentBehaviour, code: string])[] = [
  ["status 500", (_request, response) => response.writeHead(500).end("stack trace of a secret"), "upstream_invalid"],
  ["HTML", (_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>"), "upstream_invalid"],
  ["a redirect", (_request, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(), "upstream_invalid"],
  [
    "half an answer",
    (_request, response) => void response.writeHead(200, { "content-length": "99" }).write("{", () => response.destroy()),
    "upstream",
  ],
  ["no answer", (_request, response) => response.destroy(), "upstream_unreachable"],
  ["silence", () => {}, "upstream_timeout"],
];

async function changeA(agentConfig: object, rest: object = {}): Promise<void> {
  const reply = await operator.send("PATCH", "/admin/v1/tenants/a", { json: { agentConfig, ...rest } });
  assert.equal(reply.status, 200, reply.text);
}

describe("a tenant's failing agent", () => {
  guard(freehold);

  for (const [what, behaviour, code] of FAILURES) {
    test(`that gives ${what} is told of in plain words to its own callers, and no other tenant notices`, async () => {
      await changeA({ timeout: 300, protocol: "webhook" });
      freehold.agents.a.behave(behaviour);
      const reply = await a.post("/api/chat", { message: "hello" });
      assert.ok(reply.code.startsWith(code) || reply.code === "circuit_open", reply.text);
      assert.ok(reply.status >= 502 && reply.status <= 504);
      assert.ok(!reply.text.includes("secret") && !reply.text.includes("127.0.0.1"), reply.text);
      const neighbour = await b.post("/api/chat", { message: "hello" });
      assert.equal(neighbour.status, 200, neighbour.text);
      assert.ok(neighbour.text.includes(CANARY));
    });
  }

  test("opens the breaker of its own tenant only", async () => {
    freehold.agents.a.behave((_request, response) => response.writeHead(500).end());
    const codes: string[] = [];
    for (let n = 0; n <= BREAKER_FAILURES_MAX; n++) codes.push((await a.post("/api/chat", { message: "hello" })).code);
    assert.equal(codes.at(-1), "circuit_open");
    assert.equal((await b.post("/api/chat", { message: "hello" })).status, 200);
  });

  test("is told of in the tenant's own words and language", async () => {
    await changeA(
      {},
      { locale: "de", errorTexts: { circuit_open: { de: "Unser Assistent macht gerade Pause.", en: "Our assistant is resting." } } },
    );
    const inLocale = await a.post("/api/chat", { message: "hello" });
    assert.equal(inLocale.json()["title"], "Unser Assistent macht gerade Pause.");
    assert.equal(inLocale.headers["content-language"], "de");
    const asked = await a.post("/api/chat", { message: "hello" }, { headers: { "accept-language": "fr, en-GB;q=0.8" } });
    assert.equal(asked.json()["title"], "Our assistant is resting.");
  });

  test("ends a stream with an error event, and keeps nothing of the turn", async () => {
    const stream = await a.stream("/api/chat", { message: "hello" });
    const { sessionId } = (await stream.event("session")).data;
    assert.equal((await stream.event("error")).data["code"], "circuit_open");
    // the caller was told of the session, which stays; the turn does not
    assert.deepEqual((await a.get(`/api/sessions/${String(sessionId)}`)).json()["history"], []);
  });

  test("receives nothing but the message: no credential, no other tenant", async () => {
    for (const { headers, body } of freehold.agents.a.received) {
      assert.ok(!("authorization" in headers) && !("cookie" in headers) && !("x-api-key" in headers));
      assert.equal(headers["x-tenant-id"], "a");
      assert.ok(!body.includes(CANARY));
      assert.equal((JSON.parse(body) as { tenantId: string }).tenantId, "a");
    }
  });
});
