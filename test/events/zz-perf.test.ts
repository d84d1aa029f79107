import { after, test } from "node:test";
import { createEngine } from "/work/main/test/support/engines.ts";
import { sql } from "/work/main/src/stores/data/index.ts";
import { createEventHouse, recorder } from "/work/main/test/events/event-house.ts";
import { contextOf } from "/work/main/test/support/tenants.ts";
for (const name of ["PGlite","PostgreSQL"] as const) test(name, async () => {
  const engine = createEngine(name);
  const data = await engine.open();
  const { consumer } = recorder();
  const house = createEventHouse(data, [consumer]);
  const N = name === "PGlite" ? 20000 : 200000;
  const a = contextOf("a").tenant.uuid;
  // one lane of N, and N lanes of 1, fixed seq
  let t = performance.now();
  for (let i = 0; i < N; i += 10000) await data.system.query(sql`insert into freehold.deliveries (tenant_id, consumer, event_id, seq, partition_key, envelope, due_at)
    select ${a}, 'recorder', gen_random_uuid(), g, case when g % 2 = 0 then 'one' else 'k' || g end, repeat('x', 500), now() from generate_series(${i}::integer + 1, ${i}::integer + 10000) g`);
  console.log(name, "insert", N, performance.now() - t);
  for (let i = 0; i < 200; i++) await data.system.query(sql`insert into freehold.deliveries (tenant_id, consumer, event_id, seq, partition_key, envelope)
    values (${contextOf("t" + i).tenant.uuid}, 'recorder', gen_random_uuid(), ${1e7 + i}::bigint, 'k', 'x')`);
  const times: number[] = [];
  let count = 0;
  for (let i = 0; i < 60; i++) {
    t = performance.now();
    const c = await house.bus.claim("recorder", { limit: 16, perTenantMax: 4, underWay: new Map(), leaseMs: 60000 });
    times.push(performance.now() - t); count += c.length;
    if (i > 20) for (const d of c) await house.bus.settle(d, { kind: "done" });
  }
  console.log(name, "claims", count, times.map((x) => x.toFixed(1)).join(" "));
  t = performance.now();
  console.log(await house.worker().lag(), performance.now() - t);
  const { rows } = await data.system.query<any>(sql`select count(*) filter (where due_at is not null) as flagged, count(*) as all from freehold.deliveries`);
  console.log(rows);
  // outbox throughput
  const ctx = contextOf("b"); 
  for (let k = 0; k < 10; k++) await data.forTenant(ctx).transaction(async (tx) => { const e = house.events.forTenant(ctx); for (let n = 0; n < 200; n++) await e.publish(tx, { topic: "user.events", type: "user.created", key: "k" + (n % 50), data: { n } }); });
  t = performance.now(); let m = 0, x; while ((x = await house.bus.relay()) > 0) m += x;
  console.log(name, "relayed", m, performance.now() - t);
  await engine.close();
});
