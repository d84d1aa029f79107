import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, describe, test } from "node:test";
import { BASE_DOMAIN, guard, startFreehold } from "../support/freehold.ts";
import { bearer } from "../support/freehold-seed.ts";
import { type RawReply, sendRaw } from "./raw-request.ts";

const freehold = await startFreehold();
const { a, b } = freehold.credentials;
const agent = freehold.agents.a;
const client = freehold.as(a.member);
const HELLO = JSON.stringify({ message: "Hello" });
const tokenOfB = (b.admin["authorization"] ?? "").slice("Bearer ".length);

function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"));
}

/** What comes of each vector of header-vectors.json, by its first line up to the value's twentieth character. */
const HEADER_ANSWERS: Readonly<Record<string, readonly [status: number, code: string]>> = {
  "X-Tenant-ID: b": [403, "tenant_mismatch"],
  "X-Tenant-ID: a": [400, "malformed_request"],
  "x-TENANT-id: b": [403, "tenant_mismatch"],
  "X_Tenant_ID: b": [200, ""],
  "X-Tenant-ID : b": [400, "malformed_request"],
  "X-Tenant-ID:": [400, "invalid_tenant_id"],
  "Connection: X-Tenant-ID, keep-alive": [200, ""],
  "Connection: authorization": [200, ""],
  "X-Forwarded-Host: b.api.example": [200, ""],
  "Host: b.api.example": [400, "malformed_request"],
  "Host: a.api.example/#": [400, "malformed_request"],
  "X-Original-URL: /admin": [200, ""],
  "X-HTTP-Method-Override: DELETE": [200, ""],
  "Authorization: Bearer A": [400, "malformed_request"],
  "Authorization: Bearer <jwt of a>": [400, "ambiguous_credentials"],
  "Transfer-Encoding: chunked": [200, ""],
  "Upgrade: websocket": [400, "malformed_request"],
  "X-Request-ID: aaaaaaaaaaaaaaaaaaaaa": [200, ""],
  "Idempotency-Key: k": [200, ""],
  "__proto__: x": [200, ""],
};

/** What comes of the targets of path-vectors.json that are not refused as malformed. */
const PATH_ANSWERS: Readonly<Record<string, readonly [status: number, code: string]>> = {
  // let in as a; there is no such route
  "/tenants/a/x": [404, "not_found"],
  "/tenants/a?tenant_id=b": [404, "not_found"],
  // the vector asks for 404; by the contract a disagreement is 403, and it can tell nothing: the answer is the same for a tenant that never was
  "/tenants/b/x": [403, "tenant_mismatch"],
  "/Tenants/b/x": [404, "not_found"],
  "/tenants/A/x": [400, "invalid_tenant_id"],
  "/tenants/a./x": [400, "invalid_tenant_id"],
};

describe("what a request says about its tenant", () => {
  guard(freehold);
  beforeEach(() => void agent.received.splice(0));

  describe("header fields", () => {
    const { vectors } = readVectors("header-vectors") as { vectors: { h: string[]; trailer?: string[] }[] }; // the file's own shape
    test("every vector has an answer here", () => {
      assert.deepEqual(vectors.map(({ h }) => keyOf(h)).toSorted(), Object.keys(HEADER_ANSWERS).toSorted());
    });
    for (const { h, trailer } of vectors) {
      test(`${h.map((line) => line.slice(0, 60)).join(" + ")}: ${HEADER_ANSWERS[keyOf(h)]?.join(" ")}`, async () => {
        const lines = h.map((line) =>
          line
            .replace("<jwt of a>", (a.member["authorization"] ?? "").slice("Bearer ".length))
            .replace("session=<session of b>", `freehold_session=${tokenOfB}`),
        );
        const reply = await sendRaw(client, { lines, body: HELLO, ...(trailer && { trailers: trailer }) });
        assert.deepEqual([reply.status, reply.code], HEADER_ANSWERS[keyOf(h)]);
        if (reply.status === 200) assertServedAsA(reply, lines);
        else assert.equal(agent.received.length, 0, "a refused request was carried out");
      });
    }

    test("names that only look like ours prove nothing and go nowhere", async () => {
      const names = [
        "X_Tenant_ID",
        "X.Tenant.ID",
        "x-tenant_id",
        "X-TenantID",
        "Tenant-ID",
        "X-Tenant",
        "X-Tenant-Name",
        "X-Tenant-Context",
      ];
      const more = [
        "X-Forwarded-Prefix: /tenants/b",
        "Forwarded: host=b.freehold.example",
        "baggage: tenant.id=b",
        "X-Rewrite-URL: /tenants/b/users",
      ];
      for (const line of [...names.map((name) => `${name}: b`), ...more]) {
        agent.received.splice(0);
        assertServedAsA(await sendRaw(client, { lines: [line], body: HELLO }), [line]);
      }
    });

    test("a field that comes from outside is neither our request id nor our trace", async () => {
      const outside = "00-11111111111111111111111111111111-2222222222222222-01";
      const reply = await sendRaw(client, { lines: [`X-Request-ID: ${"f".repeat(36)}`, `traceparent: ${outside}`], body: HELLO });
      assert.ok(!reply.text.includes("ffffffff"));
      assert.ok(!JSON.stringify(agent.received).includes("22222222"));
    });

    test("no answer invites another site", async () => {
      const reply = await client.get("/users", { headers: { origin: "https://evil.example" } });
      assert.equal(reply.headers["access-control-allow-origin"], undefined);
    });
  });

  describe("paths", () => {
    const { vectors } = readVectors("path-vectors") as { vectors: { target: string }[] }; // the file's own shape
    for (const { target } of vectors) {
      const [status, code] = PATH_ANSWERS[target] ?? [400, "malformed_request"];
      test(`${target.slice(0, 60)}: ${status} ${code}`, async () => {
        const reply = await sendRaw(client, { method: "GET", target });
        assert.deepEqual([reply.status, reply.code], [status, code]);
        // a's own text for it: whoever was let in was let in as a
        if (code === "not_found") assert.match(reply.text, /Hier ist nichts \(a\)/);
      });
    }

    test("a tenant that never was is refused in the same bytes as b", async () => {
      const replies = ["/tenants/b/users", "/tenants/never-was/users"].map((target) => sendRaw(client, { method: "GET", target }));
      const [ofB, ofNobody] = (await Promise.all(replies)).map(({ text }) =>
        text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|date: .*|ratelimit: .*/gi, ""),
      );
      assert.equal(ofB, ofNobody);
    });
  });

  test("two credentials are refused in every pair and order, also of one tenant", async () => {
    const carriers = (of: typeof a, token: string): string[] => [
      `Authorization: Bearer ${token}`,
      `x-api-key: ${of.key["x-api-key"]}`,
      `api-key: ${of.key["x-api-key"]}`,
      `x-goog-api-key: ${of.key["x-api-key"]}`,
      `Cookie: freehold_session=${token}`,
    ];
    const tokenOfA = (a.admin["authorization"] ?? "").slice("Bearer ".length);
    const nobody = freehold.as({});
    for (const [at, first] of carriers(a, tokenOfA).entries()) {
      for (const second of [...carriers(b, tokenOfB), ...carriers(a, tokenOfA)].filter((_line, other) => other % 5 !== at)) {
        for (const lines of [
          [first, second],
          [second, first],
        ]) {
          const reply = await sendRaw(nobody, { method: "GET", target: "/users", lines });
          assert.deepEqual([reply.status, reply.code], [400, "ambiguous_credentials"], lines.map((line) => line.slice(0, 20)).join(" + "));
        }
      }
    }
  });

  test("a credential in the address is refused, whosever it is", async () => {
    const key = a.key["x-api-key"] ?? "";
    for (const query of [`api_key=${key}`, `access_token=${tokenOfB}`, `key=${tokenOfB}`, `q=${key}`]) {
      const reply = await sendRaw(freehold.as({}), { method: "GET", target: `/users?${query}` });
      assert.deepEqual([reply.status, reply.code], [400, "malformed_request"]);
    }
    assert.ok(
      freehold.logLines.every((line) => !line.includes(key)),
      "a key stands in the log",
    );
  });

  describe("hosts", () => {
    const answers: Readonly<Record<string, readonly [number, string]>> = {
      [`a.${BASE_DOMAIN}`]: [200, ""],
      [`A.${BASE_DOMAIN.toUpperCase()}:8080`]: [200, ""],
      [BASE_DOMAIN]: [200, ""],
      "ai.a.example": [200, ""],
      "other.example": [200, ""],
      [`b.${BASE_DOMAIN}`]: [403, "tenant_mismatch"],
      [`b.${BASE_DOMAIN}:443`]: [403, "tenant_mismatch"],
      [`never-was.${BASE_DOMAIN}`]: [403, "tenant_mismatch"],
      "ai.b.example": [403, "tenant_mismatch"],
      "AI.B.EXAMPLE": [403, "tenant_mismatch"],
      [`a.b.${BASE_DOMAIN}`]: [400, "invalid_tenant_id"],
      [`default.${BASE_DOMAIN}`]: [400, "invalid_tenant_id"],
      [`a.${BASE_DOMAIN}.`]: [400, "malformed_request"],
      [`.${BASE_DOMAIN}`]: [400, "malformed_request"],
      [`a_b.${BASE_DOMAIN}`]: [400, "malformed_request"],
      [`b.${BASE_DOMAIN}@a.${BASE_DOMAIN}`]: [400, "malformed_request"],
      "a b": [400, "malformed_request"],
      "a.example:99999": [400, "malformed_request"],
      "": [400, "malformed_request"],
    };
    for (const [host, answer] of Object.entries(answers)) {
      test(`${host || "(empty)"}: ${answer.join(" ")}`, async () => {
        const reply = await sendRaw(client, { method: "GET", target: "/users", lines: [`Host: ${host}`] });
        assert.deepEqual([reply.status, reply.code], answer);
      });
    }

    test("a host proves nothing by itself", async () => {
      const reply = await sendRaw(freehold.as({}), { method: "GET", target: "/users", lines: [`Host: a.${BASE_DOMAIN}`] });
      assert.deepEqual([reply.status, reply.code], [401, "unauthenticated"]);
    });
  });

  describe("tenant ids that are none", () => {
    const { reject, nonStrings } = readVectors("tenant-ids") as {
      reject: { name: string; value: string }[];
      nonStrings: unknown[];
    };
    for (const { name, value } of reject) {
      test(`${name} is refused in a field, a path and a body`, async () => {
        const field = await sendRaw(client, { method: "GET", target: "/users", lines: [`X-Tenant-ID: ${value}`] });
        // white space and line ends around the value are not part of it: what is left names another tenant
        const left = /^[a-z0-9-]{1,63}(?=\s*$|\r\n)/.exec(value)?.[0];
        if (
          left !== undefined &&
          !["", "null", "true", "default", "system", "public", "api", "internal", "self", "me"].includes(left) &&
          left !== value
        )
          assert.deepEqual([field.status, field.code], [403, "tenant_mismatch"]);
        else assert.equal(field.status, 400, field.text);
        const path = await sendRaw(client, { method: "GET", target: `/tenants/${encode(value)}/users` });
        assert.equal(path.status, 400, path.text);
        const body = await client.post("/search", { query: "x", tenantId: value });
        assert.ok(["invalid_tenant_id", "invalid_json"].includes(body.code), body.text);
      });
    }

    for (const value of nonStrings) {
      test(`${JSON.stringify(value)} is refused in a body, and stands for no default`, async () => {
        for (const path of ["/api/chat", "/search", "/documents"]) {
          const reply = await client.post(path, { message: "x", query: "x", text: "x", tenantId: value });
          assert.ok(["invalid_tenant_id", "unknown_field"].includes(reply.code), reply.text);
          const json = path === "/api/chat" ? { message: "x" } : path === "/search" ? { query: "x" } : { text: "x" };
          assert.equal((await client.post(path, { ...json, tenantId: value })).code, "invalid_tenant_id");
        }
        assert.equal(agent.received.length, 0);
      });
    }
  });

  test("an operator who names a tenant is refused: it would act as the tenant", async () => {
    for (const target of ["/tenants/a/users", "/tenants/a/admin/v1/tenants"]) {
      const reply = await sendRaw(freehold.as(freehold.platform.admin), { method: "GET", target });
      assert.deepEqual([reply.status, reply.code], [403, "forbidden"]);
    }
  });

  test("a development token with a tenant that is none is no credential", async () => {
    for (const token of ["default:u1", "b/../a:u1", ":u1", "a:", "A:u1", "a:b:u1", "undefined:u1", "null:u1", "constructor:u1"]) {
      const reply = await freehold.as(bearer(token)).get("/users");
      assert.deepEqual([reply.status, reply.code], [401, "unauthenticated"], token);
    }
  });
});

function keyOf([first = ""]: readonly string[]): string {
  return first.slice(0, first.indexOf(":") + 1 + (first.startsWith("X-Request-ID") ? 22 : 100));
}

/** Percent-encoded as far as the value can be; half a surrogate pair as the three bytes that some encoders make of it. */
function encode(value: string): string {
  return value.isWellFormed() ? encodeURIComponent(value) : `${encodeURIComponent(value.replace(/[\ud800-\udfff]/g, ""))}%ED%A0%81`;
}

/** Answered for a; the agent of a was told of a exactly once, and nothing of these lines. */
function assertServedAsA(reply: RawReply, lines: readonly string[]): void {
  assert.equal(reply.status, 200, reply.text);
  assert.equal(agent.received.length, 1);
  const raw = agent.received[0]?.rawHeaders ?? [];
  const names = raw.filter((_text, at) => at % 2 === 0).map((name) => name.toLowerCase().replaceAll(/[_.]/g, "-"));
  assert.equal(names.filter((name) => name === "x-tenant-id").length, 1);
  assert.equal(agent.received[0]?.headers["x-tenant-id"], "a");
  assert.equal(agent.received[0]?.headers["authorization"], undefined);
  for (const line of lines.filter((each) => !/^(?:connection|host|transfer-encoding|x-request-id|traceparent):/i.test(each)))
    assert.ok(!raw.includes(line.slice(line.indexOf(":") + 2)) || line.startsWith("Authorization"), `the agent received ${line}`);
}
