import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";

const freehold = await startFreehold();
const operator = freehold.trusted(freehold.platform.admin);
const { a, b } = freehold.credentials;

const DOCUMENT = {
  providers: { main: { kind: "openai", baseUrl: "http://127.0.0.1:9/v1" } },
  models: { "gpt-small": { provider: "main", prices: [{ from: "2026-01-01", input: 0.15, output: 0.6 }] } },
  routes: { fast: { targets: [{ model: "gpt-small" }] } },
  plans: { "*": { models: ["fast"] } },
};

describe("settings of models", () => {
  guard(freehold);

  test("are refused with the place of the mistake: an unknown member, a name that is not there, an address with credentials", async () => {
    for (const [document, code, field] of [
      [{ ...DOCUMENT, moodels: {} }, "unknown_field", "document.moodels"],
      [{ ...DOCUMENT, providers: {} }, "invalid_json", "document.models.gpt-small.provider"],
      [{ ...DOCUMENT, routes: { fast: { targets: [{ model: "gpt-large" }] } } }, "invalid_json", "document.routes.fast.targets.0.model"],
      [
        { ...DOCUMENT, providers: { main: { kind: "openai", baseUrl: "https://me:secret@example.com/v1" } } },
        "invalid_settings",
        "providers.main.baseUrl",
      ],
      [{ ...DOCUMENT, providers: { main: { kind: "azure" } } }, "invalid_json", "document.providers.main.baseUrl"],
      [{ providers: { main: { kind: "openai", headers: { authorization: "x" } } } }, "invalid_json", "document.providers.main.headers"],
    ] as const) {
      const reply = await operator.send("PUT", "/admin/v1/models", { json: { document } });
      assert.deepEqual([reply.code, reply.json()["field"]], [code, field], reply.text);
    }
  });

  test("of a version that is not the stored one change nothing", async () => {
    const first = await operator.send("PUT", "/admin/v1/models", { json: { document: DOCUMENT } });
    const { version } = first.json<{ version: number }>();
    const second = await operator.send("PUT", "/admin/v1/models", { json: { document: DOCUMENT, version } });
    assert.equal(second.status, 200, second.text);
    const late = await operator.send("PUT", "/admin/v1/models", { json: { document: {}, version } });
    assert.equal(late.code, "conflict");
    const now = (await operator.get("/admin/v1/models")).json<{ document: typeof DOCUMENT; version: number }>();
    assert.deepEqual([now.version, Object.keys(now.document.models)], [version + 1, ["gpt-small"]]);
  });

  test("show no key again: neither an answer, nor the database, nor the log has it", async () => {
    const [ofPlatform, ofTenant] = ["sk-platform-canary-1f0e", "sk-tenant-canary-77ab"];
    assert.equal((await operator.send("PUT", "/admin/v1/models/keys/main", { json: { key: ofPlatform } })).status, 204);
    const admin = freehold.as(a.admin);
    const own = { providers: { mine: { kind: "openai" } } };
    assert.equal((await admin.send("PUT", "/tenant/v1/models", { json: { document: own } })).status, 200);
    assert.equal((await admin.send("PUT", "/tenant/v1/models/keys/mine", { json: { key: ofTenant } })).status, 204);
    const shown = [await operator.get("/admin/v1/models"), await admin.get("/tenant/v1/models"), await operator.get("/admin/v1/audit")];
    const rows = await freehold.sql(
      `select t::text from freehold.model_platform t union all select t::text from freehold.model_platform_keys t
       union all select t::text from freehold.model_tenants t union all select t::text from freehold.model_keys t`,
    );
    const everything = [...shown.map(({ text }) => text), JSON.stringify(rows), ...freehold.logLines].join("\n");
    for (const canary of [ofPlatform, ofTenant]) {
      assert.ok(!everything.includes(canary));
      assert.ok(!everything.includes(Buffer.from(canary).toString("hex")));
    }
    assert.deepEqual(shown[1]?.json()["keys"], ["mine"]);
  });

  test("of a tenant lead to no address inside, and to no provider that it has not set", async () => {
    const admin = freehold.as(a.admin);
    for (const baseUrl of ["http://10.0.0.7/v1", "https://169.254.169.254/v1", "https://db.internal/v1", "ftp://example.com"]) {
      const document = { providers: { inside: { kind: "openai-compatible", baseUrl } } };
      const reply = await admin.send("PUT", "/tenant/v1/models", { json: { document } });
      assert.equal(reply.code, "egress_denied", `${baseUrl}: ${reply.text}`);
    }
    assert.equal((await admin.send("PUT", "/tenant/v1/models/keys/nobodys", { json: { key: "x" } })).code, "not_found");
  });

  test("of one tenant are no other's", async () => {
    const own = { providers: { "canary-provider": { kind: "openai" } } };
    assert.equal((await freehold.trusted(b.admin).send("PUT", "/tenant/v1/models", { json: { document: own } })).status, 200);
    const seen = await freehold.as(a.admin).get("/tenant/v1/models");
    assert.ok(!seen.text.includes("canary-provider"));
  });

  test("that were changed by one process are seen by another", async () => {
    const other = await freehold.second();
    const tenant = await other.services.registry.find("a" as never);
    assert.ok(tenant);
    assert.equal((await other.services.models.catalogue(tenant)).routes.has("fresh"), false);
    const document = { ...DOCUMENT, routes: { fresh: { targets: [{ model: "gpt-small" }] } }, plans: { "*": { models: ["fresh"] } } };
    assert.equal((await operator.send("PUT", "/admin/v1/models", { json: { document } })).status, 200);
    await until("the other process to see it", async () => (await other.services.models.catalogue(tenant)).routes.has("fresh"));
  });

  test("that do not fit any more close their tenant's models, with what to do, until they are set again; other tenants have theirs", async () => {
    const own = (document: object) => freehold.as(a.admin).send("PUT", "/tenant/v1/models", { json: { document } });
    assert.equal((await operator.send("PUT", "/admin/v1/models", { json: { document: DOCUMENT } })).status, 200);
    assert.equal((await own({})).status, 200);
    await freehold.sql(
      `update freehold.model_tenants m set own = '{"guardrails": {"deny": {"words": "halibut"}}}' from freehold.tenants t where t.uuid = m.tenant_id and t.id = 'a'`,
    );
    const other = await freehold.second();
    const ask = (url: string, tenant: string): Promise<Response> =>
      fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${tenant}:user-1` } });
    const [ofA, ofB] = [await ask(other.url, "a"), await ask(other.url, "b")];
    const text = await ofA.text();
    assert.deepEqual([ofA.status, ofB.status], [422, 200], text);
    assert.ok(text.includes("PUT /tenant/v1/models") && !text.includes("halibut"), text);
    const settings = await freehold.as(a.admin).get("/tenant/v1/models");
    assert.deepEqual([settings.code, settings.text.includes("PUT /tenant/v1/models")], ["invalid_settings", true], settings.text);
    assert.equal((await own({})).status, 200);
    await until("the other process to open them again", async () => (await ask(other.url, "a")).status === 200);
  });
});
