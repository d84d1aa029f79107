import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type DataStore, defineTables, sql, type TableStep, type TenantData } from "../../src/stores/data/index.ts";
import type { VaultStore } from "../../src/stores/vault/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { eachModel, type Place } from "../support/engines.ts";
import { CANARY, contextOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";

declare module "../../src/stores/data/port.ts" {
  interface TenantTables {
    readonly patients: { clinic: string; number: number; name: string; diagnosis: string; remark: string | null; advice: string | null };
    readonly wards: { id: string; name: string; code: string | null };
  }
}

const FIRST_STEP: TableStep = {
  name: "patients",
  create: {
    patients: {
      columns: {
        clinic: "text not null",
        number: "integer not null",
        name: "text not null",
        diagnosis: "bytea not null",
        remark: "bytea",
      },
      key: ["clinic", "number"],
      sealed: ["diagnosis", "remark"],
    },
    wards: { columns: { id: "uuid not null", name: "text not null", at: "timestamptz not null default now()" }, key: ["id"] },
  },
};
const PATIENTS = defineTables([FIRST_STEP]);
const SECOND_STEP: TableStep = {
  name: "more-sealed",
  seal: { patients: ["advice"], wards: ["code"] },
  expand:
    "update patients set name = trim(name, ' ()=,'), remark = null where clinic = 'none' and number = 1; alter table patients add column colour text",
};
const THIRD_STEP: TableStep = { name: "no-remark", contract: "alter table patients drop column remark" };
const PORTS = { ...testPorts(), tables: PATIENTS };
const A = contextOf("a");
const B = contextOf("b");
const FIRST = { clinic: "north", number: 1, name: "Ann", diagnosis: `flu ${CANARY}`, remark: null };

describe("columns that are marked as sealed", () => {
  eachModel((engine, model) => {
    let place: Place;
    let store: DataStore;
    let vault: VaultStore;
    let a: TenantData;
    let b: TenantData;

    before(async () => {
      place = await engine.place();
      store = await place.open({ ports: PORTS });
      await store.fleet.up();
      for (const { tenant } of [A, B]) await store.lifecycle(async () => model).provision(tenant);
      vault = await openVault(store.system);
      [a, b] = [store.forTenant(A, vault.forTenant(A.tenant)), store.forTenant(B, vault.forTenant(B.tenant))];
      await a.db.insertInto("patients").values(FIRST).execute();
      await b.db
        .insertInto("patients")
        .values({ ...FIRST, diagnosis: "of b" })
        .execute();
    });
    after(async () => {
      await vault.close();
      await store.close();
    });

    const storedOf = async (data: TenantData): Promise<{ number: number; diagnosis: Buffer; remark: Buffer | null }[]> => {
      const { rows } = await data.query<{ number: number; diagnosis: Buffer; remark: Buffer | null }>(
        sql`select number, diagnosis, remark from patients order by number`,
      );
      return [...rows];
    };

    test("take and give text, also in transactions, by returning and after a change, and are nothing but sealed bytes below", async () => {
      const second = { clinic: "north", number: 2, name: "Bob", diagnosis: "cold", remark: "ümlaut \u0000?".replace("\u0000", "") };
      const returned = await a.db.insertInto("patients").values(second).returningAll().executeTakeFirstOrThrow();
      assert.deepEqual([returned.diagnosis, returned.remark], ["cold", second.remark]);
      await a.db.transaction().execute(async (tx) => {
        const { diagnosis } = await tx
          .updateTable("patients")
          .set({ diagnosis: "worse" })
          .where("clinic", "=", "north")
          .where("number", "=", 2)
          .returning(["clinic", "number", "diagnosis"])
          .executeTakeFirstOrThrow();
        assert.equal(diagnosis, "worse");
      });
      const rows = await a.db.selectFrom("patients").select(["clinic", "number", "diagnosis", "remark"]).orderBy("number").execute();
      assert.deepEqual(
        rows.map(({ diagnosis, remark }) => [diagnosis, remark]),
        [
          [FIRST.diagnosis, null],
          ["worse", second.remark],
        ],
      );
      assert.deepEqual(
        (await b.db.selectFrom("patients").selectAll().execute()).map(({ diagnosis }) => diagnosis),
        ["of b"],
      );
      for (const { diagnosis } of await storedOf(a)) {
        assert.equal(diagnosis[0], 1);
        assert.ok(!diagnosis.includes("flu") && !diagnosis.includes("worse") && !diagnosis.includes(CANARY));
      }
    });

    test("open for their tenant, row and column alone, wherever their bytes are put", async () => {
      const [one, two] = await storedOf(a);
      assert.ok(one && two?.remark);
      const read = async () => await a.db.selectFrom("patients").select(["clinic", "number", "diagnosis"]).execute();
      const move = async (bytes: Buffer) => await a.query(sql`update patients set diagnosis = ${bytes} where number = 2`);
      const [ofB] = await storedOf(b);
      assert.ok(ofB);
      for (const foreign of [one.diagnosis, two.remark, ofB.diagnosis, Buffer.concat([two.diagnosis.subarray(0, -1), Buffer.of(0)])]) {
        await move(foreign);
        await assert.rejects(read(), { code: "isolation_violation" });
      }
      await move(two.diagnosis);
      assert.equal((await read()).length, 2);
    });

    test("take no clear text past the handle, and no query that does not say which row it is of", async () => {
      await assert.rejects(a.query(sql`update patients set diagnosis = 'clear text'::bytea where number = 2`));
      const { db } = a;
      for (const query of [
        () =>
          db
            .insertInto("patients")
            .columns(["clinic", "number", "name", "diagnosis"])
            .expression(db.selectFrom("patients").select(["clinic", "number", "name", "diagnosis"]))
            .execute(),
        () => db.updateTable("patients").set({ diagnosis: "all" }).execute(),
        () => db.updateTable("patients").set({ diagnosis: "some" }).where("clinic", "=", "north").execute(),
        () => db.updateTable("patients").set({ number: 9 }).where("clinic", "=", "north").where("number", "=", 2).execute(),
        () => db.selectFrom("patients").select("diagnosis").execute(),
        () =>
          db
            .insertInto("patients")
            .values(FIRST)
            .onConflict((c) => c.columns(["clinic", "number"]).doUpdateSet({ diagnosis: "x" }))
            .execute(),
      ]) {
        await assert.rejects(query, (error: Error) => error.message.startsWith("patients: "), String(query));
      }
      assert.equal(
        (await db.withoutPlugins().selectFrom("patients").selectAll().where("number", "=", 1).executeTakeFirst())?.diagnosis,
        FIRST.diagnosis,
      );
      const count = await db.updateTable("patients").set({ name: "Robert" }).where("number", "=", 2).executeTakeFirst();
      assert.equal(count.numUpdatedRows, 1n);
    });

    test("are sealed anew with the tenant's newest key, and readable all the time", async () => {
      const key = vault.forTenant(A.tenant);
      await vault.rotate(A.tenant, "columns");
      const read = async () =>
        (await a.db.selectFrom("patients").selectAll().orderBy("number").execute()).map(({ diagnosis }) => diagnosis);
      const was = await read();
      await a.db
        .insertInto("patients")
        .values({ ...FIRST, number: 3, diagnosis: "new key" })
        .execute();
      assert.equal(await store.resealColumns(A, key), 3, "two diagnoses and a remark");
      assert.equal(await store.resealColumns(A, key), 0);
      assert.deepEqual(await read(), [...was, "new key"]);
      const versions = (await storedOf(a)).map(({ diagnosis }) => diagnosis.readUInt32BE(1));
      assert.deepEqual(versions, [2, 2, 2]);
      assert.equal((await storedOf(b))[0]?.diagnosis.readUInt32BE(1), 1, "another tenant's are under its own");
    });

    test("go with their rows from one home to another", async () => {
      const target = model === "schema" ? "row" : "schema";
      await store.homes.move(A.tenant, target);
      await store.homes.confirm(A.tenant);
      assert.equal(
        (await a.db.selectFrom("patients").selectAll().where("number", "=", 1).executeTakeFirstOrThrow()).diagnosis,
        FIRST.diagnosis,
      );
    });
  });

  eachModel((engine, model) => {
    test("are added to tables that are there, and taken away, while programs of other versions go on", async () => {
      const place = await engine.place();
      const open = async (...steps: readonly TableStep[]): Promise<[DataStore, VaultStore, TenantData]> => {
        const opened = await place.open({ ports: { ...testPorts(), tables: defineTables(steps) } });
        const keys = await openVault(opened.system);
        return [opened, keys, opened.forTenant(A, keys.forTenant(A.tenant))];
      };
      const close = async ([opened, keys]: readonly [DataStore, VaultStore, TenantData]): Promise<void> => {
        await keys.close();
        await opened.close();
      };
      const first = await open(FIRST_STEP);
      await first[0].fleet.up();
      await first[0].lifecycle(async () => model).provision(A.tenant);
      const patient = { ...FIRST, remark: "to be gone" };
      await first[2].db.insertInto("patients").values(patient).execute();
      if (engine.name === "PGlite") await close(first); // one process at a time has the folder

      const second = await open(FIRST_STEP, SECOND_STEP);
      const [store, keys, data] = second;
      assert.equal(await store.resealColumns(A, keys.forTenant(A.tenant)), 0, "before the step has come to this home");
      await store.fleet.up();
      assert.deepEqual(await store.fleet.drift(), []);
      const id = "0198c0de-0000-7000-8000-000000000001";
      await data.db.insertInto("wards").values({ id, name: "North", code: "1234" }).execute();
      await data.db.updateTable("patients").set({ advice: "rest" }).where("clinic", "=", "north").where("number", "=", 1).execute();
      if (engine.name === "PostgreSQL") {
        await first[2].db
          .insertInto("patients")
          .values({ ...patient, number: 2 })
          .execute();
        await close(first);
      }
      const ward = await data.db.selectFrom("wards").select(["id", "code"]).executeTakeFirstOrThrow();
      const read = data.db.selectFrom("patients").select(["clinic", "number", "advice", "diagnosis"]).where("number", "=", 1);
      const { advice, diagnosis } = await read.executeTakeFirstOrThrow();
      assert.deepEqual([ward.code, advice, diagnosis], ["1234", "rest", FIRST.diagnosis]);
      await assert.rejects(data.query(sql`update wards set code = 'clear text'::bytea`), "the check came with the column");
      await keys.rotate(A.tenant, "columns");
      await close(second);

      const third = await open(FIRST_STEP, SECOND_STEP, THIRD_STEP);
      const rows = engine.name === "PostgreSQL" ? 2 : 1;
      const key = third[1].forTenant(A.tenant);
      assert.equal(
        await third[0].resealColumns(A, key),
        2 + 2 * rows,
        "what is still there is kept readable, also if nobody names it any more",
      );
      await third[0].fleet.up({ contract: true });
      await third[1].rotate(A.tenant, "columns");
      assert.equal(await third[0].resealColumns(A, key), 2 + rows);
      const left = await third[2].db.selectFrom("patients").selectAll().where("number", "=", 1).executeTakeFirstOrThrow();
      assert.deepEqual([left.advice, "remark" in left], ["rest", false]);
      await close(third);
    });
  });

  for (const [what, step] of [
    ["seal a column of a table that is not there", { seal: { nowhere: ["x"] } }],
    ["seal a column that is there", { seal: { patients: ["name"] } }],
    ["seal a column twice", { seal: { patients: ["remark"] } }],
    ["seal a column of a table whose key cannot be written down", { seal: { visits: ["x"] } }],
    ["seal a column without a name", { seal: { patients: ["a b"] } }],
    ["seal and take away at once", { seal: { patients: ["x"] }, contract: "drop table wards" }],
    ["rename a table", { contract: "alter table patients rename to people" }],
    ["rename a sealed column", { contract: "alter table patients rename column diagnosis to finding" }],
    ["rename a column of the key", { contract: "alter table only patients rename number to place" }],
    ["change a column of the key", { contract: "alter table patients alter column number type bigint" }],
    ["drop a column of the key", { contract: "alter table patients drop column name, drop column clinic cascade" }],
    ["drop the key", { contract: 'alter table patients drop constraint "patients_pkey"' }],
    ["drop the check", { contract: "alter table patients drop constraint if exists sealed_diagnosis" }],
    ["make a check of that name", { expand: "alter table wards add constraint sealed_name check (true)" }],
    ["give a check that name", { contract: "alter table wards rename constraint c to sealed_name" }],
    [
      "make a check of that name with a table",
      { create: { x: { columns: { id: "bytea constraint sealed_id check (true)" }, key: ["id"] } } },
    ],
    ["put a sealed column in an index", { expand: "create index on patients (tenant_id, diagnosis)" }],
    ["make a sealed column unique", { expand: "alter table patients add constraint u unique (tenant_id, remark)" }],
    ["write a sealed column", { expand: "update patients set name = 'where', remark = diagnosis" }],
    ["write the key", { expand: "update patients set name = replace(name, ' where ', ''), number = number + 1 where true" }],
    ["write several columns at once", { expand: "update patients set (name, remark) = ('x', diagnosis)" }],
  ] as const) {
    test(`are not for a step to ${what}`, () => {
      const visits = { columns: { at: "timestamptz not null" }, key: ["at"] };
      const steps: readonly TableStep[] = [FIRST_STEP, { name: "visits", create: { visits } }, { name: "x", ...step }];
      assert.throws(() => defineTables(steps), { code: "invalid_settings", message: /^Tables, step 3 \(x\): / });
    });
  }

  test("are declared as bytes, in no index, with a key that can be written down", () => {
    const columns = { id: "text not null", at: "timestamptz", secret: "bytea", clear: "text" };
    for (const [definition, why] of [
      [{ columns, key: ["id"], sealed: ["clear"] }, /bytea/],
      [{ columns, key: ["id"], sealed: ["none"] }, /no column none/],
      [{ columns, key: ["at"], sealed: ["secret"] }, /key of a table with sealed columns/],
      [{ columns, key: ["id"], sealed: ["secret"], indexes: [["secret"]] }, /no key, reference, index or search/],
    ] as const) {
      assert.throws(() => defineTables([{ name: "x", create: { things: definition } }]), { code: "invalid_settings", message: why });
    }
  });
});
