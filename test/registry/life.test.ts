import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { TENANT_STATUSES, type TenantId, type TenantStatus } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import type { Registry } from "../../src/tenancy/registry/index.ts";
import { eachEngine } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { fault, foundIn, freshId, input, openElsewhere, openRegistry } from "./registry-under-test.ts";

/** From each status: what it may become, besides itself. */
const MAY_BECOME: Readonly<Record<TenantStatus, readonly TenantStatus[]>> = {
  provisioning: ["active", "deleting"],
  active: ["suspended", "moving", "deleting"],
  suspended: ["active", "deleting"],
  moving: ["active", "suspended", "deleting"],
  deleting: ["erased"],
  erased: [],
};

const PAIRS = TENANT_STATUSES.flatMap((from) => TENANT_STATUSES.map((to) => [from, to] as const));

describe("the life of a tenant", () => {
  eachEngine((engine) => {
    let store: DataStore;
    let registry: Registry;
    let elsewhere: Registry;

    /** A new tenant in this status, however it got there. */
    async function tenantIn(status: TenantStatus): Promise<TenantId> {
      const id = freshId(status);
      await registry.create(input(id));
      await store.system.query(sql`update freehold.tenants set status = ${status} where id = ${id}`);
      await until("the status", async () => (await foundIn(registry, id)).status === status);
      return id;
    }

    async function erase(id: TenantId): Promise<void> {
      await registry.setStatus(id, "deleting");
      await registry.setStatus(id, "erased");
    }

    before(async () => {
      const place = await engine.place();
      store = await place.open();
      registry = await openRegistry(store);
      elsewhere = await openRegistry(await openElsewhere(place, store));
    });

    test("goes from one status to another as the table says, and in no other way", async () => {
      for (const [from, to] of PAIRS) {
        const id = await tenantIn(from);
        const change = registry.setStatus(id, to);
        if (from === to || MAY_BECOME[from].includes(to)) {
          const tenant = await change;
          assert.deepEqual([tenant.status, tenant.version], [to, from === to ? 1 : 2], `${from} -> ${to}`);
        } else {
          await assert.rejects(change, { code: "conflict" }, `${from} -> ${to}`);
          assert.deepEqual([(await foundIn(registry, id)).status, (await foundIn(registry, id)).version], [from, 1], `${from} -> ${to}`);
        }
      }
    });

    test("is seen elsewhere within a second", async () => {
      const id = freshId();
      await registry.create(input(id));
      for (const status of ["suspended", "active", "moving", "deleting", "erased"] as const) {
        await elsewhere.find(id);
        await registry.setStatus(id, status);
        await until(`${status} elsewhere`, async () => (await foundIn(elsewhere, id)).status === status, 1_000);
      }
    });

    test("begins while the program runs, and an id that was unknown is known at once", async () => {
      const id = freshId();
      assert.equal(await registry.find(id), undefined);
      assert.equal(await elsewhere.find(id), undefined);
      const tenant = await registry.create(input(id));
      assert.equal(registry.find(id), tenant);
      await until("the tenant elsewhere", () => elsewhere.find(id), 1_000);
    });

    test("begins once: of two who take an id at the same time, one is told that it is taken", async () => {
      const id = freshId();
      const made = await Promise.allSettled([registry.create(input(id)), elsewhere.create(input(id))]);
      assert.deepEqual(made.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
      await assert.rejects(registry.create(input(id)), fault("conflict", { field: "id", detail: /exists already/ }));
      assert.equal((await foundIn(registry, id)).version, 1);
    });

    test("leaves its id and its internal id taken for good", async () => {
      const id = freshId();
      const { uuid } = await registry.create(input(id));
      await erase(id);
      await assert.rejects(registry.create(input(id)), { code: "conflict" });
      assert.deepEqual([(await foundIn(registry, id)).status, (await foundIn(registry, id)).uuid], ["erased", uuid]);
      // not even the platform's own role can take the row away or give it another name
      await assert.rejects(store.system.query(sql`delete from freehold.tenants where id = ${id}`), { code: "forbidden" });
      await assert.rejects(store.system.query(sql`update freehold.tenants set id = 'other' where id = ${id}`), { code: "forbidden" });
      const again = sql`insert into freehold.tenants (uuid, id, plan, status, document)
        values (${uuid}, ${freshId()}, 'starter', 'active', '{}')`;
      await assert.rejects(store.system.query(again), { code: "conflict" });
    });

    test("leaves nothing that can be filled again: an erased tenant gets no settings, secrets, domains or keys", async () => {
      const id = freshId();
      const { uuid } = await registry.create(input(id, { domains: [`${id}.example.com`] }));
      await erase(id);
      await assert.rejects(registry.update(id, { name: "Back" }), { code: "conflict" });
      await assert.rejects(registry.update(id, { agent: { mcp: { one: "xoxb-again" } } }), { code: "conflict" });
      const key = { id: `key-${id}`, tenantUuid: uuid, name: "k", hash: Buffer.alloc(32, 1), roles: [], scopes: [], createdBy: "x" };
      await assert.rejects(registry.createKey({ ...key, expiresAt: null }), { code: "conflict" });
      // its host stays taken too
      await assert.rejects(registry.create(input(freshId(), { domains: [`${id}.example.com`] })), { code: "conflict" });
    });

    test("is unknown to those who change a tenant that never was", async () => {
      await assert.rejects(registry.update(freshId(), { name: "A" }), { code: "not_found" });
      await assert.rejects(registry.setStatus(freshId(), "suspended"), { code: "not_found" });
    });

    test("counts its versions: a change that knows only an older one is refused and changes nothing", async () => {
      const id = freshId();
      await registry.create(input(id));
      assert.equal((await registry.update(id, { name: "First", version: 1 })).version, 2);
      await assert.rejects(
        elsewhere.update(id, { name: "Late", version: 1 }),
        fault("conflict", { field: "version", detail: /version 2/ }),
      );
      assert.equal((await foundIn(registry, id)).name, "First");
      const both = await Promise.allSettled([
        registry.update(id, { name: "Left", version: 2 }),
        elsewhere.update(id, { name: "Right", version: 2 }),
      ]);
      assert.deepEqual(both.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
      // the winner may be the other process, whose change arrives by the feed
      await until("the change here", async () => (await foundIn(registry, id)).version === 3, 1_000);
      assert.equal((await foundIn(registry, id)).version, 3);
    });

    test("gives a host to one tenant only, until that one gives it up", async () => {
      const [first, second] = [freshId(), freshId()];
      const host = `ai.${first}.example.com`;
      await registry.create(input(first, { domains: [host] }));
      assert.equal(registry.tenantOfHost(host), first);
      await until("the host elsewhere", () => elsewhere.tenantOfHost(host) === first, 1_000);

      await assert.rejects(registry.create(input(second, { domains: [host] })), fault("conflict", { field: "domains" }));
      assert.equal(await registry.find(second), undefined, "nothing of the refused tenant stays");
      await registry.create(input(second));
      await assert.rejects(registry.update(second, { name: "Changed", domains: [host] }), { code: "conflict" });
      assert.notEqual((await foundIn(registry, second)).name, "Changed");
      assert.equal(registry.tenantOfHost(host), first);

      await registry.update(first, { domains: [] });
      assert.equal(registry.tenantOfHost(host), undefined);
      await registry.update(second, { domains: [host, `other.${second}.example.com`] });
      await until("the new owner elsewhere", () => elsewhere.tenantOfHost(host) === second, 1_000);
      assert.deepEqual(await registry.domains(await foundIn(registry, first)), []);
    });

    test("gives two hosts, wanted by two tenants in another order at the same time, to one of them", async () => {
      const ids = [freshId(), freshId()] as const;
      const hosts = [`x.${ids[0]}.example.com`, `y.${ids[0]}.example.com`];
      for (const id of ids) await registry.create(input(id));
      const claims = await Promise.allSettled([
        registry.update(ids[0], { domains: hosts }),
        elsewhere.update(ids[1], { domains: hosts.toReversed() }),
      ]);
      const winner = ids[claims.findIndex(({ status }) => status === "fulfilled")];
      assert.deepEqual(claims.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
      for (const host of hosts) await until("the owner", () => registry.tenantOfHost(host) === winner, 1_000);
    });

    test("is listed page by page in the order of the ids, nobody twice and nobody left out", async () => {
      const listed: string[] = [];
      for (let after = ""; ; after = listed.at(-1) ?? "") {
        const page = await registry.list(after, 7);
        listed.push(...page.map(({ id }) => id));
        if (page.length < 7) break;
      }
      const { rows } = await store.system.query<{ id: string }>(sql`select id from freehold.tenants order by id collate "C"`);
      assert.deepEqual(
        listed,
        rows.map(({ id }) => id),
      );
    });
  });
});
