import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import { Client, type Reply } from "../support/freehold-client.ts";
import { until } from "../support/until.ts";

const freehold = await startFreehold();
const { a, b } = freehold.credentials;
const operator = freehold.trusted(freehold.platform.admin);
const member = freehold.as(a.member);
const key = freehold.as(a.key);

async function change(document: object): Promise<void> {
  const reply = await operator.send("PATCH", "/admin/v1/tenants/a", { json: document });
  assert.equal(reply.status, 200, reply.text);
}

/** Makes everything of a tenant that much older. */
async function age(interval: string, tenant = "a"): Promise<void> {
  const own = "tenant_id = (select uuid from freehold.tenants where id = $1)";
  await freehold.sql(`update freehold.sessions set last_activity = last_activity - $2::interval where ${own}`, [tenant, interval]);
  await freehold.sql(`update freehold.messages set created_at = created_at - $2::interval where ${own}`, [tenant, interval]);
  await freehold.sql(`update freehold.active_users set last_at = last_at - $2::interval where ${own}`, [tenant, interval]);
}

async function say(client: Client, message: string, more: object = {}): Promise<Reply> {
  return await client.post("/api/chat", { message, ...more });
}

describe("rules of a tenant's sessions", () => {
  guard(freehold);
  beforeEach(async () => {
    await freehold.sql("delete from freehold.active_users");
    freehold.agents.a.received.length = 0;
  });

  test("a session that nobody has written in for the tenant's time is read, and not gone on with", async () => {
    const sessionId = String((await say(member, "Hello")).json()["sessionId"]);
    await change({ sessions: { idleMinutes: 30 } });
    assert.equal((await say(member, "Still here", { sessionId })).status, 200);
    await age("31 minutes");
    const late = await say(member, "Are you there?", { sessionId });
    assert.deepEqual([late.status, late.code, late.json()["field"]], [404, "not_found", "sessionId"]);
    assert.equal((await member.get(`/api/sessions/${sessionId}`)).json()["messages"], 4);
    assert.equal(freehold.agents.a.received.length, 2);
    await change({ sessions: { idleMinutes: null } });
    assert.equal((await say(member, "Again", { sessionId })).status, 200);
  });

  test("what is older than a tenant keeps it is deleted, message by message, and another tenant's is not", async () => {
    const [old, going] = [await say(member, "Old"), await say(member, "Going on")].map((reply) => String(reply.json()["sessionId"]));
    await age("40 days");
    await age("40 days", "b");
    await say(member, "New", { sessionId: going });
    const before = await freehold.sql("select from freehold.messages where tenant_id = (select uuid from freehold.tenants where id = 'b')");
    await freehold.as(a.admin).send("PATCH", "/tenant/v1", { json: { sessions: { retentionDays: 30 } } });
    await freehold.second();
    await until("the old session is gone", async () => (await member.get(`/api/sessions/${String(old)}`)).status === 404);
    await until("old messages are gone", async () => {
      const { history } = (await member.get(`/api/sessions/${String(going)}`)).json<{ history: { text: string }[] }>();
      return history.length === 2 && history[0]?.text === "New";
    });
    const left = await freehold.sql("select from freehold.messages where tenant_id = (select uuid from freehold.tenants where id = 'b')");
    assert.equal(left.length, before.length);
    await change({ sessions: { retentionDays: null } });
  });

  test("of many people who begin at once as many are let in as may write at the same time, over all processes", async () => {
    await change({ quotas: { maxConcurrentUsers: 3 } });
    const other = new Client((await freehold.second()).url, a.key);
    const people = Array.from({ length: 12 }, (_, n) => `person-${n}`);
    const replies = await Promise.all(people.map((userId, n) => say(n % 2 === 0 ? key : other, "Hello", { userId })));
    assert.equal(replies.filter(({ status }) => status === 200).length, 3);
    const refused = replies.filter(({ status }) => status !== 200);
    for (const reply of refused) assert.deepEqual([reply.code, reply.json()["policy"]], ["concurrency_exceeded", "concurrent-users"]);
    const inside = people[replies.findIndex(({ status }) => status === 200)];
    assert.equal((await say(key, "Again", { userId: inside })).status, 200, "who is in goes on");
    await age("6 minutes");
    assert.equal((await say(key, "Later", { userId: "person-late" })).status, 200);
    await change({ quotas: {} });
  });

  test("no more people write in a month than the tenant may have, and another tenant has its own", async () => {
    await change({ quotas: { maxActiveUsers: 2 } });
    for (const userId of ["one", "two"]) assert.equal((await say(key, "Hello", { userId })).status, 200);
    const third = await say(key, "Hello", { userId: "three" });
    assert.deepEqual([third.status, third.code, third.json()["policy"]], [429, "insufficient_quota", "active-users"]);
    for (const userId of ["one", "two", "three"]) assert.equal((await say(freehold.trusted(b.key), "Hello", { userId })).status, 200);
    await age("31 days");
    assert.equal((await say(key, "Hello", { userId: "three" })).status, 200);
    await change({ quotas: {} });
  });

  test("a session is taken along whole, and everything of a user is deleted, by who may", async () => {
    const sessionId = String((await say(member, "First")).json()["sessionId"]);
    for (let n = 0; n < 3; n++) await say(member, `More ${n}`, { sessionId });
    const lines = (await member.get(`/api/sessions/${sessionId}/export`)).text.trim().split("\n");
    const [session, first] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual([lines.length, session?.["sessionId"], first?.["text"]], [9, sessionId, "First"]);
    assert.equal((await freehold.as(a.otherMember).get(`/api/sessions/${sessionId}/export`)).code, "not_found");
    assert.equal((await freehold.trusted(b.member).get(`/api/sessions/${sessionId}/export`)).code, "not_found");
    assert.equal((await freehold.as(a.otherMember).send("DELETE", "/api/sessions?userId=u1")).code, "forbidden");
    assert.equal((await freehold.as(a.admin).send("DELETE", "/api/sessions")).code, "forbidden");
    await freehold.as(a.otherMember).send("DELETE", "/api/sessions");
    assert.equal((await member.get(`/api/sessions/${sessionId}`)).status, 200);
    const removed = (await freehold.as(a.admin).send("DELETE", "/api/sessions?userId=u1")).json();
    assert.ok(Number(removed["removed"]) >= 1);
    assert.deepEqual((await member.get("/api/sessions")).json()["sessions"], []);
    assert.equal((await freehold.trusted(b.member).get("/api/sessions")).json<{ sessions: unknown[] }>().sessions.length > 0, true);
  });
});
