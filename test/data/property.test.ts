import { before, describe, test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { Fault } from "../../src/kernel/index.ts";
import { type Queryable, sql } from "../../src/stores/data/index.ts";
import { eachModel } from "../support/engines.ts";
import { storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";
import { statements } from "./statement-grammar.ts";
import { written } from "./written-statement.ts";

/** How many scripts are tried per engine. */
const RUNS = Number(process.env["FREEHOLD_TEST_RUNS"] ?? 300);
const B = contextOf("b").tenant.uuid;

async function everythingOf(data: Queryable): Promise<unknown> {
  const { rows } = await data.query(sql`
    select (select json_agg(d order by id) from documents d) as documents, (select json_agg(u order by id) from users u) as users,
      (select json_agg(s order by id) from sessions s) as sessions`);
  return rows;
}

/** Sends each statement; gives what came back. What fails in a transaction ends it. */
async function send(data: Queryable, script: readonly string[]): Promise<unknown[]> {
  const seen: unknown[] = [];
  for (const text of script) {
    try {
      seen.push((await data.query(written(text))).rows);
    } catch (error) {
      assert.ok(error instanceof Fault);
      assert.ok(["internal", "forbidden", "conflict"].includes(error.code), `${error.code} ${error.message}`);
      seen.push(error);
    }
  }
  return seen;
}

describe("whatever statements a tenant sends", () => {
  eachModel((engine, model) => {
    let two: TwoTenants;
    let untouched: unknown;

    before(async () => {
      two = await storeTwoTenants(await engine.open(), model);
      untouched = await everythingOf(two.b);
    });

    test(`it sees and changes nothing of another tenant (${RUNS} scripts)`, async (t) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      t.diagnostic(`seed ${seed}`);
      let answered = 0;
      await fc.assert(
        fc.asyncProperty(statements, fc.boolean(), async (script, inTransaction) => {
          const seen: unknown[] = [];
          if (inTransaction) {
            const kept = two.a.transaction(async (tx) => void seen.push(...(await send(tx, script))));
            await kept.catch((error: unknown) => assert.ok(error instanceof Fault));
          } else {
            seen.push(...(await send(two.a, script)));
          }
          answered += seen.filter((each) => Array.isArray(each)).length;
          assertNoCanary(seen);
          const others = JSON.stringify(seen.filter((each) => Array.isArray(each))).split(B).length - 1;
          assert.equal(others, 0, "no row names the other tenant");
          assert.deepEqual(await everythingOf(two.b), untouched);
        }),
        { numRuns: RUNS, seed },
      );
      t.diagnostic(`${answered} statements answered with rows`);
      assert.ok(answered > RUNS / 2, "most of the grammar is valid SQL");
    });
  });
});
