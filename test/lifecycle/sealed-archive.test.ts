import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { createKeyring, Fault, systemRandom, type Tenant } from "../../src/kernel/index.ts";
import { createDataStore, type DataStore, defineTables, sql, type TenantData } from "../../src/stores/data/index.ts";
import { createLocalRootKeys } from "../../src/stores/vault/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { eachEngine, temporaryFolder } from "../support/engines.ts";
import { assertNoCanary, contextOf, valueOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";
import { BY, exportOf, freshId, importInto, input, install, type Installed } from "./lifecycle-under-test.ts";
import { archiveOf } from "./made-archive.ts";

declare module "../../src/stores/data/port.ts" {
  interface TenantTables {
    readonly charts: { clinic: string; number: string; name: string; finding: string; remark: string | null };
    readonly visits: { id: string; clinic: string; number: string };
  }
}

const TABLES = defineTables([
  {
    name: "charts",
    create: {
      charts: {
        columns: { clinic: "text not null", number: "bigint not null", name: "text not null", finding: "bytea not null", remark: "bytea" },
        key: ["clinic", "number"],
        sealed: ["finding", "remark"],
      },
      visits: {
        columns: { id: "text not null", clinic: "text not null", number: "bigint not null", fee: "numeric" },
        key: ["id"],
        references: [{ columns: ["clinic", "number"], table: "charts" }],
      },
      scans: { columns: { id: "text not null", picture: "bytea" }, key: ["id"] },
    },
  },
]);
/** More than the numbers of JSON hold. */
const NUMBER = "9007199254740993";
const FEE = "12345678901234567890.12345678901";
const BINARY = Buffer.of(0xff, 0, 0x80, 1);
const THERE = Buffer.alloc(32, 9);

eachEngine((engine) => {
  describe("sealed columns in the archive of a tenant", () => {
    let here: Installed;
    let there: Installed;
    const folder = temporaryFolder();

    const chartsOf = ({ store, vault }: Installed, tenant: Tenant): TenantData =>
      store.forTenant(contextOf(tenant), vault.forTenant(tenant));
    const binaryPlace = { purpose: "columns", table: "charts", column: "remark", row: ["north", "3"] } as const;

    async function filled(installed: Installed, name: string, model: "row" | "schema"): Promise<Tenant> {
      const { store, vault } = installed;
      const tenant = await installed.lifecycle.create(input(freshId(name), { placement: { data: model } }), BY);
      const data = chartsOf(installed, tenant);
      const first = { clinic: "north", number: NUMBER, name: "Ann", finding: valueOf(name, "flu ü"), remark: null };
      await data.db.insertInto("charts").values(first).execute();
      await vault.rotate(tenant, "columns");
      await data.db
        .insertInto("charts")
        .values({ ...first, number: "2", finding: valueOf(name, "cold"), remark: "" })
        .execute();
      await data.db
        .insertInto("charts")
        .values({ ...first, number: "3" })
        .execute();
      const binary = await vault.forTenant(tenant).seal(binaryPlace, BINARY);
      await data.query(sql`update charts set remark = ${binary} where number = 3`);
      await data.query(sql`insert into visits (id, clinic, number, fee) values ('v', 'north', ${NUMBER}, ${FEE})`);
      await store.forTenant(contextOf(tenant)).query(sql`insert into scans (id, picture) values ('s', ${Buffer.from("picture")})`);
      return tenant;
    }

    async function readAll(installed: Installed, tenant: Tenant): Promise<unknown> {
      const data = chartsOf(installed, tenant);
      const { rows } = await data.query<{ remark: Buffer }>(sql`select remark from charts where number = 3`);
      const binary = await installed.vault.forTenant(tenant).open(binaryPlace, rows[0]?.remark ?? Buffer.alloc(0));
      const charts = await data.db
        .selectFrom("charts")
        .select((each) => ["clinic", "name", "finding", "remark", each.cast<string>("number", "text").as("number")])
        .where("number", "<>", "3")
        .orderBy("charts.number")
        .execute();
      const { rows: visits } = await data.query(sql`select number::text as number, fee::text as fee from visits`);
      return { binary: binary.toString("hex"), charts, visits };
    }

    async function opened(rootKey: Buffer): Promise<DataStore> {
      const ports = { ...testPorts(), keyring: createKeyring(rootKey), tables: TABLES };
      // the prepared folder has the tests' own root key
      const isNew = engine.name === "PGlite" && rootKey === THERE;
      const store = isNew ? await createDataStore({ kind: "embedded", folder }, ports) : await engine.open({ ports });
      await store.fleet.up();
      return store;
    }

    before(async () => {
      here = await install(await opened(Buffer.alloc(32, 7)), temporaryFolder());
      there = await install(await opened(THERE), temporaryFolder(), { rootKey: THERE });
    });
    after(async () => {
      for (const installed of [here, there]) {
        await installed.close();
        await installed.store.close();
      }
    });

    for (const model of ["row", "schema"] as const) {
      test(`leave a ${model} home opened, whatever key sealed them, and are sealed anew with the keys of another installation`, async () => {
        const tenant = await filled(here, "a", model);
        await filled(here, "b", model);
        const archive = await exportOf(here, tenant);
        const text = gunzipSync(archive).toString("latin1");
        assertNoCanary(text);
        for (const part of ["flu \u00c3\u00bc", "cold", `{"base64":"${BINARY.toString("base64")}"}`, `"${NUMBER}"`, `"${FEE}"`]) {
          assert.ok(text.includes(part), part);
        }
        assert.ok(!text.includes("scans") && !text.includes("picture"), "bytes that are not sealed stay");
        for (const [plan, wanted] of [
          ["professional", "row"],
          ["enterprise", "schema"],
        ] as const) {
          const imported = await importInto(there, archive, freshId("again"), plan);
          assert.equal(there.store.homes.modelOf(imported), wanted);
          assert.deepEqual(await readAll(there, imported), await readAll(here, tenant));
          const { rows } = await there.store
            .forTenant(contextOf(imported))
            .query<{ stored: Buffer }>(sql`select finding as stored from charts`);
          assert.equal(rows.length, 3);
          for (const { stored } of rows) assert.ok(stored[0] === 1 && !stored.includes("flu") && !stored.includes("cold"));
        }
      });
    }

    test("say so when nothing opens them any more: destroyed keys, or bytes of another row", async () => {
      const tenant = await filled(here, "a", "row");
      const data = here.store.forTenant(contextOf(tenant));
      const { rows } = await data.query<{ finding: Buffer }>(sql`select finding from charts where number = 2`);
      const swap = async (bytes: Buffer | undefined): Promise<unknown> =>
        await data.query(sql`update charts set finding = ${bytes} where number = 2`);
      await swap((await data.query<{ finding: Buffer }>(sql`select finding from charts where number = 3`)).rows[0]?.finding);
      const failure = (code: string, words: RegExp) => (error: unknown) =>
        error instanceof Fault && error.code === code && words.test(error.public.detail ?? "");
      await assert.rejects(
        exportOf(here, tenant),
        failure("isolation_violation", /charts\.finding cannot be exported: it was not sealed for/),
      );
      await swap(rows[0]?.finding);
      await exportOf(here, tenant);
      await here.vault.lifecycle.erase(tenant);
      await assert.rejects(
        exportOf(here, tenant),
        failure("conflict", /charts\.(finding|remark) cannot be exported: the tenant's keys were destroyed/),
      );
    });

    test("are refused with the whole archive when they are not what an export gives", async () => {
      const chart = { clinic: "north", number: "1", name: "x", finding: "clear" };
      for (const change of [{ finding: 1 }, { finding: { base64: 1 } }, { finding: { base64: "AA==", more: 1 } }, { number: null }]) {
        const line = JSON.stringify({ kind: "charts", value: { ...chart, ...change } });
        const id = freshId("refused");
        await assert.rejects(importInto(there, await archiveOf([{ store: "data", line }]), id), { code: "invalid_archive" }, line);
        assert.equal(await there.registry.find(id), undefined);
      }
      // what looks like a sealed value is text like any other, and is never stored as it comes
      const line = JSON.stringify({ kind: "charts", value: { ...chart, finding: `\\x01${"00".repeat(60)}` } });
      const imported = await importInto(there, await archiveOf([{ store: "data", line }]), freshId("text"));
      const read = await chartsOf(there, imported).db.selectFrom("charts").select(["clinic", "number", "finding"]).execute();
      assert.deepEqual(
        read.map(({ finding }) => finding),
        [`\\x01${"00".repeat(60)}`],
      );
    });

    test("cannot be opened with a root key that is not the one of the database", async () => {
      const tenant = await filled(here, "a", "row");
      const roots = [createLocalRootKeys([createKeyring(THERE).key("vault-root")], systemRandom)] as const;
      const vault = await openVault(here.store.system, { roots });
      const stolen = here.store.forTenant(contextOf(tenant), vault.forTenant(tenant));
      const read = stolen.db.selectFrom("charts").select(["clinic", "number", "finding"]).where("number", "=", "2").execute();
      await assert.rejects(read, { code: "dependency_unavailable" });
      await vault.close();
    });
  });
});
