import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { startModels } from "./models-under-test.ts";

const freehold = await startFreehold();
await startModels(freehold);
const operator = freehold.trusted(freehold.platform.admin);
const members = { a: freehold.as(freehold.credentials.a.member), b: freehold.trusted(freehold.credentials.b.member) };
const messages = [{ role: "user", content: "Say something." }];

const DAY_MS = 86_400_000;
const monthAgo = (months: number): Date => {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - months, 1));
};
const dayAgo = (days: number, hours = 0, minutes = 0): Date =>
  new Date((Math.floor(Date.now() / DAY_MS) - days) * DAY_MS + hours * 3_600_000 + minutes * 60_000);
/** A day before the last two that is no first of a month, with which a month could have begun. */
const plainDay = [3, 4].find((days) => dayAgo(days).getUTCDate() !== 1) ?? 0;

/** Periods that are over for so long that nothing can depend on them, and those that count or just did. */
const OLD: Readonly<Record<string, Date>> = {
  "a minute": dayAgo(2, 5, 7),
  "an hour": dayAgo(2, 5),
  "a day": dayAgo(plainDay),
  "a month": monthAgo(2),
};
const KEPT: Readonly<Record<string, Date>> = {
  "the month, whose day is over": monthAgo(0),
  "the minute": new Date(Math.floor(Date.now() / 60_000) * 60_000),
  "the day": dayAgo(0),
  "a minute of the last day": new Date(Math.floor(Date.now() / 60_000) * 60_000 - DAY_MS + 3_600_000),
};
const TENANTS = ["a", "b"] as const;

async function use(tenant: string, budget: string, period: Date): Promise<void> {
  await freehold.sql(
    `insert into freehold.model_use (tenant_id, budget, subject, period, granted, settled)
     select uuid, $2, '', $3, 5, 5 from freehold.tenants where id = $1`,
    [tenant, budget, period],
  );
}

/** What is left of what this test has written, and of its budget; a plan's quotas are budgets too. */
async function left(): Promise<readonly string[]> {
  const rows = await freehold.sql<{ name: string }>(
    `select t.id || ' ' || budget as name from freehold.model_use u join freehold.tenants t on t.uuid = u.tenant_id where budget = any($1)`,
    [[...Object.keys(OLD), ...Object.keys(KEPT), "a minute that is leased", "many", "few"]],
  );
  return rows.map(({ name }) => name).toSorted();
}

describe("what was used of budgets", () => {
  guard(freehold);

  test("is forgotten when its period is over, by several gateways at once, and everything that counts is kept", async () => {
    const budgets = [{ name: "few", unit: "requests", per: "month", limit: 1 }];
    await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: { models: [], budgets } } });
    const ask = async (): Promise<number> => (await members.a.post("/v1/chat/completions", { model: "small", messages })).status;
    assert.equal(await ask(), 200);
    for (const tenant of TENANTS) {
      for (const [name, period] of [...Object.entries(OLD), ...Object.entries(KEPT)]) await use(tenant, name, period);
      await use(tenant, "a minute that is leased", dayAgo(2, 6, 8));
    }
    // by a gateway that was stopped, and may go on
    await freehold.sql(
      `insert into freehold.model_leases select tenant_id, budget, subject, period, gen_random_uuid(), 1, now() from freehold.model_use
       where budget = 'a minute that is leased'`,
    );
    await freehold.sql(
      `insert into freehold.model_use (tenant_id, budget, subject, period) select uuid, 'many', n::text, $1
      from freehold.tenants, generate_series(1, 6000) n where id = 'a'`,
      [dayAgo(2, 5, 7)],
    );
    await Promise.all([freehold.second(), freehold.second()]);
    const kept = TENANTS.flatMap((tenant) => [...Object.keys(KEPT), "a minute that is leased"].map((name) => `${tenant} ${name}`));
    await until("old periods to be gone", async () => (await left()).length === kept.length + 1);
    assert.deepEqual(await left(), [...kept, "a few"].toSorted());
    assert.equal(await ask(), 429);
  });

  test("is written by gateways that are forgotten when they are gone", async () => {
    assert.equal((await members.b.post("/v1/chat/completions", { model: "small", messages })).status, 200);
    await until("the batch of this gateway", async () => (await freehold.sql("select 1 from freehold.model_gateways")).length > 0);
    await freehold.sql(
      "insert into freehold.model_gateways select gen_random_uuid(), 7777777, now() - interval '8 days' from generate_series(1, 3)",
    );
    await freehold.sql("insert into freehold.model_gateways values (gen_random_uuid(), 7777777, now() - interval '6 days')");
    await freehold.second();
    const gone = "select 1 from freehold.model_gateways where seen_at < now() - interval '7 days'";
    await until("gateways that are gone to be forgotten", async () => (await freehold.sql(gone)).length === 0);
    const [row] = await freehold.sql<{ others: number; count: number }>(
      "select count(*) filter (where batch = 7777777)::int as others, count(*)::int as count from freehold.model_gateways",
    );
    assert.ok(row?.others === 1 && row.count > 1, JSON.stringify(row));
    assert.equal((await members.b.post("/v1/chat/completions", { model: "small", messages })).status, 200);
  });
});
