import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, type Queryable, sql, type Statement } from "../../src/stores/data/index.ts";
import { eachEngine, eachModel } from "../support/engines.ts";
import { storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";
import {
  CLOSED_EXPRESSIONS,
  CLOSED_READS,
  CLOSED_WRITES,
  JOINED_STATEMENTS,
  NOT_DATA_STATEMENTS,
  PRYING_STATEMENTS,
} from "./hostile-statements.ts";
import { written } from "./written-statement.ts";

const A = contextOf("a").tenant.uuid;
const B = contextOf("b").tenant.uuid;

/** All rows of the tenant, as one text. */
async function everythingOf(data: Queryable): Promise<string> {
  const { rows } = await data.query(sql`
    select (select json_agg(d order by id) from documents d) as documents, (select json_agg(u order by id) from users u) as users,
      (select json_agg(s order by id) from sessions s) as sessions, (select json_agg(m order by id) from messages m) as messages`);
  return JSON.stringify(rows);
}

/** What a statement could have left on its connection. */
async function sessionOf(data: Queryable): Promise<unknown> {
  const { rows } = await data.query(sql`
    select current_user, current_setting('app.tenant_id', true) as tenant, current_setting('search_path') as path, current_setting('row_security') as rls,
      current_setting('statement_timeout') as timeout, current_setting('transaction_read_only') as readonly`);
  return rows[0];
}

/** What the attacker gets: rows, or the error with all it holds. */
async function attempt(data: Queryable, statement: Statement): Promise<unknown> {
  try {
    return (await data.query(statement)).rows;
  } catch (error) {
    return error;
  }
}

function codeOf(found: unknown): string | undefined {
  return found instanceof Fault ? found.code : undefined;
}

describe("the text of a statement", () => {
  test("is refused when it is anything but one that reads or writes rows", () => {
    for (const text of NOT_DATA_STATEMENTS) {
      assert.throws(() => written(text), { name: "Fault", code: "forbidden" }, JSON.stringify(text));
    }
  });

  test("is taken when it is one, in any dress", () => {
    const taken = [
      "select 1",
      "SELECT 1",
      "\t\r\n\f select 1",
      "((select 1))",
      "( (values (1)))",
      "-- a\n--b\r\nselect 1",
      "with x as (select 1) select 1",
    ];
    for (const text of [
      ...taken,
      "insert into x values (1)",
      "update x set a = 1",
      "delete from x",
      "merge into x using y on true when matched then delete",
    ]) {
      assert.equal(written(text).text, text);
    }
  });
});

describe("a hostile statement through a tenant's handle", () => {
  eachModel((engine, model) => {
    let store: DataStore;
    let two: TwoTenants;
    let untouched: string;
    let session: unknown;

    before(async () => {
      store = await engine.open();
      two = await storeTwoTenants(store, model);
      untouched = await everythingOf(two.b);
      session = await sessionOf(two.a);
    });

    /** Sends it by itself and in a transaction, and checks what came of it. */
    const attack = async (text: string): Promise<unknown[]> => {
      const alone = await attempt(two.a, written(text));
      const inside: unknown[] = [];
      await two.a
        .transaction(async (tx) => {
          inside.push(await attempt(tx, written(text)));
          inside.push(await attempt(tx, sql`select * from documents`));
          throw new Error("nothing is kept");
        })
        .catch(() => undefined);
      assertNoCanary([alone, ...inside]);
      assert.equal(await everythingOf(two.b), untouched, text);
      assert.deepEqual(await sessionOf(two.a), session, text);
      return [alone, inside[0]];
    };

    test("that joins a second one to it runs neither", async () => {
      for (const text of JOINED_STATEMENTS) {
        for (const found of await attack(text)) assert.equal(codeOf(found), "internal", text);
      }
    });

    test("cannot evaluate what acts outside it", async () => {
      for (const expression of CLOSED_EXPRESSIONS) {
        for (const found of await attack(`select ${expression}`)) {
          // what this version of the engine does not have is closed too
          assert.match(String(found), /42501|42883/, expression);
          assert.ok(["forbidden", "internal"].includes(codeOf(found) ?? ""), expression);
        }
      }
    });

    test("cannot evaluate it in a place where it is easily overlooked either", async () => {
      const set = `set_config('app.tenant_id', '${B}', true)`;
      for (const text of [
        `with s as materialized (select ${set}) select d.* from s, documents d`,
        `select * from (select ${set} offset 0) s, documents`,
        `select title from documents where ${set} is not null`,
        `select title from documents order by ${set}`,
        `select title from documents group by title having max(${set}) <> ''`,
        `select title from documents limit length(${set})`,
        `select case when id = 'nobody' then ${set} end from documents`,
        `select coalesce(${set}, 'x') from documents`,
        `select sum(1) filter (where ${set} = '') over (partition by ${set}) from documents`,
        `select * from unnest(array[${set}]) s`,
        `select * from generate_series(1, length(${set}))`,
        `select * from json_table(jsonb_build_array(${set}), '$[*]' columns (x text path '$'))`,
        `values (${set})`,
        `insert into users (tenant_id, id, name, roles) values ('${A}', 'x', ${set}, '{}')`,
        `insert into users (tenant_id, id, name, roles) values ('${A}', 'user-1', '', '{}') on conflict (tenant_id, id) do update set name = ${set}`,
        `update users set name = ${set} returning ${set}`,
        `delete from users where ${set} = '' returning *`,
        `merge into users u using (values (${set})) v (x) on u.name = v.x when matched then delete`,
        `merge into users u using (values (1)) v (x) on true when matched then update set name = ${set}`,
        `select xmlforest(${set} as x)`,
        `select * from documents tablesample system (length(${set}))`,
      ]) {
        // not every version of the engine has every place
        for (const found of await attack(text)) assert.match(String(found), /42501|42601|42883/, text);
      }
    });

    test("cannot enter another tenant", async () => {
      for (const context of [B, A, "", `${B}.00`, "x"]) {
        for (const found of await attack(`select freehold.enter('${context}')`)) assert.equal(codeOf(found), "forbidden");
        const beside = `with e as materialized (select freehold.enter('${context}')) select d.* from e, documents d`;
        for (const found of await attack(beside)) assert.equal(codeOf(found), "forbidden");
      }
    });

    test("cannot read what is the platform's, the engine's or everybody's", async () => {
      for (const text of CLOSED_READS) {
        for (const found of await attack(text)) assert.match(String(found), /42501|42P01/, text);
      }
      for (const column of ["reltuples", "relpages", "relallvisible"]) {
        for (const found of await attack(`select ${column} from pg_class`)) assert.equal(codeOf(found), "forbidden");
      }
    });

    test("cannot change what is not the tenant's", async () => {
      for (const text of CLOSED_WRITES) {
        for (const found of await attack(text))
          assert.ok(["forbidden", "internal"].includes(codeOf(found) ?? ""), `${text}: ${String(found)}`);
      }
    });

    test("that is allowed shows nothing of another tenant", async () => {
      for (const text of PRYING_STATEMENTS) await attack(text);
    });

    test("gives no row of another tenant's for any table that there is", async () => {
      const { rows } = await two.a.query<{ name: string; columns: string }>(sql`
        select format('%I.%I', n.nspname, c.relname) as name, (select string_agg(quote_ident(attname), ', ') from pg_attribute t
          where t.attrelid = c.oid and attnum > 0 and not attisdropped and has_column_privilege(c.oid, attname, 'select')) as columns
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname not in ('pg_catalog', 'information_schema') and relkind = 'r' and has_schema_privilege(n.oid, 'usage')
          and has_any_column_privilege(c.oid, 'select')`);
      assert.ok(rows.length >= 10, `${rows.length} tables`);
      for (const { name, columns } of rows) {
        const found = await two.a.query<{ tenant_id?: string }>(written(`select ${columns} from ${name}`));
        assertNoCanary(found);
        for (const row of found.rows) assert.ok(row.tenant_id === undefined || row.tenant_id === A, name);
      }
    });
  });
});

describe("the application's role", () => {
  eachEngine((engine) => {
    let data: Queryable;

    before(async () => {
      data = (await engine.open()).forTenant(contextOf("a"));
    });

    test("can call no function with effects but those that only make a value", async () => {
      const { rows } = await data.query<{ name: string }>(sql`
        select distinct n.nspname || '.' || p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where p.provolatile = 'v' and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
          and has_function_privilege(p.oid, 'execute') and has_schema_privilege(n.oid, 'usage')`);
      const open = ["clock_timestamp", "gen_random_uuid", "random", "random_normal", "timeofday", "uuidv4", "uuidv7"].map(
        (name) => `pg_catalog.${name}`,
      );
      for (const { name } of rows) assert.ok(open.includes(name) || (name === "freehold.enter" && engine.name === "PostgreSQL"), name);
    });

    test("can call no function that runs SQL given as text, and none that runs with its owner's rights but to learn its tenant", async () => {
      const { rows } = await data.query<{ name: string }>(sql`
        select n.nspname || '.' || p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where has_function_privilege(p.oid, 'execute') and has_schema_privilege(n.oid, 'usage') and p.prorettype <> 'trigger'::regtype
          and (p.prosecdef or p.proname ~ '_to_xml|^ts_stat$|^ts_rewrite$|^dblink|^crosstab|^connectby|^pg_stat_get|_exec$')`);
      for (const { name } of rows) assert.ok(engine.name === "PostgreSQL" && name === "freehold.enter", name);
    });

    test("has no right on any relation beyond those of its tenant's rows", async () => {
      const { rows } = await data.query<{ name: string; rights: string }>(sql`
        select c.relname as name, concat_ws(' ', case when has_any_column_privilege(c.oid, 'select') then 'select' end,
          case when has_any_column_privilege(c.oid, 'insert') then 'insert' end, case when has_any_column_privilege(c.oid, 'update') then 'update' end,
          case when has_table_privilege(c.oid, 'delete') then 'delete' end, case when has_table_privilege(c.oid, 'truncate') then 'truncate' end,
          case when has_any_column_privilege(c.oid, 'references') then 'references' end, case when has_table_privilege(c.oid, 'trigger') then 'trigger' end) as rights
        from pg_class c where c.relnamespace in ('freehold'::regnamespace, 'freehold_private'::regnamespace) and relkind in ('r', 'p', 'v', 'm', 'f')
        order by c.relname collate "C"`);
      const found = Object.fromEntries(rows.filter(({ rights }) => rights !== "").map(({ name, rights }) => [name, rights]));
      const all = "select insert update delete";
      for (const [name, rights] of Object.entries(found)) {
        assert.ok(!/truncate|references|trigger/.test(rights), name);
        if (name === "migrations") assert.equal(rights, "select");
      }
      for (const name of ["api_keys", "context_key", "plans", "registry_changes", "tenant_domains", "tenant_secrets", "tenants"]) {
        assert.equal(found[name], undefined, name);
      }
      for (const name of ["documents", "messages", "points", "sessions", "users"]) assert.equal(found[name], all, name);
    });

    test("is held to one policy on each table of tenants, and every such table begins its keys with the tenant", async () => {
      const loose = await data.query<{ name: string }>(sql`
        select c.relname as name from pg_class c join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id'
        where c.relnamespace = 'freehold'::regnamespace and c.relkind = 'r' and has_any_column_privilege(c.oid, 'select, insert, update')
          and (not t.attnotnull or not c.relrowsecurity or not c.relforcerowsecurity
            or exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indkey[0] <> t.attnum)
            or exists (select from pg_constraint f where f.conrelid = c.oid and f.contype = 'f' and f.conkey[1] <> t.attnum)
            or exists (select from pg_inherits h where c.oid in (h.inhrelid, h.inhparent)))`);
      assert.deepEqual(loose.rows, []);
    });
  });
});
