import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { beforeEach, describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import type { AgentRequest } from "../support/recorded-agent.ts";

const freehold = await startFreehold();
const { a, b } = freehold.credentials;
const agent = freehold.agents.a;
const KEY = Buffer.from("a signing key of 32 bytes, fixed");
const SECRET = `whsec_${KEY.toString("base64")}`;

async function set(secrets: object): Promise<void> {
  const reply = await freehold.as(a.admin).send("PATCH", "/tenant/v1", { json: { agent: secrets } });
  assert.equal(reply.status, 200, reply.text);
}

/** What the agent of a gets for a message. */
async function received(): Promise<AgentRequest> {
  assert.equal((await freehold.as(a.member).post("/api/chat", { message: "Grüezi" })).status, 200);
  const request = agent.received.at(-1);
  assert.ok(request);
  return request;
}

/** As any library of Standard Webhooks checks it. */
function isSigned({ headers, body }: AgentRequest, key: Buffer): boolean {
  const content = `${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${body}`;
  return headers["webhook-signature"] === `v1,${createHmac("sha256", key).update(content).digest("base64")}`;
}

describe("what a tenant's agent is called with", () => {
  guard(freehold);
  beforeEach(() => void (agent.received.length = 0));

  test("is signed over id, time and body with the tenant's own secret, and says the digest of the body", async () => {
    await set({ signingSecret: SECRET });
    const [first, second] = [await received(), await received()];
    for (const request of [first, second]) {
      assert.ok(isSigned(request, KEY));
      assert.ok(!isSigned({ ...request, body: `${request.body} ` }, KEY));
      assert.ok(!isSigned({ ...request, headers: { ...request.headers, "webhook-timestamp": "1" } }, KEY));
      assert.ok(Math.abs(Number(request.headers["webhook-timestamp"]) - Date.now() / 1000) < 60);
      const digest = createHash("sha256").update(request.body).digest("base64");
      assert.equal(request.headers["content-digest"], `sha-256=:${digest}:`);
    }
    assert.equal(first.headers["webhook-id"], (JSON.parse(first.body) as Record<string, unknown>)["id"]);
    assert.notEqual(first.headers["webhook-id"], second.headers["webhook-id"]);
  });

  test("is the tenant's key for it, and never the caller's credential", async () => {
    await set({ apiKey: "key-of-the-agent", signingSecret: null });
    const request = await received();
    assert.equal(request.headers.authorization, "Bearer key-of-the-agent");
    assert.equal(request.headers["webhook-signature"], undefined);
    await set({ apiKey: null });
    assert.equal((await received()).headers.authorization, undefined);
  });

  test("is another tenant's secret never, and shown to nobody", async () => {
    await set({ apiKey: "key-of-the-agent", signingSecret: SECRET });
    await freehold.trusted(b.member).post("/api/chat", { message: "Hello" });
    const { headers } = freehold.agents.b.received.at(-1) ?? {};
    assert.deepEqual([headers?.authorization, headers?.["webhook-signature"]], [undefined, undefined]);
    const shown = await freehold.as(freehold.platform.admin).get("/admin/v1/tenants/a");
    assert.deepEqual(shown.json()["agentSecrets"], { apiKey: true, signingSecret: true, mcp: ["seeded"] });
    for (const path of ["/tenant/v1", "/tenant/v1/config"]) {
      const { text } = await freehold.as(a.admin).get(path);
      assert.ok(!text.includes("key-of-the-agent") && !text.includes(SECRET));
    }
  });

  test("is refused when it is too short to be trusted, or could break out of its field", async () => {
    const wrong = [
      { signingSecret: "whsec_c2hvcnQ=" },
      { signingSecret: KEY.toString("base64") },
      { apiKey: "key\r\nx: y" },
      { apiKey: "short" },
    ];
    for (const agentSecrets of wrong) {
      const reply = await freehold.as(a.admin).send("PATCH", "/tenant/v1", { json: { agent: agentSecrets } });
      assert.deepEqual([reply.status, reply.code], [400, "invalid_json"], JSON.stringify(agentSecrets));
    }
  });

  test("is not left out where the secret cannot be opened: the agent is not called", async () => {
    await set({ signingSecret: SECRET });
    await received();
    await freehold.sql("update freehold.tenant_secrets set sealed = '\\x00' where name = 'agent.signingSecret'");
    const before = agent.received.length;
    assert.ok((await freehold.as(a.member).post("/api/chat", { message: "Hello" })).status >= 500);
    assert.equal(agent.received.length, before);
    await set({ signingSecret: null });
  });
});
