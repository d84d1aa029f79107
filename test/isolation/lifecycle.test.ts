import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import { createRouteTable, type Services } from "../../src/control/index.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { ChatSocket, Client } from "../support/freehold-client.ts";
import { bearer } from "../support/freehold-seed.ts";
import { tenantIdOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { MAIN_ROWS } from "./decision-rows.ts";

/** The longest that a change may take to hold everywhere. */
const FEED_DEADLINE_MS = 5_000;

const freehold = await startFreehold();
const other = await freehold.second();
const { a } = freehold.credentials;
const operator = freehold.trusted(freehold.platform.admin);
// only the paths are read
const tenantRoutes = createRouteTable({} as Services).main.filter(({ access, accept }) => access.realm === "tenant" && !accept);

const suspend = (): Promise<unknown> => operator.send("POST", "/admin/v1/tenants/a/suspend");

/** Serves a again, in both processes when it returns. */
async function resume(): Promise<void> {
  await operator.send("POST", "/admin/v1/tenants/a/resume");
  await until("both serve", async () => (await new Client(other.url, a.member).get("/api/sessions")).status === 200, FEED_DEADLINE_MS);
}

/** Milliseconds until the other process gives this answer, counted from now; fails at the deadline. */
async function timeUntil(what: string, client: Client, isSo: (status: number) => boolean): Promise<number> {
  const begin = performance.now();
  await until(what, async () => isSo((await client.get("/api/sessions")).status), FEED_DEADLINE_MS);
  return Math.round(performance.now() - begin);
}

describe("the life of a tenant", () => {
  guard(freehold);

  describe("a suspended tenant", () => {
    beforeEach(() => freehold.agents.a.behave());
    afterEach(() => resume());

    test("is refused on every route by every credential, from the first call after the suspension", async () => {
      await suspend();
      const before = await freehold.fingerprint("everything");
      for (const { method, path } of tenantRoutes) {
        for (const credential of [a.member, a.admin, a.key, a.chatKey]) {
          const target = path.replaceAll(/\{[a-zA-Z]+\}/g, "u1");
          const json = MAIN_ROWS[`${method} ${path}`] && method !== "GET" ? { message: "x" } : undefined;
          const reply = await freehold.as(credential).send(method, target, json === undefined ? {} : { json });
          assert.deepEqual([reply.status, reply.code], [403, "tenant_suspended"], `${method} ${path}`);
        }
      }
      assert.deepEqual(await freehold.fingerprint("everything"), before);
      assert.equal((await freehold.trusted(freehold.credentials.b.member).get("/users")).status, 200);
      await resume();
      assert.equal((await freehold.as(a.member).get("/users")).status, 200);
    });

    test("is refused by other processes within seconds, and served again as soon", async (t) => {
      const elsewhere = new Client(other.url, a.member);
      assert.equal((await elsewhere.get("/api/sessions")).status, 200);
      await suspend();
      const denied = await timeUntil("the other process refuses", elsewhere, (status) => status === 403);
      await operator.send("POST", "/admin/v1/tenants/a/resume");
      const served = await timeUntil("the other process serves again", elsewhere, (status) => status === 200);
      t.diagnostic(`suspended elsewhere after ${denied} ms, served again after ${served} ms`);
    });

    test("loses the stream that is open, here and in another process", async () => {
      for (const url of [freehold.app.url, other.url]) {
        let stopped = false;
        freehold.agents.a.behave((_request, response) => {
          response.writeHead(200, { "content-type": "text/event-stream" }).write('data: {"text":"The first part. "}\n\n');
          response.on("close", () => (stopped = true));
        });
        const reader = await new Client(url, a.member).stream("/api/chat", { message: "Tell me slowly" });
        await reader.event("text");
        await suspend();
        await until("the stream is over", () => reader.ended, FEED_DEADLINE_MS);
        await until("the agent's connection is let go", () => stopped, FEED_DEADLINE_MS);
        assert.ok(reader.events.every(({ name }) => name !== "done"));
        await resume();
      }
    });

    test("loses the sockets that are open, idle or waiting for an answer", async () => {
      freehold.agents.a.behave(() => {}); // never answers
      const [idle, waiting] = [await freehold.as(a.member).socket(), await new Client(other.url, a.member).socket()];
      assert.ok(idle instanceof ChatSocket && waiting instanceof ChatSocket);
      waiting.send({ message: "Hello" });
      await waiting.next("session");
      await suspend();
      for (const socket of [idle, waiting])
        assert.equal((await until("the socket is closed", () => socket.closed, FEED_DEADLINE_MS)).code, 1001);
    });

    test("gets no answer from its agent that it was still waiting for", async () => {
      freehold.agents.a.behave(() => {}); // never answers
      const received = freehold.agents.a.received.length;
      const waiting = freehold.as(a.member).post("/api/chat", { message: "Hello" });
      await until("the agent was asked", () => freehold.agents.a.received.length > received);
      await suspend();
      const reply = await waiting;
      assert.deepEqual([reply.status, reply.code], [403, "tenant_suspended"]);
    });

    test("stores nothing of a request whose body was still on its way", async () => {
      const body = JSON.stringify({ id: "slow", name: "Slow" });
      const socket = connect({ host: "127.0.0.1", port: freehold.as(a.admin).port });
      const fields = [`authorization: ${a.admin["authorization"]}`, "Content-Type: application/json", `Content-Length: ${body.length}`];
      socket.write(
        ["POST /users/create HTTP/1.1", "Host: localhost", ...fields, "Expect: 100-continue", "Connection: close", "", ""].join("\r\n"),
      );
      const [asked] = (await once(socket, "data")) as [Buffer]; // it is told to go on when it has been let in
      assert.match(asked.toString(), /^HTTP\/1\.1 100 /);
      await suspend();
      socket.write(body);
      const received = Buffer.concat(await socket.toArray()).toString();
      assert.match(received, /^HTTP\/1\.1 403 [\s\S]*"tenant_suspended"/);
      const rows = await freehold.sql("select from freehold.users where id = 'slow'");
      assert.equal(rows.length, 0);
    });

    test("has its events parked, and handled as soon as it is served again", async () => {
      const waiting = async (): Promise<readonly (string | null)[]> => {
        const rows = await freehold.sql<{ reason: string | null }>(
          "select last_error as reason from freehold.deliveries d join freehold.tenants t on t.uuid = d.tenant_id where t.id = 'a'",
        );
        return rows.map(({ reason }) => reason);
      };
      const search = async (): Promise<boolean> => {
        const reply = await freehold.as(a.member).post("/search", { query: "Perdita", filter: { kind: "user" } });
        return reply.json<{ results: { id: string }[] }>().results.some(({ id }) => id === "perdita");
      };
      // as long as nothing can be delivered, the event waits until its tenant is suspended
      await freehold.sql("begin");
      await freehold.sql("lock table freehold.deliveries in share mode");
      assert.equal((await freehold.as(a.admin).post("/users/create", { id: "perdita", name: "Perdita" })).status, 201);
      await suspend();
      await freehold.sql("commit");
      await until("the event is parked", async () => (await waiting()).includes("tenant_suspended"));
      assert.equal((await freehold.as(a.member).post("/search", { query: "Perdita" })).code, "tenant_suspended");
      await resume();
      await until("the user is found", search);
      await until("nothing waits any more", async () => (await waiting()).length === 0);
    });
  });

  test("a deleted tenant answers like one that never was, to every credential", async () => {
    const never = bearer(
      freehold.app.services.identity.tokens.issue({ sub: "u3", tenantId: tenantIdOf("never-was"), roles: ["admin"], lifetimeMs: 60_000 }),
    );
    const plain = ({ text, headers }: { text: string; headers: Record<string, unknown> }): string =>
      text.replaceAll(String(headers["x-request-id"]), "");
    for (const { method, path } of tenantRoutes) {
      const target = path.replaceAll(/\{[a-zA-Z]+\}/g, "u1");
      const expected = await freehold.as(never).send(method, target);
      for (const credential of [freehold.credentials.d.admin, freehold.credentials.d.key]) {
        const reply = await freehold.as(credential).send(method, target);
        assert.deepEqual([reply.status, plain(reply)], [401, plain(expected)], `${method} ${path}`);
      }
    }
  });

  test("a tenant on its way out does not come back, and gets no token", async () => {
    assert.equal((await operator.send("POST", "/admin/v1/tenants/d/resume")).code, "conflict");
    assert.equal((await operator.post("/admin/v1/tenants/d/tokens", { sub: "u1" })).code, "not_found");
  });

  test("a revoked key is refused by the next call here, and within seconds in another process", async (t) => {
    const times: number[] = [];
    for (let round = 0; round < 10; round++) {
      const made = (await freehold.as(a.admin).post("/tenant/v1/keys", { name: "short" })).json<{ id: string; key: string }>();
      const [here, elsewhere] = [freehold.as({ "x-api-key": made.key }), new Client(other.url, { "x-api-key": made.key })];
      assert.deepEqual([(await here.get("/api/sessions")).status, (await elsewhere.get("/api/sessions")).status], [200, 200]);
      assert.equal((await freehold.as(a.admin).send("DELETE", `/tenant/v1/keys/${made.id}`)).status, 204);
      assert.equal((await here.get("/api/sessions")).status, 401);
      times.push(await timeUntil("the other process refuses the key", elsewhere, (status) => status === 401));
    }
    t.diagnostic(`time to deny in another process, ms: ${times.toSorted((x, y) => x - y).join(" ")}`);
  });

  test("a key or a tenant made in one process works in the other at once", async () => {
    const id = "just-made";
    assert.equal((await operator.post("/admin/v1/tenants", { id, name: "Just made" })).status, 201);
    const { key } = (await operator.post(`/admin/v1/tenants/${id}/keys`, { name: "first" })).json<{ key: string }>();
    const elsewhere = new Client(other.url, { "x-api-key": key });
    await until("the other process knows the key", async () => (await elsewhere.get("/users")).status === 200, FEED_DEADLINE_MS);
  });
});
