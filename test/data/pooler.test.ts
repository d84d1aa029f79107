import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { createDataStore, type DataStore, sql } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { asAdministrator, freshDatabase } from "../support/databases.ts";
import { type PoolerMode, startPooler } from "../support/pgbouncer.ts";
import { contextOf } from "../support/tenants.ts";

const TENANTS = 50;
/** Of the process; the pooler keeps as many for each login. */
const CONNECTIONS = 8;

/** A database behind a pooler that is stopped with the test. */
async function pooled(t: TestContext, mode: PoolerMode): Promise<{ readonly direct: string; readonly url: string }> {
  const direct = await freshDatabase();
  const pooler = await startPooler(direct, mode);
  t.after(() => pooler.stop());
  return { direct, url: pooler.url };
}

async function open(url: string): Promise<DataStore> {
  return await createDataStore({ kind: "postgres", url, connectionsMax: CONNECTIONS }, testPorts());
}

function tells(pattern: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === "dependency_unavailable" && pattern.test(String(error.public.detail));
}

describe("a pooler that gives each transaction another connection", () => {
  const modes: readonly PoolerMode[] = [
    { mode: "transaction", connectionsMax: 1 },
    { mode: "transaction", connectionsMax: 4 },
    { mode: "transaction", connectionsMax: 4, inTurn: true },
  ];
  for (const mode of modes) {
    test(`of ${mode.connectionsMax}${mode.inTurn ? ", in turn" : ""}, is refused at the start and nothing is made`, async (t) => {
      const { direct, url } = await pooled(t, mode);
      await holdTogether(url, mode.connectionsMax);
      await assert.rejects(open(url), tells(/pooler gives every transaction another connection.*session mode/));
      const { rows } = await asAdministrator(direct, (client) => client.query("select from pg_namespace where nspname = 'freehold'"));
      assert.equal(rows.length, 0);
    });
  }
});

describe("a pooler that gives each session a connection", () => {
  test("keeps fifty tenants on few connections apart, and leaves nothing of them for whoever gets the connection next", async (t) => {
    const { url } = await pooled(t, { mode: "session", connectionsMax: CONNECTIONS });
    const first = await open(url);
    const tenants = Array.from({ length: TENANTS }, (_, at) => contextOf(`tenant-${at}`));
    try {
      await Promise.all(
        tenants.map(({ tenant }) =>
          first
            .forTenant(contextOf(tenant))
            .query(sql`insert into users (tenant_id, id, name, roles) values (${tenant.uuid}, 'user-1', ${tenant.id}, '{}')`),
        ),
      );
    } finally {
      await first.close();
    }
    const second = await open(url); // its own test at the start reads without a tenant on each kind of connection
    try {
      await Promise.all(
        tenants.map(async ({ tenant }) => {
          const { rows } = await second.forTenant(contextOf(tenant)).query<{ name: string }>(sql`select name from users`);
          assert.deepEqual(rows, [{ name: tenant.id }]);
        }),
      );
    } finally {
      await second.close();
    }
  });

  test("that knows the administrator only is told of with the role that it does not let in", async (t) => {
    const { url } = await pooled(t, { mode: "session", connectionsMax: CONNECTIONS, looksUpPasswords: false });
    await assert.rejects(open(url), tells(/does not let in the role fhtest_\w+_app.*auth_query/));
  });
});

/** Makes the pooler open so many connections: transactions that are open at the same time. */
async function holdTogether(url: string, count: number): Promise<void> {
  const hold = async (left: number): Promise<void> => {
    if (left === 0) return;
    await asAdministrator(url, async (client) => {
      await client.query("begin");
      await hold(left - 1);
      await client.query("commit");
    });
  };
  await hold(count);
}
