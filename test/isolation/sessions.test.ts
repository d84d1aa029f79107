import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, describe, test } from "node:test";
import { parseTenantId } from "../../src/kernel/index.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { ChatSocket, type Client, type Reply } from "../support/freehold-client.ts";
import { bearer, NO_LIMIT, SESSIONS } from "../support/freehold-seed.ts";
import { until } from "../support/until.ts";

const freehold = await startFreehold();
const { a } = freehold.credentials;
const agent = freehold.agents.a;
const operator = freehold.trusted(freehold.platform.admin);

interface Listed {
  readonly sessions: readonly { readonly sessionId: string; readonly userId: string; readonly tenantId: string }[];
}

async function listed(client: Client, query = ""): Promise<Listed["sessions"]> {
  return (await client.get(`/api/sessions?limit=200${query}`)).json<Listed>().sessions;
}

async function say(client: Client, message: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const reply = await client.post("/api/chat", { message, ...more });
  assert.equal(reply.status, 200, reply.text);
  return String(reply.json()["sessionId"]);
}

/** Every way to use a session. */
async function uses(client: Client, sessionId: string): Promise<readonly Reply[]> {
  const path = `/api/sessions/${encodeURIComponent(sessionId)}`;
  return [
    await client.get(path),
    await client.send("DELETE", path),
    await client.post("/api/chat", { message: "What was said?", sessionId }),
  ];
}

describe("sessions", () => {
  guard(freehold);
  beforeEach(() => agent.behave());

  test("a member sees its own sessions, an admin and a key all of the tenant, and nobody others", async () => {
    const [own, otherOne] = [await say(freehold.as(a.member), "Of u1"), await say(freehold.as(a.otherMember), "Of u2")];
    const ofMember = await listed(freehold.as(a.member));
    assert.ok(ofMember.every(({ userId, tenantId }) => userId === "u1" && tenantId === "a"));
    assert.ok(ofMember.some(({ sessionId }) => sessionId === own));
    for (const query of ["&userId=u2", "&userId=u1", "&tenantId=a&userId=u2"])
      assert.deepEqual(await listed(freehold.as(a.member), query), ofMember, "a member's filter shows it nothing more");
    for (const credential of [a.admin, a.key]) {
      const all = (await listed(freehold.as(credential))).map(({ sessionId }) => sessionId);
      assert.ok(all.includes(own) && all.includes(otherOne));
      assert.ok(all.every((sessionId) => sessionId.startsWith("a.web.")));
      assert.ok((await listed(freehold.as(credential), "&userId=u2")).every(({ userId }) => userId === "u2"));
    }
  });

  test("a session that a reader in parts is told of is there, whatever becomes of the answer", async () => {
    const client = freehold.as(a.member);
    agent.behave(() => undefined);
    const reader = await client.stream("/api/chat", { message: "Never answered" });
    const { sessionId } = (await reader.event("session")).data;
    const path = `/api/sessions/${String(sessionId)}`;
    assert.partialDeepStrictEqual((await client.get(path)).json(), { sessionId, userId: "u1", history: [] });
    reader.response.destroy();
    agent.behave((_request, response) => response.writeHead(500).end());
    const socket = await client.socket();
    assert.ok(socket instanceof ChatSocket);
    socket.send({ message: "Fails" });
    const { sessionId: failed } = await socket.next("session");
    await socket.next("error");
    socket.close();
    agent.behave();
    for (const known of [sessionId, failed]) assert.equal(await say(client, "Again", { sessionId: known }), known);
    assert.equal((await client.get(path)).json<{ history: unknown[] }>().history.length, 2);
    // an answer that fails as a whole leaves nothing: nobody was told of a session
    const count = (await listed(client)).length;
    agent.behave((_request, response) => response.writeHead(500).end());
    assert.equal((await client.post("/api/chat", { message: "Fails" })).status, 502);
    assert.equal((await listed(client)).length, count);
  });

  test("another member's session is no session, whatever is done with it", async () => {
    const sessionId = await say(freehold.as(a.otherMember), "A secret of u2");
    const received = agent.received.length;
    for (const reply of await uses(freehold.as(a.member), sessionId)) assert.deepEqual([reply.status, reply.code], [404, "not_found"]);
    assert.equal(agent.received.length, received);
    assert.equal((await freehold.as(a.otherMember).get(`/api/sessions/${sessionId}`)).status, 200);
  });

  test("nobody lists sessions without a tenant", async () => {
    assert.equal((await freehold.as({}).get("/api/sessions")).code, "unauthenticated");
    assert.equal((await freehold.as(freehold.platform.admin).get("/api/sessions")).code, "forbidden");
    for (const query of ["tenantId=", "tenantId=*", "tenantId=%25", "tenantId=default", "tenantId=null"])
      assert.equal((await freehold.as(a.admin).get(`/api/sessions?${query}`)).code, "invalid_tenant_id", query);
  });

  test("an id is 128 random bits behind its label: none comes twice, and none tells of time or user", async () => {
    const ids = await Promise.all(Array.from({ length: 100 }, () => say(freehold.as(a.member), "Hello")));
    const parts = ids.map((id) => /^a\.web\.([A-Za-z0-9_-]{22})$/.exec(id)?.[1] ?? "");
    assert.equal(new Set(parts).size, ids.length);
    assert.equal(new Set(parts.map((part) => Buffer.from(part, "base64url").toString("hex"))).size, ids.length);
    // made within a second of each other: a clock in the id would show as common leading bytes
    assert.ok(new Set(parts.map((part) => part.slice(0, 4))).size > 95);
  });

  test("an id whose label was changed finds nothing, also with the right random part", async () => {
    const own = await say(freehold.as(a.member), "Hello");
    const random = own.slice("a.web.".length);
    const onlyOfB = "77777777-only-b-has-it";
    await freehold.sql(
      `insert into freehold.sessions (tenant_id, id, user_id, platform, metadata) select uuid, $1, 'u1', 'web', '{}' from freehold.tenants where id = 'b'`,
      [onlyOfB],
    );
    const before = await freehold.fingerprint("b");
    const tampered = [
      `b.web.${random}`,
      `b.web.${SESSIONS[0]}`,
      `a.web.${onlyOfB}`,
      `b.web.${onlyOfB}`,
      `a.slack.${random}`,
      `A.web.${random}`,
      `a.web.${random}=`,
      `a.web.${random} `,
      ` a.web.${random}`,
      `a.web.${random}\n`,
      `a.web.a.web.${random}`,
      `.web.${random}`,
      `web.${random}`,
      random,
      `a.web.${random.slice(0, -1)}`,
      "a.web.",
      "%",
      "_",
    ];
    for (const sessionId of tampered) {
      const replies = await uses(freehold.as(a.member), sessionId);
      for (const reply of replies) assert.ok([404, 400].includes(reply.status), `${JSON.stringify(sessionId)}: ${reply.text}`);
      assert.equal(replies[2]?.code, "not_found", sessionId);
    }
    assert.equal((await freehold.as(a.member).get(`/api/sessions/${own}`)).status, 200);
    assert.deepEqual(await freehold.fingerprint("b"), before);
  });

  test("what the agent is told of a conversation is that conversation alone", async () => {
    await say(freehold.as(a.otherMember), "Something of another session");
    const sessionId = await say(freehold.as(a.member), "The first question");
    await say(freehold.as(a.member), "The second question", { sessionId });
    const { history } = JSON.parse(agent.received.at(-1)?.body ?? "") as { history: { role: string; text: string }[] };
    assert.deepEqual(
      history.map(({ role, text }) => `${role}: ${text}`),
      ["user: The first question", "assistant: The answer of a."],
    );
  });

  test("an admin or a key goes on with a user's session as that user, and with nobody else's under another name", async () => {
    const sessionId = await say(freehold.as(a.member), "Hello");
    assert.equal(await say(freehold.as(a.key), "On behalf", { sessionId }), sessionId);
    assert.equal(await say(freehold.as(a.key), "On behalf", { sessionId, userId: "u1" }), sessionId);
    assert.equal((await freehold.as(a.key).post("/api/chat", { message: "As another", sessionId, userId: "u2" })).code, "not_found");
    const { userId } = (await freehold.as(a.admin).get(`/api/sessions/${sessionId}`)).json<{ userId: string }>();
    assert.equal(userId, "u1");
  });

  test("a session that was deleted while it was being answered stays deleted", async () => {
    const sessionId = await say(freehold.as(a.member), "Hello");
    let answer = (): void => {};
    agent.behave((_request, response) => {
      answer = () => response.writeHead(200, { "content-type": "application/json" }).end('{"response":"Too late."}');
    });
    const received = agent.received.length;
    const waiting = freehold.as(a.member).post("/api/chat", { message: "Still there?", sessionId });
    await until("the agent was asked", () => agent.received.length > received);
    assert.equal((await freehold.as(a.member).send("DELETE", `/api/sessions/${sessionId}`)).status, 204);
    answer();
    assert.equal((await waiting).status, 200);
    assert.equal((await freehold.as(a.member).get(`/api/sessions/${sessionId}`)).status, 404);
    const rows = await freehold.sql("select from freehold.messages where body = 'Too late.'");
    assert.equal(rows.length, 0);
  });

  test("turns of one session that come at once are all kept, in one order", async () => {
    const sessionId = await say(freehold.as(a.member), "Hello");
    await Promise.all(Array.from({ length: 10 }, (_, at) => say(freehold.as(a.member), `Question ${at}`, { sessionId })));
    const { messages, history } = (await freehold.as(a.member).get(`/api/sessions/${sessionId}`)).json<{
      messages: number;
      history: { role: string }[];
    }>();
    assert.equal(messages, 22);
    assert.deepEqual(
      history.map(({ role }) => role),
      Array.from({ length: 11 }, () => ["user", "assistant"]).flat(),
    );
  });

  describe("tenants and users whose names run together", () => {
    const file = new URL("../vectors/composite-key-collisions.json", import.meta.url);
    const { pairs } = JSON.parse(readFileSync(file, "utf8")) as { pairs: { join: string; a: [string, string]; b: [string, string] }[] };
    for (const { join, a: first, b: second } of pairs) {
      test(`${first.join(" + ")} and ${second.join(" + ")} are two, joined by ${JSON.stringify(join)} or not`, async () => {
        const sides = [first, second].map(([tenant, user]) => ({ tenant: parseTenantId(tenant), user, name: tenant }));
        for (const { tenant, name } of sides) {
          const made = await operator.post("/admin/v1/tenants", { id: name, name, rate: NO_LIMIT });
          if (tenant === undefined) assert.equal(made.code, "invalid_json", "a name that could run together is none");
          else assert.ok([201, 409].includes(made.status), made.text);
        }
        const clients = sides.flatMap(({ tenant, user }) => (tenant === undefined ? [] : [clientOf(tenant, user)]));
        const ids = await Promise.all(clients.map((client) => say(client, `Hello from ${client.url}`)));
        for (const [at, client] of clients.entries()) {
          const mine = (await listed(client)).map(({ sessionId }) => sessionId);
          assert.ok(mine.includes(ids[at] ?? ""));
          for (const foreign of ids.filter((_id, other) => other !== at)) {
            assert.ok(!mine.includes(foreign));
            for (const reply of await uses(client, foreign)) assert.equal(reply.status, 404);
          }
        }
      });
    }
  });
});

function clientOf(tenantId: NonNullable<ReturnType<typeof parseTenantId>>, sub: string): Client {
  return freehold.as(bearer(freehold.app.services.identity.tokens.issue({ sub, tenantId, roles: ["member"], lifetimeMs: 60_000 })));
}
