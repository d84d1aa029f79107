import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { StoreLifecycle, StoreRecord } from "../../src/kernel/index.ts";
import { createTenantLifecycle, type DataStore, sql, type TenantData } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { NOTES } from "../support/declared-tables.ts";
import { eachModel, type Place } from "../support/engines.ts";
import { storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";

const [A, B, C] = ["a", "b", "c"].map((name) => contextOf(name).tenant);

const unused = (): never => assert.fail("nothing is sealed here");
const NO_VAULT = { seal: unused, open: unused, version: unused };

async function everythingOf(data: TenantData): Promise<string> {
  const { rows } = await data.query(sql`
    select (select json_agg(to_jsonb(d) - 'tenant_id' order by id) from documents d) as documents,
      (select json_agg(to_jsonb(m) - 'tenant_id' order by seq) from messages m) as messages,
      (select json_agg(to_jsonb(n) - 'tenant_id' order by id) from notes n) as notes,
      (select json_agg(to_jsonb(c) - 'tenant_id' order by name) from freehold.counters c) as counters`);
  return JSON.stringify(rows);
}

describe("the life of a tenant's rows", () => {
  eachModel((engine, model) => {
    let place: Place;
    let store: DataStore;
    let two: TwoTenants;
    let life: ReturnType<DataStore["lifecycle"]>;
    let whole: StoreLifecycle;
    const exported: StoreRecord[] = [];

    before(async () => {
      place = await engine.place();
      store = await place.open({ ports: { ...testPorts(), tables: NOTES } });
      await store.fleet.up();
      life = store.lifecycle(() => Promise.resolve(model));
      whole = createTenantLifecycle({
        homes: store.homes,
        home: life,
        rows: store.rows,
        isOthers: () => false,
        vaultOf: () => NO_VAULT,
      });
      for (const tenant of [A, B, C]) if (tenant) await life.provision(tenant);
      two = await storeTwoTenants(store);
      for (const data of [two.a, two.b]) {
        await data.query(sql`insert into boards (id, title) values ('board', ${data === two.a ? "A" : "B"})`);
        await data.query(
          sql`insert into notes (id, board, body, marks) select 'n' || n, 'board', 'body', to_jsonb(n) from generate_series(1, 1200) n`,
        );
        await data.query(sql`insert into notes (id, board, body, marks) values ('null', 'board', '', 'null')`);
        const uuid = data === two.a ? A?.uuid : B?.uuid;
        await data.query(sql`insert into freehold.counters (tenant_id, name, value) values (${uuid}, 'users', 9007199254740991)`);
      }
    });

    test("begins in the model that is wanted, and beginning again changes nothing", async () => {
      for (const tenant of [A, B, C]) {
        assert.ok(tenant);
        assert.equal(store.homes.modelOf(tenant), model);
        await life.provision(tenant);
      }
      assert.ok(A);
      const use = await life.measure(A);
      assert.ok(use.items > 1200 && use.bytes > use.items, JSON.stringify(use));
    });

    test("is taken along as records, and put back as another tenant's it is the same", async () => {
      assert.ok(A && C);
      for await (const record of life.export(A)) exported.push(JSON.parse(JSON.stringify(record)) as StoreRecord);
      assertNoCanary(exported);
      assert.deepEqual(
        new Set(exported.map(({ kind }) => kind)),
        new Set(["boards", "counters", "documents", "messages", "notes", "sessions", "users"]),
      );
      const records = async function* (): AsyncGenerator<StoreRecord> {
        yield* exported;
      };
      await life.import(C, records());
      await life.import(C, records()); // a second time nothing comes twice
      const data = store.forTenant(contextOf("c"));
      assert.equal(await everythingOf(data), await everythingOf(two.a));
      const { rows } = await data.query<{ tenant_id: string }>(sql`select distinct tenant_id from notes`);
      assert.deepEqual(rows, [{ tenant_id: C.uuid }]);
    });

    test("has an application's tables in it from the moment they are made, without a start between", async () => {
      assert.ok(A);
      const kinds = new Set<string>();
      for await (const { kind } of whole.export(A)) kinds.add(kind);
      for (const kind of ["boards", "notes", "documents"]) assert.ok(kinds.has(kind), kind);
    });

    test("is not mixed with what is no table or no column", async () => {
      assert.ok(C);
      for (const record of [
        { kind: "nowhere", value: {} },
        { kind: "tenants", value: { uuid: "x" } },
        { kind: "notes", value: { id: "x", board: "board", body: "", nothing: 1 } },
        { kind: "notes", value: { id: "x", board: "board", body: "", 'x") values (1); --': 1 } },
      ]) {
        const one = async function* (): AsyncGenerator<StoreRecord> {
          yield record;
        };
        await assert.rejects(life.import(C, one()), { code: "invalid_settings" }, JSON.stringify(record));
      }
    });

    test("ends with nothing of it left, and all of another's", async () => {
      assert.ok(A && B && C);
      const others = await everythingOf(two.b);
      await store.system.query(sql`insert into freehold.plans (name, document) values ('any', '{}')`);
      for (const tenant of [A, C]) {
        await store.system.query(sql`
          insert into freehold.tenants (uuid, id, plan, status, document) values (${tenant.uuid}, ${tenant.id}, 'any', 'deleting', '{}')`);
        assert.ok((await whole.remains(tenant)).length > 0);
        await whole.erase(tenant);
        assert.deepEqual(await whole.remains(tenant), []);
        await whole.erase(tenant); // again, as after a kill
      }
      assert.equal(await everythingOf(two.b), others);
      await store.close();
      const own = await place.administer("select 1 from pg_namespace where nspname like 't\\_%'");
      assert.equal(own.length, model === "schema" ? 1 : 0, "b's alone");
    });
  });
});
