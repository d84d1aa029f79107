import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { createDataStore, type DataStore, sql, type TenantData } from "../../src/stores/data/index.ts";
import { ConnectionBudget, type PoolSpec } from "../../src/stores/data/connection-budget.ts";
import { TurnLine } from "../../src/stores/data/turn-line.ts";
import { testPorts } from "../support/data-ports.ts";
import { createEngine, type Place } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";

/** A quarter is the platform's; of the six for tenants one tenant may hold three. */
const CONNECTIONS_MAX = 8;
const PER_TENANT_MAX = 3;

function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}

describe("the connections of a process", () => {
  const engine = createEngine("PostgreSQL");
  let place: Place;
  let store: DataStore;
  const names = Array.from({ length: 12 }, (_, at) => `t${at}`);

  before(async () => {
    place = await engine.place();
    await (await place.open()).close();
    assert.ok(place.location.kind === "postgres");
    store = await createDataStore({ ...place.location, connectionsMax: CONNECTIONS_MAX }, testPorts());
    for (const name of names.slice(0, 8)) await store.homes.place(contextOf(name).tenant, "schema");
  });
  after(async () => {
    await store.close();
    await engine.close();
  });

  const data = (name: string): TenantData => store.forTenant(contextOf(name));
  const open = async (): Promise<number> => {
    const [found] = await place.administer<{ n: number }>(
      "select count(*)::int as n from pg_stat_activity where application_name = 'freehold' and datname = current_database()",
    );
    return found?.n ?? 0;
  };

  test("stay within the budget, however many tenants have a login of their own", async () => {
    for (let round = 0; round < 3; round++) {
      const asked = names.flatMap((name) => Array.from({ length: 5 }, () => data(name).query(sql`select count(*) as n from documents`)));
      const seen = Promise.all(Array.from({ length: 5 }, () => open()));
      await Promise.all(asked);
      for (const count of await seen) assert.ok(count <= CONNECTIONS_MAX, `${count} connections`);
    }
    assert.ok((await open()) <= CONNECTIONS_MAX);
  });

  test("are not all one tenant's: with its transactions open as long as it likes, others are served", async () => {
    for (const greedy of ["t0", "t9"]) {
      const end = gate();
      let begun = 0;
      const all = gate();
      const held = Array.from({ length: 20 }, () =>
        data(greedy).transaction(async (tx) => {
          await tx.query(sql`select 1`);
          if (++begun === PER_TENANT_MAX) all.open();
          await end.opened;
        }),
      );
      await all.opened;
      for (const name of names) if (name !== greedy) await data(name).query(sql`select 1`);
      assert.equal(begun, PER_TENANT_MAX, "no more of its transactions were let in");
      end.open();
      await Promise.all(held);
      assert.equal(begun, 20);
    }
  });

  test("are given in turn: of many statements of one tenant and one of another, the one does not come last", async () => {
    const ends = [gate(), gate()];
    const holders = ["t1", "t2"].flatMap((name, at) =>
      Array.from({ length: PER_TENANT_MAX }, () => data(name).transaction(async () => await ends[at]?.opened)),
    );
    const order: string[] = [];
    const ask = async (name: string): Promise<void> => {
      await data(name).query(sql`select 1`);
      order.push(name);
    };
    const many = Array.from({ length: 30 }, () => ask("t10"));
    const one = ask("t11");
    for (const end of ends) end.open();
    await Promise.all([...many, one, ...holders]);
    assert.ok(order.indexOf("t11") < order.lastIndexOf("t10"), order.join(" "));
  });

  test("that were left in the middle of something are not used again", async () => {
    await data("t4")
      .transaction(async (tx) => {
        await tx.query(sql`select 1`);
        throw new Error("given up");
      })
      .catch(() => undefined);
    const { rows } = await data("t4").query<{ n: number }>(sql`select count(*) as n from documents`);
    assert.equal(rows[0]?.n, 0);
  });
});

describe("a budget of connections", () => {
  test("refuses to give a tenant's connection on behalf of another", async () => {
    const budget = new ConnectionBudget({ connectionsMax: 1, perTenantMax: 1, acquireTimeoutMs: 1000, idleTimeoutMs: 0, report: () => {} });
    const spec: PoolSpec = { key: "own", tenant: "a", connect: () => Promise.reject(new Error("must not be asked")) };
    await assert.rejects(budget.acquire(spec, "b"), { code: "isolation_violation" });
    await budget.close();
  });

  test("closes an unused connection of another set for who has waited, also where its timer is early by the clock", async () => {
    const engine = createEngine("PostgreSQL");
    const { location } = await engine.place();
    assert.ok(location.kind === "postgres");
    const budget = new ConnectionBudget({ connectionsMax: 2, perTenantMax: 1, acquireTimeoutMs: 1000, idleTimeoutMs: 0, report: () => {} });
    const connect = async (): Promise<pg.Client> => {
      const client = new pg.Client({ connectionString: location.url });
      await client.connect();
      return client;
    };
    const shared: PoolSpec = { key: "shared", tenant: undefined, connect };
    const kept = await budget.acquire(shared, "a");
    // timers count whole milliseconds: one that is set within a millisecond is early by that part of it, if the loop turns just then
    const now = (): number => Number(process.hrtime.bigint()) / 1e6;
    for (let round = 0; round < 10; round++) {
      (await budget.acquire({ key: "own", tenant: "b", connect }, "b")).release(true);
      while (now() % 1 < 0.5);
      const asked = budget.acquire(shared, "c");
      for (const since = Math.floor(now()); Math.floor(now()) - since < 25;);
      (await asked).release(true);
    }
    kept.release(true);
    await budget.close();
    await engine.close();
  });

  test("gives its room to who waits, also where the other side of the connection that is closed for it no longer answers", async () => {
    const engine = createEngine("PostgreSQL");
    const { location } = await engine.place();
    assert.ok(location.kind === "postgres");
    const { hostname, port } = new URL(location.url);
    const sockets: Socket[] = [];
    // once it is silent it passes nothing on, and closes nothing: a firewall that has forgotten the connection
    const between = createServer({ allowHalfOpen: true }, (from) => {
      const to = createConnection({ host: hostname, port: Number(port), allowHalfOpen: true });
      sockets.push(from, to);
      from.pipe(to);
      to.pipe(from);
    });
    await once(between.listen(0, "127.0.0.1"), "listening");
    const through = new URL(location.url);
    through.port = String((between.address() as AddressInfo).port);
    const budget = new ConnectionBudget({ connectionsMax: 1, perTenantMax: 1, acquireTimeoutMs: 1000, idleTimeoutMs: 0, report: () => {} });
    const connectTo = (url: string) => async (): Promise<pg.Client> => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      return client;
    };
    (await budget.acquire({ key: "own", tenant: "b", connect: connectTo(through.href) }, "b")).release(true);
    for (const socket of sockets) socket.unpipe().pause();
    const lease = await budget.acquire({ key: "shared", tenant: undefined, connect: connectTo(location.url) }, "a");
    assert.deepEqual((await lease.client.query("select 1 as one")).rows, [{ one: 1 }]);
    assert.deepEqual(budget.use, { connections: 1, pools: 1 });
    lease.release(true);
    await budget.close();
    for (const socket of sockets) socket.destroy();
    between.close();
    await engine.close();
  });

  test("goes on after connections that could not be opened, and tells who asked", async () => {
    const budget = new ConnectionBudget({ connectionsMax: 2, perTenantMax: 1, acquireTimeoutMs: 1000, idleTimeoutMs: 0, report: () => {} });
    const spec: PoolSpec = { key: "broken", tenant: undefined, connect: () => Promise.reject(new Error("refused")) };
    for (let times = 0; times < 5; times++) await assert.rejects(budget.acquire(spec, `t${times}`), { code: "dependency_unavailable" });
    assert.deepEqual(budget.use, { connections: 0, pools: 0 });
    await budget.close();
  });
});

describe("a line with turns", () => {
  test("gives each holder one turn before any gets a second, whatever the order of arrival", () => {
    const line = new TurnLine<string>();
    for (const at of [1, 2, 3, 4]) line.add("flood", `flood ${at}`);
    line.add("quiet", "quiet 1");
    line.add("calm", "calm 1");
    const order: string[] = [];
    for (let next = line.next(() => true); next; next = line.next(() => true)) {
      order.push(next.item);
      line.remove(next.holder, next.item);
    }
    assert.deepEqual(order, ["flood 1", "quiet 1", "calm 1", "flood 2", "flood 3", "flood 4"]);
  });

  test("passes over who may not have one, who keeps the place", () => {
    const line = new TurnLine<string>();
    line.add("full", "full 1");
    line.add("free", "free 1");
    assert.equal(line.next((holder) => holder !== "full")?.item, "free 1");
    assert.equal(line.next(() => true)?.item, "full 1");
    assert.deepEqual(line.clear(), ["full 1", "free 1"]);
  });
});
