import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRouteTable, type Services } from "../../src/control/index.ts";
import { assertHouseAnswer } from "../support/answer-rules.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { ChatSocket } from "../support/freehold-client.ts";
import { CANARY } from "../support/tenants.ts";
import { until } from "../support/until.ts";

const freehold = await startFreehold();
const { a, b } = freehold.credentials;
const member = freehold.as(a.member);

// every answer that a client of these tests receives is checked against the rules of the house, in every file; here is what those cannot see
describe("answers", () => {
  guard(freehold);

  describe("to what is no request", () => {
    const requests: Readonly<Record<string, string>> = {
      "not HTTP": "Hello\r\n\r\n",
      "HTTP/2 by guess": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "a host with a space": "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
      "no host": "GET / HTTP/1.1\r\n\r\n",
      "a method nobody knows": "BREW /users HTTP/1.1\r\nHost: a\r\n\r\n",
      TRACE: "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
      CONNECT: "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
      "a line of 64 KB": `GET /${"x".repeat(65_536)} HTTP/1.1\r\nHost: a\r\n\r\n`,
      "fields of 64 KB": `GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${"x".repeat(65_536)}\r\n\r\n`,
      "200 fields": `GET / HTTP/1.1\r\nHost: a\r\n${"X-Many: 1\r\n".repeat(200)}\r\n`,
      "two lengths": "POST /search HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "a length and chunks": "POST /search HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "an upgrade with a body":
        "POST /api/chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}",
    };
    for (const [name, request] of Object.entries(requests)) {
      test(`${name}: a problem in our form, and the connection ends`, async () => {
        const received = await member.raw(request);
        const [head = "", ...body] = received.split("\r\n\r\n");
        const [line = "", ...fields] = head.split("\r\n");
        const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1]);
        assert.ok(status >= 400 && status < 500, received.slice(0, 300));
        const headers = Object.fromEntries(
          fields.map((field) => [field.slice(0, field.indexOf(":")).toLowerCase(), field.slice(field.indexOf(":") + 2)]),
        );
        assertHouseAnswer({ status, headers, text: body.join("\r\n\r\n") });
        assert.equal(headers["connection"], "close");
      });
    }
  });

  test("of a route that there is not, and of a method that it does not take", async () => {
    for (const path of ["/", "/nothing", "/users/u1/more", "/admin", "/admin/v1/nothing", "/v1/nothing", "/metrics", "/health"]) {
      const reply = await member.get(path);
      assert.deepEqual([reply.status, reply.code], [404, "not_found"], path);
    }
    for (const [method, path, allow] of [
      ["PUT", "/users", "GET, HEAD"],
      ["GET", "/users/create", "POST"],
      ["POST", "/users/u1", "GET, HEAD, PATCH, DELETE"],
      ["OPTIONS", "/api/chat", "POST"],
      ["OPTIONS", "/tenant/v1", "GET, HEAD, PATCH"],
    ] as const) {
      const reply = await member.send(method, path);
      assert.deepEqual([reply.status, reply.code, reply.headers["allow"]], [405, "method_not_allowed", allow], `${method} ${path}`);
    }
  });

  test("to HEAD are those to GET without the body, with the same rights", async () => {
    // only the paths are read
    const reads = createRouteTable({} as Services).main.filter(
      ({ method, accept, path }) => method === "GET" && !accept && !path.includes("{"),
    );
    for (const { path, access } of reads) {
      const client = access.realm === "platform" ? freehold.trusted(freehold.platform.viewer) : freehold.as(a.admin);
      const [get, head] = [await client.get(path), await client.send("HEAD", path)];
      assert.deepEqual([head.status, head.text, head.headers["content-type"]], [get.status, "", get.headers["content-type"]], path);
      if (access.realm !== "public") assert.equal((await freehold.as({}).send("HEAD", path)).status, 401, path);
    }
  });

  test("without a credential ask for one, in one form for all", async () => {
    const reply = await freehold.as({}).get("/users");
    assert.deepEqual([reply.status, reply.headers["www-authenticate"]], [401, "Bearer"]);
  });

  test("are kept by no cache, but for documents that are the same for all and were given to nobody in particular", async () => {
    for (const path of ["/openapi.json", "/.well-known/freehold/jwks.json"]) {
      assert.equal((await freehold.as({}).get(path)).headers["cache-control"], "public, max-age=300");
      const own = await member.get(path);
      assert.equal(own.headers["cache-control"], "private, no-store", "the caller's own rate stands beside it");
      assert.ok(own.headers["ratelimit"]);
    }
    assert.equal((await member.get("/users")).headers["cache-control"], "private, no-store");
  });

  test("say what is wrong in the tenant's own words: in the language asked for, then in its own, then in ours", async () => {
    const title = async (language: string | undefined, path = "/users/nobody"): Promise<unknown> =>
      (await member.get(path, language === undefined ? {} : { headers: { "accept-language": language } })).json()["title"];
    const [de, en] = ["Hier ist nichts (a)", "Nothing here (a)"];
    const answers: readonly (readonly [string | undefined, string])[] = [
      [undefined, de],
      ["en", en],
      ["en-GB,en;q=0.9", en],
      ["fr, en;q=0.5", en],
      ["fr", de],
      ["de;q=0.1, en;q=0.9", en],
      ["en;q=0", de],
      ["*", de],
      [`${"x,".repeat(5_000)}en`, de],
      ["\u00ff", de],
    ];
    for (const [language, text] of answers) assert.equal(await title(language), text, language);
    assert.equal(await title("en", "/nothing"), en);
    assert.equal((await member.send("PUT", "/users")).json()["title"], "This address does not take that method.");
    const ofB = await freehold.trusted(b.member).get("/users/nobody", { headers: { "accept-language": "en" } });
    assert.equal(ofB.json()["title"], `Nothing here (b) ${CANARY}`);
  });

  test("in a stream and in a socket have the tenant's own words too", async () => {
    const { agentConfig } = (await freehold.as(a.admin).get("/tenant/v1")).json<{ agentConfig: { invokeUrl: string } }>();
    const errorTexts = { upstream_invalid: { de: "Unser Assistent ist verwirrt." } };
    assert.equal((await freehold.as(a.admin).send("PATCH", "/tenant/v1", { json: { errorTexts } })).status, 200);
    freehold.agents.a.behave((_request, response) => response.writeHead(500).end(agentConfig.invokeUrl));
    const reader = await member.stream("/api/chat", { message: "Hello" });
    assert.equal((await reader.event("error")).data["title"], "Unser Assistent ist verwirrt.");
    const socket = await member.socket();
    assert.ok(socket instanceof ChatSocket);
    socket.send({ message: "Hello" });
    assert.equal((await socket.next("error"))["title"], "Unser Assistent ist verwirrt.");
    socket.close();
    freehold.agents.a.behave();
  });

  test("of a broken database say that it is our fault and no more; the log has the cause", async () => {
    await freehold.sql("alter table freehold.documents rename to documents_away");
    try {
      for (const request of [member.get("/documents"), member.get("/documents/doc-1"), member.post("/documents", { text: "x" })]) {
        const reply = await request;
        assert.deepEqual([reply.status, reply.code], [500, "internal"]);
        assert.deepEqual(Object.keys(reply.json()).toSorted(), ["code", "requestId", "status", "title", "type"]);
        const line = freehold.logLines.find((each) => each.includes(String(reply.headers["x-request-id"])));
        assert.match(line ?? "", /42P01/);
      }
      assert.equal((await member.get("/users")).status, 200, "the rest goes on");
    } finally {
      await freehold.sql("alter table freehold.documents_away rename to documents");
    }
    assert.equal((await member.get("/documents")).status, 200);
  });

  test("while the database's connections are cut are ours to give, and soon the usual ones again", async () => {
    await freehold.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    );
    const replies = await Promise.all(Array.from({ length: 20 }, () => member.get("/documents")));
    for (const { status, code } of replies)
      assert.ok(status === 200 || ["dependency_unavailable", "overloaded"].includes(code), `${status} ${code}`);
    await until("it answers again", async () => (await member.get("/documents")).status === 200);
    await until("changes are followed again", async () => {
      const made = await freehold.as(a.admin).post("/tenant/v1/keys", { name: "after" });
      return made.status === 201;
    });
  });

  test("leave nothing in the log of what was said or proved", async () => {
    const secret = "a-sentence-that-nobody-may-log";
    await member.post("/api/chat", { message: secret, metadata: { note: secret } });
    await member.post("/documents", { text: secret, title: secret });
    await member.post("/search", { query: secret });
    await member.get(`/users?after=${secret}`);
    await member.post("/api/chat", { message: secret, sessionId: secret });
    const tokens = Object.values(freehold.credentials).flatMap(({ member: m, admin, key }) =>
      [m, admin, key].flatMap((each) => Object.values(each)),
    );
    for (const line of freehold.logLines) {
      assert.ok(!line.includes(secret), line);
      for (const token of tokens) assert.ok(!line.includes(token.replace("Bearer ", "")), "a credential stands in the log");
    }
  });
});
