import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { ChatSocket, Client } from "../support/freehold-client.ts";
import { bearer } from "../support/freehold-seed.ts";
import { assertNoCanary, CANARY } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { freehold, type Running, up } from "./program.ts";

/** What acme received. Whatever globex stores has the canary. */
const seen: (Uint8Array | string)[] = [];

for (const engine of ["embedded", "PostgreSQL"] as const) {
  describe(`a first day with Freehold, ${engine}`, () => {
    const folder = temporaryFolder();
    const data = path.join(folder, "data");
    let flags: readonly string[] = ["--data", data];
    let running: Running;
    const acme = (credential?: Readonly<Record<string, string>>): Client =>
      new Client(running.url, credential ?? bearer(running.tenants[0]?.token ?? ""), (bytes) => void seen.push(bytes));

    before(async () => {
      if (engine === "PostgreSQL") flags = ["--data", data, "--database-url", await freshDatabase()];
      running = await up(flags, { cwd: folder });
      const globex = new Client(running.url, bearer(running.tenants[1]?.token ?? ""));
      const stored = await globex.post("/documents", { id: "refunds", text: `Globex refunds nothing. ${CANARY}` });
      assert.equal(stored.status, 201);
    });
    afterEach(() => {
      for (const piece of seen.splice(0)) assertNoCanary(piece);
    });
    after(() => running.stop("SIGKILL"));

    test("a ready process says so in one line of JSON, with what it takes to call it", () => {
      assert.deepEqual(running.stdout().split("\n").length, 2, "one line and its end");
      assert.deepEqual(Object.keys(JSON.parse(running.stdout()) as object).toSorted(), ["adminUrl", "platformToken", "tenants", "url"]);
      assert.deepEqual(
        running.tenants.map(({ id }) => id),
        ["acme", "globex"],
      );
      for (const address of [running.url, running.adminUrl]) assert.match(address, /^http:\/\/127\.0\.0\.1:\d+$/);
    });

    test("the agent answers from the tenant's own documents and cites them", async () => {
      const reply = await acme().post("/api/chat", { message: "How long do I have to return an order?" });
      const answer = reply.json<{ success: boolean; response: string; tenantId: string; citations: { documentId: string }[] }>();
      assert.equal(reply.status, 200, reply.text);
      assert.ok(answer.success && answer.tenantId === "acme");
      assert.match(answer.response, /30 days/);
      assert.equal(answer.citations[0]?.documentId, "refunds");
    });

    test("the development token of the tour works where only this machine can connect", async () => {
      const reply = await acme(bearer("acme:user-1")).post("/api/chat", { message: "When does support answer?" });
      assert.match(String(reply.json()["response"]), /8:00 to 18:00/);
      assert.equal(reply.json()["userId"], "user-1");
    });

    test("an answer comes in pieces, and they make up the whole", async () => {
      const reader = await acme().stream("/api/chat", { message: "How long do I have to return an order?" });
      const done = await reader.event("done");
      const texts = reader.events.filter(({ name }) => name === "text").map(({ data: { text } }) => String(text));
      assert.equal(reader.response.headers["content-type"], "text/event-stream");
      assert.equal(reader.events[0]?.name, "session");
      assert.ok(texts.length > 1, "more than one piece");
      assert.equal(texts.join(""), done.data["response"]);
      await until("the end of the stream", () => reader.ended);
    });

    test("a conversation goes on over a WebSocket and is kept as a session", async () => {
      const socket = await acme().socket();
      assert.ok(socket instanceof ChatSocket);
      socket.send({ message: "When does support answer?" });
      const { sessionId } = await socket.next("session");
      await socket.next("done");
      socket.send({ message: "And on Sundays?", sessionId });
      assert.equal((await socket.next("session"))["sessionId"], sessionId);
      await socket.next("done");
      socket.close();
      const listed = (await acme().get("/api/sessions")).json<{ sessions: { sessionId: string; messages: number }[] }>();
      assert.equal(listed.sessions.find((session) => session.sessionId === sessionId)?.messages, 4);
      const shown = (await acme().get(`/api/sessions/${String(sessionId)}`)).json<{ history: { text: string }[] }>();
      assert.equal(shown.history[0]?.text, "When does support answer?");
      assert.equal((await acme().send("DELETE", `/api/sessions/${String(sessionId)}`)).status, 204);
      assert.equal((await acme().get(`/api/sessions/${String(sessionId)}`)).status, 404);
    });

    test("a new user is found by a search moments later, and no more once deleted", async () => {
      const found = async (): Promise<boolean> => {
        const reply = await acme().post("/search", { query: "Zaphod Beeblebrox", filter: { kind: "user" } });
        return reply.json<{ results: { id: string }[] }>().results.some(({ id }) => id === "zaphod");
      };
      const made = await acme().post("/users/create", { id: "zaphod", name: "Zaphod Beeblebrox", email: "zaphod@acme.example" });
      assert.equal(made.status, 201, made.text);
      await until("the new user is found", found);
      assert.equal((await acme().send("DELETE", "/users/zaphod")).status, 204);
      await until("the deleted user is gone from the search", async () => !(await found()));
    });

    test("a document is found as soon as it is stored, and gone as soon as it is deleted", async () => {
      assert.equal((await acme().post("/documents", { id: "moon", text: "Deliveries to the moon take nine weeks." })).status, 201);
      const ids = async (): Promise<string[]> =>
        (await acme().post("/search", { query: "moon deliveries" })).json<{ results: { id: string }[] }>().results.map(({ id }) => id);
      assert.equal((await ids())[0], "moon");
      assert.equal((await acme().get("/documents/moon")).json()["text"], "Deliveries to the moon take nine weeks.");
      assert.equal((await acme().send("DELETE", "/documents/moon")).status, 204);
      assert.ok(!(await ids()).includes("moon"));
    });

    test("whoever looks over the fence is refused, and it stands in the trail", async () => {
      const reply = await acme().get("/users", { headers: { "x-tenant-id": "globex" } });
      assert.deepEqual([reply.status, reply.code], [403, "tenant_mismatch"]);
      await until("the attempt stands in acme's trail", async () => {
        const trail = (await acme().get("/tenant/v1/audit")).json<{ entries: { action: string; targetTenant: string }[] }>();
        return trail.entries.some(({ action, targetTenant }) => action === "cross_tenant_attempt" && targetTenant === "globex");
      });
    });

    test("health, readiness and metrics are on the loopback port alone", async () => {
      const admin = new Client(running.adminUrl, {});
      assert.equal((await admin.get("/health")).status, 200);
      assert.deepEqual((await admin.get("/ready")).json(), { ok: true, parts: { database: "ok" } });
      assert.match((await admin.get("/metrics")).text, /freehold_requests_total\{route="\/api\/chat"/);
      for (const route of ["/health", "/ready", "/metrics"]) assert.equal((await acme({}).get(route)).status, 404);
    });

    if (engine === "embedded")
      test("a second process does not get the embedded folder", async () => {
        const second = await freehold(["up", "--port", "0", "--admin-port", "0", "--json", ...flags], { cwd: folder });
        assert.equal(second.code, 1);
        assert.equal(second.stdout, "");
        assert.equal((JSON.parse(second.stderr) as { code: string }).code, "store_locked");
        assert.equal((await acme().get("/users")).status, 200, "the first one goes on");
      });

    test("SIGTERM ends it with code 0, with nothing left behind, and a second start finds the data", async () => {
      assert.equal((await acme().post("/users/create", { id: "trillian", name: "Tricia McMillan" })).status, 201);
      const { code, stderr } = await running.stop();
      assert.equal(code, 0, stderr);
      assert.ok(!existsSync(path.join(data, "run.json")));
      if (engine === "embedded") assert.equal(statSync(path.join(data, "root.key")).mode & 0o077, 0, "nobody else reads the root key");
      for (const line of stderr.trim().split("\n")) assert.ok(!/"level":(?:50|60)/.test(line), `an error in the log: ${line}`);

      const issuedBefore = running.tenants[0]?.token ?? "";
      running = await up(flags, { cwd: folder });
      assert.equal((await acme().get("/users/trillian")).status, 200);
      assert.equal((await acme(bearer(issuedBefore)).get("/users/trillian")).status, 200, "tokens outlive a restart");
      assert.equal((await acme().get("/documents/refunds")).status, 200);
    });

    test("SIGTERM is told to an open socket, which does not hold up the end", async () => {
      const socket = await acme().socket();
      assert.ok(socket instanceof ChatSocket);
      const { code, stderr } = await running.stop();
      assert.equal(code, 0, stderr);
      assert.equal((await until("the socket is closed", () => socket.closed)).code, 1001);
    });
  });
}
