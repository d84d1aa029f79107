import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { ALLOWED_ORIGIN, BASE_DOMAIN, clockBehind, guard, startFreehold } from "../support/freehold.ts";
import { ChatSocket, type Client, Reply } from "../support/freehold-client.ts";
import { bearer, SESSIONS } from "../support/freehold-seed.ts";
import { tenantIdOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { sendRaw } from "./raw-request.ts";

const freehold = await startFreehold();
const { a, b, s } = freehold.credentials;

async function opened(client: Client, headers: Readonly<Record<string, string>> = {}): Promise<ChatSocket> {
  const socket = await client.socket("/api/chat/socket", headers);
  assert.ok(socket instanceof ChatSocket, socket instanceof Reply ? socket.text : "");
  return socket;
}

async function refused(
  client: Client,
  path = "/api/chat/socket",
  headers: Readonly<Record<string, string>> = {},
): Promise<readonly [number, string]> {
  const reply = await client.socket(path, headers);
  if (reply instanceof Reply) return [reply.status, reply.code];
  reply.close();
  return [101, ""];
}

describe("what browsers hold open or send along", () => {
  guard(freehold);

  describe("a WebSocket", () => {
    test("opens for a tenant's own credential only, by the same rules as any request", async () => {
      const nobody = freehold.as({});
      assert.deepEqual(await refused(nobody), [401, "unauthenticated"]);
      assert.deepEqual(await refused(freehold.as(a.revokedKey)), [401, "unauthenticated"]);
      assert.deepEqual(await refused(freehold.as(s.member)), [403, "tenant_suspended"]);
      assert.deepEqual(await refused(freehold.as(freehold.platform.admin)), [403, "forbidden"]);
      assert.deepEqual(await refused(freehold.as({ ...a.member, ...b.key })), [400, "ambiguous_credentials"]);
      assert.deepEqual(await refused(freehold.as(a.member), "/tenants/b/api/chat/socket"), [403, "tenant_mismatch"]);
      assert.deepEqual(await refused(freehold.as(a.member), "/tenants/a/api/chat/socket"), [101, ""]);
      assert.deepEqual(await refused(freehold.as(a.member), "/users"), [404, "not_found"]);
    });

    test("opens for a page of its own host or an allowed one, and for no other site", async () => {
      const client = freehold.as(a.member);
      const answers: Readonly<Record<string, number>> = {
        [`http://${client.host}`]: 101,
        [`https://${client.host}`]: 101,
        [ALLOWED_ORIGIN]: 101,
        "https://evil.example": 403,
        [`http://b.${BASE_DOMAIN}`]: 403,
        [`http://${client.host}.evil.example`]: 403,
        [`http://evil.example/${client.host}`]: 403,
        [`http://${client.host}@evil.example`]: 403,
        [`${ALLOWED_ORIGIN}.evil.example`]: 403,
        "http://localhost": 403,
        null: 403,
        "": 403,
      };
      for (const [origin, status] of Object.entries(answers))
        assert.equal((await refused(client, "/api/chat/socket", { origin }))[0], status, origin);
    });

    test("is asked for by an upgrade: anything else is told so, and a session's cookie counts as any credential", async () => {
      assert.deepEqual([(await freehold.as(a.member).get("/api/chat/socket")).code], ["malformed_request"]);
      const cookie = `freehold_session=${(a.member["authorization"] ?? "").slice("Bearer ".length)}`;
      assert.deepEqual(await refused(freehold.as({ cookie })), [101, ""]);
      assert.deepEqual(await refused(freehold.as({ cookie }), "/api/chat/socket", { origin: "https://evil.example" }), [403, "forbidden"]);
    });

    test("with a wrong handshake is refused, and nothing is left waiting", async () => {
      const key = `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`;
      const upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
      const wrong = [
        [...upgrade, key], // no version
        [...upgrade, key, "Sec-WebSocket-Version: 7"],
        [...upgrade, "Sec-WebSocket-Version: 13"],
        [...upgrade, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"],
      ];
      for (const lines of wrong) {
        const text = await freehold
          .as(a.member)
          .raw(
            ["GET /api/chat/socket HTTP/1.1", "Host: localhost", `authorization: ${a.member["authorization"]}`, ...lines, "", ""].join(
              "\r\n",
            ),
          );
        assert.match(text, /^HTTP\/1\.1 4\d\d /);
      }
      const other = await sendRaw(freehold.as(a.member), {
        method: "GET",
        target: "/api/chat/socket",
        lines: ["Connection: close, Upgrade", "Upgrade: h2c"],
      });
      assert.equal(other.status, 400);
    });

    test("is one tenant's: a message that names b, or a session of b, is refused and the socket goes on", async () => {
      const received = freehold.agents.b.received.length;
      const before = await freehold.fingerprint("b");
      const socket = await opened(freehold.as(a.member));
      const refusals: readonly [unknown, string][] = [
        [{ message: "Hello", tenantId: "b" }, "tenant_mismatch"],
        [{ message: "Hello", tenantId: "" }, "invalid_tenant_id"],
        [{ message: "Hello", sessionId: `b.web.${SESSIONS[0]}` }, "not_found"],
        [{ message: "Hello", sessionId: `a.web.${SESSIONS[1]}` }, "not_found"],
        [{ message: "Hello", userId: "u2" }, "forbidden"],
        [{ message: "Hello", isAdmin: true }, "unknown_field"],
        ['{"message":"Hello","tenantId":"a","tenantId":"b"}', "invalid_json"],
        ["Hello", "invalid_json"],
      ];
      for (const [message, code] of refusals) {
        socket.send(message);
        assert.equal((await socket.next("error"))["code"], code);
      }
      socket.send({ message: "Hello", tenantId: "a" });
      assert.equal((await socket.next("done"))["response"], "The answer of a.");
      socket.close();
      assert.equal(freehold.agents.b.received.length, received);
      assert.deepEqual(await freehold.fingerprint("b"), before);
    });

    test("is over with the next message once its key is revoked", async () => {
      const made = await freehold.as(a.admin).post("/tenant/v1/keys", { name: "soon revoked", scopes: ["chat"] });
      const socket = await opened(freehold.as({ "x-api-key": String(made.json()["key"]) }));
      socket.send({ message: "Hello" });
      await socket.next("done");
      assert.equal((await freehold.as(a.admin).send("DELETE", `/tenant/v1/keys/${String(made.json()["id"])}`)).status, 204);
      const received = freehold.agents.a.received.length;
      socket.send({ message: "Am I still here?" });
      assert.equal((await socket.next("error"))["code"], "unauthenticated");
      assert.equal((await until("the socket is closed", () => socket.closed)).code, 1008);
      assert.equal(freehold.agents.a.received.length, received);
    });

    test("is over with the next message once its token has expired", async () => {
      // ended 57 seconds ago, by clocks that may differ by a minute: good for moments more
      const token = freehold
        .issuerAt(clockBehind(66_000))
        .issue({ sub: "u1", tenantId: tenantIdOf("a"), roles: ["member"], lifetimeMs: 9_000 });
      const socket = await opened(freehold.as(bearer(token)));
      const refusedNow = async (): Promise<boolean> => (await freehold.as(bearer(token)).get("/api/sessions")).status === 401;
      await until("the token has expired", refusedNow);
      socket.send({ message: "Am I still here?" });
      assert.equal((await socket.next("error"))["code"], "unauthenticated");
      assert.equal((await until("the socket is closed", () => socket.closed)).code, 1008);
    });

    test("follows the tenant's settings from message to message", async () => {
      const socket = await opened(freehold.as(a.member));
      const admin = freehold.as(a.admin);
      assert.equal((await admin.send("PATCH", "/tenant/v1", { json: { web: { enabled: false } } })).status, 200);
      socket.send({ message: "Hello" });
      assert.equal((await socket.next("error"))["code"], "forbidden");
      assert.equal((await admin.send("PATCH", "/tenant/v1", { json: { web: { enabled: true } } })).status, 200);
      socket.send({ message: "Hello" });
      await socket.next("done");
      socket.close();
    });
  });

  describe("a session's cookie", () => {
    const cookie = `freehold_session=${(a.admin["authorization"] ?? "").slice("Bearer ".length)}`;

    test("changes nothing for another site, also where no body is needed", async () => {
      const before = await freehold.fingerprint("everything");
      const target = "/tenant/v1/dead-letters/index-users/0198c0de-0000-7000-8000-000000000001/redrive";
      for (const origin of ["https://evil.example", "null", `http://b.${BASE_DOMAIN}`]) {
        const reply = await freehold.as({ cookie }).send("POST", target, { headers: { origin } });
        assert.deepEqual([reply.status, reply.code], [403, "forbidden"], origin);
      }
      assert.deepEqual(await freehold.fingerprint("everything"), before);
    });

    test("works for the own site and for who is no browser", async () => {
      const client = freehold.as({ cookie });
      assert.equal((await client.post("/search", { query: "refunds" }, { headers: { origin: `http://${client.host}` } })).status, 200);
      assert.equal((await client.post("/search", { query: "refunds" })).status, 200);
      assert.equal((await client.get("/users")).status, 200);
    });

    test("is not an API key and not a development token", async () => {
      for (const text of [a.key["x-api-key"] ?? "", "a:u1"]) {
        const reply = await freehold.as({ cookie: `freehold_session=${text}` }).get("/users");
        assert.deepEqual([reply.status, reply.code], [401, "unauthenticated"]);
      }
    });
  });
});
