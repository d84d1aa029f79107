import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRouteTable, type Services } from "../../src/control/index.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { BODY_VECTORS } from "./body-vectors.ts";
import { MAIN_ROWS } from "./decision-rows.ts";

const freehold = await startFreehold();
const { a } = freehold.credentials;
// only paths and schemas are read
const withBody = createRouteTable({} as Services).main.filter(({ body }) => body !== undefined);

describe("bodies", () => {
  guard(freehold);

  for (const { method, path } of withBody) {
    const row = MAIN_ROWS[`${method} ${path}`];
    if (!row) continue;
    const credential = path.startsWith("/admin/") ? freehold.platform.admin : a.admin;

    test(`${method} ${path} refuses what is no good body, never by a 500, and stores nothing of it`, async () => {
      const client = freehold.as(credential);
      const { path: target } = await row.target(freehold, "a");
      const [before, received] = [await freehold.fingerprint("everything"), freehold.agents.a.received.length];
      for (const { name, body, headers = {}, codes } of BODY_VECTORS) {
        const { code, text, status } = await client.send(method, target, { body, headers });
        assert.ok(codes.includes(code) && status < 500, `${name}: ${status} ${text.slice(0, 300)}`);
      }
      assert.deepEqual(await freehold.fingerprint("everything"), before);
      assert.equal(freehold.agents.a.received.length, received);
      assert.equal(Object.hasOwn(Object.prototype, "isAdmin"), false);
    });

    test(`${method} ${path} knows no field besides its own, and says which`, async () => {
      const { path: target, json } = await row.target(freehold, "a");
      for (const field of ["isAdmin", "tenant_id", "roleBinding", "constructor", "toString"]) {
        const reply = await freehold.as(credential).send(method, target, { json: { ...(json as object), [field]: "x" } });
        assert.deepEqual([reply.status, reply.code, reply.json()["field"]], [400, "unknown_field", field], reply.text);
      }
    });
  }

  describe("a tenant's own admin", () => {
    const assigned: Readonly<Record<string, unknown>> = {
      plan: "enterprise",
      quotas: { maxAIRequests: 1_000_000_000 },
      rate: { requestsPerSecond: 1_000_000, burst: 1_000_000 },
      isolationLevel: "isolated",
      features: ["custom_models"],
      billing: { monthlyPriceMinor: 0 },
      status: "active",
      domains: ["ai.b.example"],
      id: "b",
      uuid: "0198c0de-0000-7000-8000-000000000001",
      tenantId: "b",
      createdAt: "2020-01-01T00:00:00Z",
      roles: ["admin"],
    };
    for (const [field, value] of Object.entries(assigned)) {
      test(`cannot set ${field}`, async () => {
        const before = await freehold.fingerprint("everything");
        for (const credential of [a.admin, a.key]) {
          const reply = await freehold.as(credential).send("PATCH", "/tenant/v1", { json: { name: "Mine", [field]: value } });
          assert.deepEqual([reply.status, reply.code, reply.json()["field"]], [400, "unknown_field", field]);
        }
        assert.deepEqual(await freehold.fingerprint("everything"), before);
      });
    }

    test("cannot point its agent at the inside, in any spelling", async () => {
      const before = await freehold.fingerprint("a");
      const inside = [
        "http://169.254.169.254/",
        "https://10.0.0.1/",
        "https://metadata.google.internal/",
        "file:///etc/passwd",
        "https://[::ffff:10.0.0.1]/",
      ];
      for (const invokeUrl of [...inside, "https://user@example.com/", "https://db.svc/", "gopher://x/", "https://0x0a000001/"]) {
        const reply = await freehold.as(a.admin).send("PATCH", "/tenant/v1", { json: { agentConfig: { invokeUrl } } });
        assert.deepEqual([reply.status, reply.code], [403, "egress_denied"], invokeUrl);
      }
      assert.deepEqual(await freehold.fingerprint("a"), before);
    });

    test("makes no key with roles, scopes or a tenant that there are not", async () => {
      const before = await freehold.fingerprint("everything");
      const wrong = [
        { roles: ["viewer"] },
        { roles: ["operator"] },
        { scopes: ["*"] },
        { scopes: ["platform"] },
        { roles: [] },
        { scopes: [] },
        { expiresInDays: 0 },
      ];
      for (const part of wrong)
        assert.equal((await freehold.as(a.admin).post("/tenant/v1/keys", { name: "x", ...part })).code, "invalid_json");
      for (const field of ["tenantId", "tenant_id", "id", "hash", "createdBy"])
        assert.equal((await freehold.as(a.admin).post("/tenant/v1/keys", { name: "x", [field]: "b" })).code, "unknown_field");
      assert.deepEqual(await freehold.fingerprint("everything"), before);
    });

    test("makes no user with a platform role, a version or somebody else's id", async () => {
      const client = freehold.as(a.admin);
      assert.equal((await client.post("/users/create", { name: "x", roles: ["viewer"] })).code, "invalid_json");
      for (const field of ["version", "createdAt", "tenant_id"])
        assert.equal((await client.post("/users/create", { name: "x", [field]: 1 })).code, "unknown_field");
      for (const id of ["create", "../u1", "a/b", "", " ", "-x", "x".repeat(129), "ü"])
        assert.equal((await client.post("/users/create", { id, name: "x" })).code, "invalid_json", id);
    });

    test("meets the second use of an id or an address as a conflict, without a word of the database", async () => {
      const client = freehold.as(a.admin);
      const conflicts: [string, string, unknown][] = [
        ["POST", "/users/create", { id: "u1", name: "x" }],
        ["POST", "/users/create", { id: "new", name: "x", email: "U2@EXAMPLE.COM" }],
        ["PATCH", "/users/u1", { email: "u2@example.com" }],
        ["PATCH", "/tenant/v1", { name: "x", version: 999 }],
      ];
      for (const [method, path, json] of conflicts) {
        const reply = await client.send(method, path, { json });
        assert.deepEqual([reply.status, reply.code], [409, "conflict"], reply.text);
      }
      assert.equal((await client.get("/users/new")).status, 404);
    });
  });

  test("text in any script, and a title cut inside a character, is kept as it is", async () => {
    const client = freehold.as(a.member);
    for (const [at, text] of texts().entries()) {
      const id = `text-${at}`;
      assert.equal((await client.post("/documents", { id, text })).status, 201, text);
      const shown = (await client.get(`/documents/${id}`)).json<{ text: string; title: string }>();
      assert.equal(shown.text, text.trim());
      assert.ok(shown.title.isWellFormed() && text.trim().startsWith(shown.title));
    }
  });

  test("what stands behind a request that ends its connection is never answered as a request", async () => {
    const inner = "GET /tenant/v1/keys HTTP/1.1\r\nHost: x\r\n\r\n";
    for (const length of [inner.length, 0]) {
      const lines = ["Host: localhost", `authorization: ${a.admin["authorization"]}`, `Content-Length: ${length}`, "Connection: close"];
      const received = await freehold.as(a.admin).raw(["POST /nowhere HTTP/1.1", ...lines, "", inner].join("\r\n"));
      assert.ok((received.match(/HTTP\/1\.1 \d{3}/g)?.length ?? 0) <= 1, received);
      assert.ok(!received.includes('"keys"'));
    }
  });
});

function texts(): readonly string[] {
  return [
    `${"x".repeat(119)}😀 and more`,
    `${"x".repeat(120)}😀`,
    "שלום עולם",
    "日本語の文書です。",
    "a\u202eb",
    "null",
    "'; drop table users; --",
    "{{7*7}} ${7*7} <script>",
    "\\u0000",
    "e\u0301",
  ];
}
