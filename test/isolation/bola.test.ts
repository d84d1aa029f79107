import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRouteTable, type Services } from "../../src/control/index.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import type { Reply, Sending } from "../support/freehold-client.ts";
import { DEAD_LETTER, DOCUMENTS, SESSIONS, USERS } from "../support/freehold-seed.ts";
import { CANARY } from "../support/tenants.ts";

const freehold = await startFreehold();
const { a, b } = freehold.credentials;
// only the paths are read
const tenantRoutes = createRouteTable({} as Services).main.filter(({ access }) => access.realm === "tenant");

/** Ids that only b has, and an id of the same shape that nobody has. */
const IDS = {
  user: { ofB: "only-b-user", ofNobody: "only-x-user" },
  document: { ofB: "only-b-doc", ofNobody: "only-x-doc" },
  session: { ofB: `b.web.${SESSIONS[0]}`, ofNobody: "b.web.99456789-session-of-u1" },
  key: { ofB: b.keyIds[0] ?? "", ofNobody: "aaaaaaaaaaaa" },
  deadLetter: { ofB: "0198c0de-0000-7000-8000-00000000000b", ofNobody: "0198c0de-0000-7000-8000-00000000000c" },
  channel: { ofB: "onlyBonlyBonlyBonlyBon", ofNobody: "onlyXonlyXonlyXonlyXon" },
  model: { ofB: "only-b-model", ofNobody: "only-x-model" },
  provider: { ofB: "only-b-provider", ofNobody: "only-x-provider" },
} as const;

const victim = freehold.trusted(b.admin);
await victim.post("/users/create", { id: IDS.user.ofB, name: `Only b ${CANARY}` });
await victim.post("/documents", { id: IDS.document.ofB, text: `Only b has this. ${CANARY}` });
await freehold.sql(
  `insert into freehold.dead_letters (tenant_id, consumer, event_id, seq, partition_key, envelope, created_at, attempts, reason)
   select uuid, 'index-users', $1, 1, 'u1', '{}', now(), 8, 'internal' from freehold.tenants where id = 'b'`,
  [IDS.deadLetter.ofB],
);

await freehold.sql(
  `insert into freehold.channel_installations (id, tenant_id, platform, name, app, workspace, settings, sealed, key_version, created_by)
   select $1, uuid, 'slack', 'only b', $1, $1, '{}', '', 1, 'test' from freehold.tenants where id = 'b'`,
  [IDS.channel.ofB],
);
const ownModels = {
  providers: { [IDS.provider.ofB]: { kind: "openai" } },
  models: { [IDS.model.ofB]: { provider: IDS.provider.ofB } },
};
assert.equal((await victim.send("PUT", "/tenant/v1/models", { json: { document: ownModels } })).status, 200);

describe("an id of b, used by a", () => {
  guard(freehold);

  test("b itself finds all of it: the canary is where it should be", async () => {
    for (const path of [`/users/${IDS.user.ofB}`, `/documents/${IDS.document.ofB}`, `/api/sessions/${IDS.session.ofB}`])
      assert.ok((await victim.get(path)).text.includes(CANARY), path);
  });

  for (const { method, path } of tenantRoutes.filter((route) => route.path.includes("{"))) {
    test(`${method} ${path} answers as for an id that never was, and b is unchanged`, async () => {
      const [kind, body] = kindOf(path);
      const before = await freehold.fingerprint("b");
      for (const credential of [a.admin, a.member, a.key]) {
        const client = freehold.as(credential);
        const replies: Reply[] = [];
        for (const id of [IDS[kind].ofB, IDS[kind].ofNobody])
          replies.push(
            await client.send(method, path.replace("{consumer}", "index-users").replace(/\{[a-zA-Z]+\}/, id), sending(method, body)),
          );
        assertSame(replies);
        assert.ok([403, 404, 415].includes(replies[0]?.status ?? 0), replies[0]?.text);
        if (credential !== a.member) assert.equal(replies[0]?.code, makesOwn(method, path) ? "unsupported_media_type" : "not_found");
      }
      assert.deepEqual(await freehold.fingerprint("b"), before);
    });
  }

  test("every route with an id in its path has a kind here", () => {
    const wordless = tenantRoutes.filter(({ path }) => path.includes("{")).map(({ path }) => kindOf(path)[0]);
    assert.ok(wordless.length >= 8);
  });

  test("the same ids in both tenants are two things: a's change and removal leave b's as it is", async () => {
    const before = await freehold.fingerprint("b");
    const admin = freehold.as(a.admin);
    assert.equal((await admin.send("PATCH", `/users/${USERS[1]}`, { json: { name: "Changed by a" } })).status, 200);
    assert.equal((await admin.post("/documents", { id: DOCUMENTS[1], title: "Of a", text: "Replaced by a." })).status, 201);
    assert.equal((await admin.send("DELETE", `/documents/${DOCUMENTS[2]}`)).status, 204);
    assert.equal((await admin.send("DELETE", `/users/${USERS[1]}`)).status, 204);
    assert.equal((await admin.send("DELETE", `/api/sessions/a.web.${SESSIONS[1]}`)).status, 204);
    assert.equal((await admin.send("POST", `/tenant/v1/dead-letters/index-users/${DEAD_LETTER}/redrive`)).status, 202);
    assert.deepEqual(await freehold.fingerprint("b"), before);
  });

  test("a session of b in a body is no session", async () => {
    const before = await freehold.fingerprint("b");
    const received = freehold.agents.b.received.length;
    for (const credential of [a.admin, a.member, a.key]) {
      const client = freehold.as(credential);
      const replies = [
        await client.post("/api/chat", chatIn(IDS.session.ofB)),
        await client.post("/api/chat", chatIn(IDS.session.ofNobody)),
      ];
      assertSame(replies);
      assert.equal(replies[0]?.code, "not_found");
    }
    assert.equal(freehold.agents.b.received.length, received);
    assert.deepEqual(await freehold.fingerprint("b"), before);
  });

  test("a user of b in a body is nobody special: what is said stands under a", async () => {
    const before = await freehold.fingerprint("b");
    const reply = await freehold.as(a.key).post("/api/chat", { message: "Hello", userId: IDS.user.ofB });
    assert.match(String(reply.json()["sessionId"]), /^a\.web\./);
    assert.equal((await freehold.as(a.member).post("/api/chat", { message: "Hello", userId: IDS.user.ofB })).code, "forbidden");
    assert.deepEqual(await freehold.fingerprint("b"), before);
  });

  test("a filter, a cursor and a query that name something of b find nothing of it", async () => {
    const client = freehold.as(a.admin);
    const filters: Record<string, string>[] = [
      { userId: IDS.user.ofB },
      { note: `note ${CANARY.slice(0, 8)}` },
      { kind: "user", userId: "u1" },
    ];
    for (const filter of filters) {
      const reply = await client.post("/search", { query: "Only b has this refunds", filter });
      assert.ok(
        reply.json<{ results: { id: string }[] }>().results.every(({ id }) => !id.startsWith("only-b")),
        reply.text,
      );
    }
    for (const path of ["/users", "/documents"]) {
      for (const after of [IDS.user.ofB, IDS.document.ofB, "only-a"]) {
        const reply = await client.get(`${path}?after=${after}`);
        assert.equal(reply.status, 200);
        assert.ok(!reply.text.includes("only-b"), reply.text);
      }
    }
    assert.deepEqual(
      (await client.get(`/api/sessions?userId=${IDS.user.ofB}`))
        .json<{ sessions: { tenantId: string }[] }>()
        .sessions.filter(({ tenantId }) => tenantId !== "a"),
      [],
    );
  });

  test("a search counts and scores a's own texts only: what b stores moves nothing", async () => {
    const client = freehold.as(a.member);
    const before = (await client.post("/search", { query: "refunds thirty days", limit: 50 })).text;
    for (let number = 0; number < 5; number++)
      await victim.post("/documents", { id: `refunds-${number}`, text: `Refunds refunds thirty days. ${CANARY}` });
    assert.equal((await client.post("/search", { query: "refunds thirty days", limit: 50 })).text, before);
  });

  test("lists, trails and keys are a's own", async () => {
    const client = freehold.as(a.admin);
    for (const path of [
      "/users",
      "/documents",
      "/api/sessions",
      "/tenant/v1",
      "/tenant/v1/config",
      "/tenant/v1/keys",
      "/tenant/v1/dead-letters",
      "/tenant/v1/audit",
    ]) {
      const reply = await client.get(path);
      assert.equal(reply.status, 200, path);
      const ofB = path === "/users" || path === "/documents" ? [IDS.user.ofB, IDS.document.ofB] : [...b.keyIds, IDS.session.ofB, '"b"'];
      for (const id of ofB) assert.ok(!reply.text.includes(id), `${path} shows ${id}`);
    }
  });

  test("a key of a tenant is made with no more than its maker has", async () => {
    const maker = await freehold
      .trusted(freehold.platform.admin)
      .post("/admin/v1/tenants/a/keys", { name: "narrow", roles: ["admin"], scopes: ["tenant"] });
    const narrow = freehold.as({ "x-api-key": String(maker.json()["key"]) });
    assert.equal((await narrow.post("/tenant/v1/keys", { name: "wide", scopes: ["tenant", "chat"] })).code, "forbidden");
    assert.equal((await narrow.post("/tenant/v1/keys", { name: "as wide", scopes: ["tenant"] })).status, 201);
  });
});

function kindOf(path: string): [keyof typeof IDS, unknown] {
  if (path.startsWith("/users/")) return ["user", { name: "Taken" }];
  if (path.startsWith("/documents/")) return ["document", undefined];
  if (path.startsWith("/api/sessions/")) return ["session", undefined];
  if (path.startsWith("/tenant/v1/keys/")) return ["key", undefined];
  if (path.startsWith("/tenant/v1/channels/")) return ["channel", path.endsWith("/test") ? { to: "C1" } : { name: "Taken" }];
  if (path.startsWith("/tenant/v1/models/keys/")) return ["provider", { key: "a key" }];
  if (path.startsWith("/v1/models/")) return ["model", undefined];
  if (path.startsWith("/tenant/v1/dead-letters/")) return ["deadLetter", undefined];
  throw new Error(`${path} has an id that this file does not know`);
}

function sending(method: string, json: unknown): Sending {
  return json !== undefined && method !== "GET" && method !== "DELETE" ? { json } : {};
}

/** Whether the call takes any id and makes one of the caller's own; it is refused here, as it has no body. */
function makesOwn(method: string, path: string): boolean {
  return method === "PUT" && path.startsWith("/documents/");
}

function chatIn(sessionId: string): Record<string, unknown> {
  return { message: "What was said?", sessionId };
}

/** Byte for byte the same, apart from the request id. */
function assertSame([first, second, ...more]: readonly Reply[]): void {
  assert.ok(first && second && more.length === 0);
  assert.equal(second.status, first.status);
  assert.equal(withoutIds(second), withoutIds(first));
}

function withoutIds({ text, headers }: Reply): string {
  const { "x-request-id": id = "", date: _date, ratelimit: _limit, ...fields } = headers;
  return text.replaceAll(String(id), "") + JSON.stringify(fields);
}
