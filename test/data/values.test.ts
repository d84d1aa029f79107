import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, sql, type Statement, type TenantData } from "../../src/stores/data/index.ts";
import { eachEngine } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";

describe("a value", () => {
  eachEngine((engine) => {
    let store: DataStore;
    let data: TenantData;

    before(async () => {
      store = await engine.open();
      data = store.forTenant(contextOf("a"));
    });

    const only = async (statement: Statement): Promise<unknown> => {
      const { rows } = await data.query<{ value: unknown }>(statement);
      assert.equal(rows.length, 1);
      return rows[0]?.value;
    };

    test("comes back as it was given", async () => {
      assert.equal(await only(sql`select ${"text with ' and \\ and $1 and ☃"}::text as value`), "text with ' and \\ and $1 and ☃");
      assert.equal(await only(sql`select ${""}::text as value`), "");
      assert.equal(await only(sql`select ${null}::text as value`), null);
      assert.equal(await only(sql`select ${true}::boolean as value`), true);
      assert.equal(await only(sql`select ${-7}::integer as value`), -7);
      assert.equal(await only(sql`select ${0.1}::float8 as value`), 0.1);
      assert.deepEqual(await only(sql`select ${Buffer.from([0, 255, 92])}::bytea as value`), Buffer.from([0, 255, 92]));
      assert.equal(await only(sql`select ${contextOf("a").tenant.uuid}::uuid as value`), contextOf("a").tenant.uuid);
    });

    test("of type int8 is a number, exact up to the largest that JavaScript has, and refused beyond", async () => {
      for (const value of [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
        assert.equal(await only(sql`select ${value}::int8 as value`), value);
      }
      await assert.rejects(only(sql`select ${"9007199254740993"}::int8 as value`), { name: "Fault", code: "internal" });
      assert.equal(await only(sql`select count(*) as value from freehold.documents`), 0);
    });

    test("of a time keeps its milliseconds and is the same instant", async () => {
      const at = new Date("2026-11-20T23:59:59.123Z");
      assert.deepEqual(await only(sql`select ${at}::timestamptz as value`), at);
      assert.equal(await only(sql`select extract(epoch from ${at}::timestamptz)::float8 * 1000 as value`), at.getTime());
    });

    test("that is a list or a JSON document keeps its shape", async () => {
      const words = ["plain", 'with "quotes"', "with, comma", "{}", "", "null", "back\\slash"];
      assert.deepEqual(await only(sql`select ${words}::text[] as value`), words);
      assert.deepEqual(await only(sql`select ${[]}::text[] as value`), []);
      assert.deepEqual(await only(sql`select ${[1, null, 3]}::integer[] as value`), [1, null, 3]);
      const document = { deep: [{ a: null, b: 1.5, $1: "x'y" }], empty: {}, text: "☃" };
      assert.deepEqual(await only(sql`select ${document}::jsonb as value`), document);
      assert.deepEqual(await only(sql`select ${JSON.stringify([1, "a"])}::jsonb as value`), [1, "a"]);
    });

    test("is never read as SQL", async () => {
      const text = "x'); delete from freehold.documents; --";
      assert.equal(await only(sql`select ${text}::text as value`), text);
      assert.equal(await only(sql`select ${"1) or (1=1"}::text as value where ${"'a' = 'a'"}::text <> ''`), "1) or (1=1");
    });

    test("that cannot be encoded is a fault, and the next statement is answered", async () => {
      const circle: { self?: unknown } = {};
      circle.self = circle;
      const hostile = {
        toJSON() {
          throw new Error("no");
        },
      };
      for (const value of [circle, hostile, "nul \0 inside", { big: 1n }]) {
        await assert.rejects(data.query(sql`select ${"before"}::text, ${value}::text as value`), { name: "Fault", code: "internal" });
        assert.equal(await only(sql`select ${"after"}::text as value`), "after");
      }
      const work = data.transaction(async (tx) => {
        await assert.rejects(tx.query(sql`select ${circle}::jsonb`), { name: "Fault" });
        throw new Error("given up");
      });
      await assert.rejects(work, /given up/);
    });

    test("that the statement does not take, and SQL that is wrong, give a fault without SQL or values in its public part", async () => {
      const wrong = [
        sql`select secret_column from freehold.documents where title = ${"secret value"}`,
        sql`select ${"secret value"}::integer`,
        sql`select from nowhere`,
        sql`select 1 frm frm`,
        sql`select 1 / ${0}::integer`,
        sql`insert into freehold.documents (tenant_id) values (${contextOf("a").tenant.uuid})`,
      ];
      for (const statement of wrong) {
        await assert.rejects(data.query(statement), (error) => {
          assert.ok(error instanceof Fault);
          assert.equal(error.code, "internal");
          assert.deepEqual(error.public, {});
          return true;
        });
      }
      assert.equal(await only(sql`select 1 as value`), 1);
      assert.deepEqual(store.health(), { ok: true });
    });
  });
});
