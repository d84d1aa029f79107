import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { type Generated, sql as raw } from "kysely";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, sql, type TenantData } from "../../src/stores/data/index.ts";
import { eachModel } from "../support/engines.ts";
import { DOCUMENTS, storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";

declare module "../../src/stores/data/port.ts" {
  interface TenantTables {
    readonly documents: {
      tenant_id: string;
      id: string;
      title: string;
      body: string;
      metadata: Generated<unknown>;
      created_by: string;
    };
  }
}

const A = contextOf("a").tenant.uuid;
const B = contextOf("b").tenant.uuid;

describe("typed queries of a tenant", () => {
  eachModel((engine, model) => {
    let store: DataStore;
    let two: TwoTenants;

    before(async () => {
      store = await engine.open();
      two = await storeTwoTenants(store, model);
    });

    const bodies = async (data: TenantData): Promise<Set<string>> =>
      new Set((await data.db.selectFrom("documents").select("body").execute()).map(({ body }) => body));

    test("read the tenant's own rows and no others", async () => {
      const found = await two.a.db.selectFrom("documents").selectAll().orderBy("id").execute();
      assert.deepEqual(
        found.map(({ id }) => id),
        ["doc-1", "doc-2", "doc-3"],
      );
      assertNoCanary(found);
      assert.deepEqual(await two.a.db.selectFrom("documents").select("id").where("tenant_id", "=", B).execute(), []);
    });

    test("write, and say how many rows they changed", async () => {
      const added = await two.a.db
        .insertInto("documents")
        .values({ tenant_id: A, id: "typed", title: "t", body: "b", created_by: "user-1" })
        .returning(["id", "title"])
        .executeTakeFirstOrThrow();
      assert.deepEqual(added, { id: "typed", title: "t" });
      const changed = await two.a.db.updateTable("documents").set({ title: "changed" }).where("id", "=", "typed").executeTakeFirst();
      assert.equal(changed.numUpdatedRows, 1n);
      const removed = await two.a.db.deleteFrom("documents").where("id", "=", "typed").executeTakeFirst();
      assert.equal(removed.numDeletedRows, 1n);
      const foreign = two.a.db.insertInto("documents").values({ tenant_id: B, id: "spy", title: "", body: "", created_by: "" }).execute();
      await assert.rejects(foreign, { code: "forbidden" });
    });

    test("in a transaction are stored together or not at all, and the plain statements of the transaction are among them", async () => {
      await two.a.db.transaction().execute(async (trx) => {
        await trx.updateTable("documents").set({ body: "one" }).where("id", "=", "doc-1").execute();
        await trx.updateTable("documents").set({ body: "one" }).where("id", "!=", "doc-1").execute();
      });
      assert.deepEqual(await bodies(two.a), new Set(["one"]));
      const thrown = new Fault("not_found", "changed my mind");
      const work = two.a.transaction(async (tx) => {
        await tx.db.updateTable("documents").set({ body: "two" }).execute();
        await tx.query(sql`update documents set title = 'two'`);
        throw thrown;
      });
      await assert.rejects(work, (error) => error === thrown);
      assert.deepEqual(await bodies(two.a), new Set(["one"]));
      assert.equal((await two.b.query(sql`select from documents where body = 'one'`)).count, 0);
    });

    test("of an ended transaction are refused", async () => {
      let kept: Parameters<Parameters<TenantData["transaction"]>[0]>[0]["db"] | undefined;
      await two.a.transaction(async (tx) => void (kept = tx.db));
      await assert.rejects(async () => await kept?.updateTable("documents").set({ body: "late" }).execute(), { name: "Fault" });
      assert.deepEqual(await bodies(two.a), new Set(["one"]));
    });

    test("are held to the statements of a tenant's handle, however they are written", async () => {
      await assert.rejects(two.a.db.schema.dropTable("documents").execute(), { code: "forbidden" });
      await assert.rejects(raw`set app.tenant_id = ${raw.lit(B)}`.execute(two.a.db), { code: "forbidden" });
      await assert.rejects(raw`select set_config('app.tenant_id', ${B}, true)`.execute(two.a.db), { code: "forbidden" });
      await assert.rejects(two.a.db.startTransaction().execute(), { name: "Fault" });
      assert.throws(() => two.a.db.transaction().setIsolationLevel("serializable"), { name: "Fault" });
      assertNoCanary(await raw`select * from documents d, users u`.execute(two.a.db));
      assert.equal((await two.b.query(sql`select from documents`)).count, DOCUMENTS);
    });
  });
});
