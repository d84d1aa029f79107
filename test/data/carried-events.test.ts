import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { createDataStore, type DataStore, sql, type TenantData } from "../../src/stores/data/index.ts";
import { enterInbox } from "../../src/stores/events/inbox.ts";
import { testPorts } from "../support/data-ports.ts";
import { createEngine, type Place } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";

const A = contextOf("a").tenant;
const EVENTS = 40;

describe("events that a tenant publishes in a database of its own", () => {
  const engine = createEngine("PostgreSQL");
  let place: Place;
  let stores: readonly [DataStore, DataStore];

  before(async () => {
    place = await engine.place();
    const first = await place.open();
    await first.homes.place(A, "database");
    assert.ok(place.location.kind === "postgres");
    stores = [first, await createDataStore(place.location, testPorts())];
  });
  after(async () => {
    await stores[1].close();
    await engine.close();
  });

  const publish = async (data: TenantData, key: string): Promise<void> => {
    await data.transaction(async (tx) => {
      await tx.query(sql`insert into users (tenant_id, id, name, roles) values (${A.uuid}, ${key}, 'x', '{}')`);
      await tx.query(sql`insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope)
        values (${A.uuid}, ${randomUUID()}, 'users', ${key}, 'sealed')`);
    });
  };

  test("come to the installation's outbox in their order, each once, with two processes carrying, and none of what was not stored", async () => {
    const [one, two] = stores;
    const arrived = async (): Promise<readonly string[]> => {
      const { rows } = await one.system.query<{ key: string }>(sql`
        select partition_key as key from freehold.outbox where tenant_id = ${A.uuid} order by seq`);
      return rows.map(({ key }) => key);
    };
    let look: () => void = () => {};
    await one.system.listen(
      "freehold_events",
      () => look(),
      () => look(),
    );
    const all = new Promise<void>((resolve) => {
      look = () => void arrived().then((keys) => (keys.length >= EVENTS ? resolve() : undefined));
    });
    const failed = one.forTenant(contextOf("a")).transaction(async (tx) => {
      await tx.query(sql`insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope)
        values (${A.uuid}, ${randomUUID()}, 'users', 'never', 'sealed')`);
      throw new Error("not stored");
    });
    await assert.rejects(failed, /not stored/);
    for (let at = 0; at < EVENTS; at++) await publish((at % 2 === 0 ? one : two).forTenant(contextOf("a")), String(at).padStart(3, "0"));
    await all;
    const keys = await arrived();
    assert.deepEqual(keys, [...keys].toSorted());
    assert.deepEqual(new Set(keys).size, EVENTS);
    assert.equal(keys.length, EVENTS);
  });

  test("are handled once: the first to note it in the tenant's transaction has the effect", async () => {
    const delivery = {
      tenantUuid: A.uuid,
      consumer: "c",
      eventId: randomUUID(),
      lease: randomUUID(),
      key: "k",
      envelope: "",
      attempts: 1,
      lastError: null,
    };
    const data = stores[0].forTenant(contextOf("a"));
    const entered = await Promise.all([1, 2, 3].map(() => data.transaction((tx) => enterInbox(tx, delivery))));
    assert.equal(entered.filter(Boolean).length, 1);
  });

  test("are not left behind when the tenant moves, nor do later ones overtake them", async () => {
    const [one] = stores;
    await publish(one.forTenant(contextOf("a")), "900");
    await one.homes.move(A, "row");
    await publish(one.forTenant(contextOf("a")), "901");
    const { rows } = await one.system.query<{ key: string }>(sql`
      select partition_key as key from freehold.outbox where tenant_id = ${A.uuid} order by seq desc limit 2`);
    assert.deepEqual(
      rows.map(({ key }) => key),
      ["901", "900"],
    );
    await one.homes.confirm(A);
  });
});
