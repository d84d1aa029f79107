import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemRandom } from "../../src/kernel/index.ts";
import { sql, type TenantData } from "../../src/stores/data/index.ts";
import { eachEngine } from "../support/engines.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";
import { written } from "./written-statement.ts";

/** Reads of each worker. */
const READS = Number(process.env["FREEHOLD_TEST_READS"] ?? 150);
const WORKERS = 24;
const TENANTS = 40;
const HOSTILE_SHARE = 0.12;

const VICTIM = contextOf("b").tenant.uuid;

/** Statements that fail, stop half-way or try to leave something on the connection for the next one. */
const HOSTILE: readonly string[] = [
  "select 1 / 0",
  "selec",
  "select from nowhere",
  `insert into freehold.documents (tenant_id, id, title, body, created_by) values ('${VICTIM}', 'x', '', '', '')`,
  `select set_config('app.tenant_id', '${VICTIM}', false)`,
  "select pg_terminate_backend(pg_backend_pid())",
  "select pg_sleep(0.01)",
  "select 1; begin",
  "select 1 into temp t",
  "select repeat('[', 100000)::jsonb",
  "select * from freehold.documents for update",
  "select (array[1, 2])[0]::text::integer / 0",
];

describe("twenty-four workers over few connections", () => {
  eachEngine((engine) => {
    test("never get a row of another tenant, whatever is sent between their reads", async (t) => {
      const store = await engine.open();
      const tenants = Array.from({ length: TENANTS }, (_, at) => {
        const { tenant } = contextOf(at === 0 ? "b" : `tenant-${at}`);
        return { uuid: tenant.uuid, data: store.forTenant(contextOf(tenant)) };
      });
      await Promise.all(tenants.map(({ uuid, data }) => storeDocuments(data, uuid)));
      let reads = 0;
      const worker = async (): Promise<void> => {
        for (let n = 0; n < READS; n++) {
          const { uuid, data } = pick(tenants);
          if (chance() < HOSTILE_SHARE) {
            await sendHostile(data).catch((error: unknown) => {
              if (uuid !== VICTIM) assertNoCanary(error);
            });
          }
          const { rows } = await data.query<{ tenant_id: string }>(sql`select tenant_id from freehold.documents where id <= ${"doc-3"}`);
          assert.deepEqual(
            rows.map((row) => row.tenant_id),
            [uuid, uuid, uuid],
          );
          reads++;
        }
      };
      await Promise.all(Array.from({ length: WORKERS }, worker));
      t.diagnostic(`${reads} reads`);
      assert.equal(reads, READS * WORKERS);
    });
  });
});

async function sendHostile(data: TenantData): Promise<void> {
  const statement = written(pick(HOSTILE)); // refused here, or by the engine
  if (chance() < 0.5) await data.query(statement);
  else await data.transaction((tx) => tx.query(statement));
}

async function storeDocuments(data: TenantData, uuid: string): Promise<void> {
  for (const id of ["doc-1", "doc-2", "doc-3"]) {
    await data.query(
      sql`insert into freehold.documents (tenant_id, id, title, body, created_by) values (${uuid}, ${id}, '', '', 'user-1')`,
    );
  }
}

function chance(): number {
  return systemRandom.bytes(4).readUInt32BE() / 2 ** 32;
}

function pick<T>(of: readonly T[]): T {
  const found = of[Math.floor(chance() * of.length)];
  assert.ok(found !== undefined);
  return found;
}
