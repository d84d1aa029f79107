import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Tenant } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import {
  type Registry,
  tenantCreateSchema,
  tenantSelfUpdateSchema,
  type TenantUpdate,
  tenantUpdateSchema,
} from "../../src/tenancy/registry/index.ts";
import { eachEngine } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";
import { DENIED_URL, foundIn, freshId, input, openElsewhere, openRegistry } from "./registry-under-test.ts";

const QUOTAS = {
  maxUsers: 11,
  maxProjects: 12,
  maxAIRequests: 13,
  storageLimit: 14,
  computeLimit: 15,
  networkBandwidth: Number.MAX_SAFE_INTEGER,
};

/** Every setting there is, none of them the plan's. */
const WHOLE = {
  name: "Müller & Söhne ✓",
  plan: "professional",
  isolationLevel: "isolated",
  quotas: QUOTAS,
  rate: { requestsPerSecond: 0.5, burst: 3 },
  features: ["beta_search", "custom_models"],
  billing: { currency: "CHF", monthlyPriceMinor: 12_345, email: "bills@example.com" },
  locale: "de-CH",
  agentConfig: {
    invokeUrl: "https://agent.example.com/invoke",
    timeout: 1_234,
    protocol: "openai",
    concurrency: 7,
    model: "m-1",
    mcpServers: [{ name: "crm", url: "https://crm.example.com/mcp", tools: ["look_up"], secretHeader: "x-key" }],
  },
  web: { enabled: false },
  agent: { mcp: { one: "xoxb-bot-token", two: "xapp-app-token", three: "discord-token" } },
  errorTexts: { rate_limited: { de: "Zu viele Anfragen.", en: "Slow down." } },
  sessions: { retentionDays: 30, idleMinutes: 20 },
} as const;

function settingsOf({ uuid: _uuid, createdAt: _at, id: _id, ...settings }: Tenant): unknown {
  return settings;
}

const EXPECTED = {
  name: WHOLE.name,
  plan: WHOLE.plan,
  isolationLevel: WHOLE.isolationLevel,
  placement: { data: "row", wanted: "database", epoch: 0 },
  quotas: QUOTAS,
  rate: WHOLE.rate,
  features: ["advanced_analytics", "beta_search", "custom_models"],
  billing: WHOLE.billing,
  locale: WHOLE.locale,
  status: "active",
  agentConfig: WHOLE.agentConfig,
  channels: { web: { enabled: false } },
  errorTexts: WHOLE.errorTexts,
  agentSecrets: { apiKey: false, signingSecret: false, mcp: ["one", "three", "two"] },
  sessions: WHOLE.sessions,
  version: 1,
};

const TOKENS = { "agent.mcp.one": "xoxb-bot-token", "agent.mcp.two": "xapp-app-token", "agent.mcp.three": "discord-token" } as const;

describe("a tenant's settings", () => {
  eachEngine((engine) => {
    let store: DataStore;
    let registry: Registry;
    let elsewhere: Registry;

    before(async () => {
      const place = await engine.place();
      store = await place.open();
      registry = await openRegistry(store);
      elsewhere = await openRegistry(await openElsewhere(place, store));
    });

    test("come back whole, here and in another process", async () => {
      const id = freshId();
      const domains = [`b.${id}.example.com`, `a.${id}.example.com`];
      const made = await registry.create(tenantCreateSchema.parse({ id, ...WHOLE, domains }));
      assert.deepEqual(settingsOf(made), EXPECTED);
      for (const reader of [registry, elsewhere]) {
        const found = await foundIn(reader, id);
        assert.deepEqual(found, made);
        for (const [name, value] of Object.entries(TOKENS)) {
          const secret = await reader.secret(found, name as keyof typeof TOKENS); // its own keys
          assert.equal(secret?.reveal(), value);
        }
        assert.deepEqual(await reader.domains(found), domains.toSorted());
      }
      assert.deepEqual(
        (await registry.list("", 1_000)).find((each) => each.id === id),
        made,
      );
    });

    test("that are not given are the plan's, and quotas can be given one by one", async () => {
      const id = freshId();
      const plain = await registry.create(input(id));
      const [plan] = registry.plans().filter(({ name }) => name === "starter");
      assert.deepEqual(
        [plain.quotas, plain.rate, plain.features, plain.isolationLevel, plain.billing],
        [plan?.quotas, plan?.rate, plan?.features, plan?.isolationLevel, { ...plan?.billing, email: null }],
      );
      assert.deepEqual(plain.agentConfig, {
        invokeUrl: null,
        timeout: 30_000,
        protocol: "builtin",
        concurrency: 50,
        model: null,
        mcpServers: [],
      });
      assert.deepEqual(plain.channels, { web: { enabled: true } });
      assert.deepEqual([plain.locale, plain.errorTexts, plain.status, plain.version], ["en", {}, "active", 1]);
      for (const [name, value] of Object.entries(QUOTAS)) {
        const changed = await registry.update(id, { quotas: { [name]: value } });
        assert.equal(changed.quotas[name as keyof typeof QUOTAS], value); // its own keys
      }
      assert.deepEqual((await foundIn(elsewhere, id)).quotas, QUOTAS);
    });

    test("that a change does not name stay as they are", async () => {
      const id = freshId();
      const made = await registry.create(tenantCreateSchema.parse({ id, ...WHOLE }));
      const changes: readonly (readonly [TenantUpdate, Partial<Tenant>])[] = [
        [{ name: "New" }, { name: "New" }],
        [{ agentConfig: { timeout: 500 } }, { agentConfig: { ...made.agentConfig, timeout: 500 } }],
        [{ rate: { burst: 9 } }, { rate: { ...made.rate, burst: 9 } }],
        [{ billing: { email: null } }, { billing: { ...made.billing, email: null } }],
        [{ web: { enabled: true } }, { channels: { ...made.channels, web: { enabled: true } } }],
        [{ agent: { mcp: { one: null } } }, { agentSecrets: { ...made.agentSecrets, mcp: ["three", "two"] } }],
        [{ locale: "fr" }, { locale: "fr" }],
        [{ features: [] }, { features: ["advanced_analytics"] }],
        [{ errorTexts: {} }, { errorTexts: {} }],
        [{ isolationLevel: "dedicated" }, { isolationLevel: "dedicated", placement: { ...made.placement, wanted: "schema" } }],
        [{ placement: { data: "row" } }, { placement: { ...made.placement, wanted: "row" } }],
      ];
      let expected = made;
      for (const [change, effect] of changes) {
        expected = { ...expected, ...effect, version: expected.version + 1 };
        assert.deepEqual(await registry.update(id, tenantUpdateSchema.parse(change)), expected);
      }
      assert.equal((await registry.secret(expected, "agent.mcp.two"))?.reveal(), "xapp-app-token");
      assert.equal(await registry.secret(expected, "agent.mcp.one"), undefined);
    });

    test("cannot be changed by anybody who has the snapshot", async () => {
      const tenant = await registry.create(tenantCreateSchema.parse({ id: freshId(), ...WHOLE }));
      const assertFrozen = (value: unknown, place: string): void => {
        if (typeof value !== "object" || value === null) return;
        assert.ok(Object.isFrozen(value), `${place} can be changed`);
        for (const [name, part] of Object.entries(value)) assertFrozen(part, `${place}.${name}`);
      };
      for (const each of [tenant, await registry.create(input(freshId())), ...(await registry.list("", 10))]) assertFrozen(each, "tenant");
    });

    test("with an agent's address that may not be called are refused when they are saved", async () => {
      const id = freshId();
      const agentConfig = { invokeUrl: DENIED_URL, protocol: "webhook" } as const;
      await assert.rejects(registry.create(input(id, { agentConfig })), { code: "egress_denied" });
      assert.equal(await registry.find(id), undefined);
      await registry.create(input(id));
      await assert.rejects(registry.update(id, { agentConfig }), { code: "egress_denied" });
      assert.equal((await foundIn(registry, id)).agentConfig.invokeUrl, null);
    });

    test("with an agent that is not whole, or a plan that does not exist, are refused", async () => {
      const id = freshId();
      const refused = { code: "invalid_settings" };
      await assert.rejects(registry.create(input(id, { agentConfig: { protocol: "webhook" } })), refused);
      await assert.rejects(registry.create(input(id, { agentConfig: { protocol: "openai", invokeUrl: "https://a.example" } })), refused);
      await assert.rejects(registry.create(input(id, { plan: "no-such" })), refused);
      await registry.create(input(id));
      await assert.rejects(registry.update(id, { plan: "no-such" }), refused);
      assert.deepEqual((await foundIn(registry, id)).version, 1);
    });

    test("are out of reach for the tenants' role", async () => {
      const tenant = await registry.create(input(freshId()));
      const data = store.forTenant(contextOf(tenant));
      const reads = [
        sql`select from freehold.tenants`,
        sql`select from freehold.plans`,
        sql`select from freehold.tenant_domains`,
        sql`select from freehold.tenant_secrets`,
        sql`select from freehold.api_keys`,
        sql`select from freehold.registry_changes`,
        sql`select from freehold.registry_feed`,
        sql`update freehold.tenants set plan = 'enterprise'`,
        sql`delete from freehold.tenants`,
        sql`insert into freehold.plans (name, document) values ('mine', '{}')`,
        sql`insert into freehold.registry_changes (kind, key) values ('tenant', 'a')`,
      ];
      for (const statement of reads) await assert.rejects(data.query(statement), { code: "forbidden" }, statement.text);
    });
  });

  test("that are not known, or not for the tenant itself to change, are not taken", () => {
    const id = "acme";
    const bad: readonly unknown[] = [
      { id, name: "A", unknown: 1 },
      { id, name: "A", status: "active" },
      { id, name: "A", uuid: "018f0000-0000-7000-8000-000000000000" },
      { id, name: "" },
      { id: "Acme", name: "A" },
      { id, name: "A", quotas: { maxUsers: -1 } },
      { id, name: "A", quotas: { maxUsers: 1.5 } },
      { id, name: "A", quotas: { other: 1 } },
      { id, name: "A", rate: { requestsPerSecond: 0 } },
      { id, name: "A", rate: { burst: 0 } },
      { id, name: "A", locale: "not a locale" },
      { id, name: "A", errorTexts: { no_such_code: { en: "x" } } },
      { id, name: "A", domains: ["EXAMPLE.com"] },
      { id, name: "A", domains: ["127.0.0.1"] },
      { id, name: "A", agent: { apiKey: "short" } },
      { id, name: "A", features: ["Not-A-Key"] },
    ];
    for (const each of bad) assert.equal(tenantCreateSchema.safeParse(each).success, false, JSON.stringify(each));
    for (const name of ["plan", "quotas", "rate", "features", "isolationLevel", "billing", "domains"] as const) {
      const value = { plan: "enterprise", quotas: {}, rate: {}, features: [], isolationLevel: "shared", billing: {}, domains: [] }[name];
      assert.equal(tenantUpdateSchema.safeParse({ [name]: value }).success, true, name);
      assert.equal(tenantSelfUpdateSchema.safeParse({ [name]: value }).success, false, name);
    }
  });
});
