import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import type { Client } from "../support/freehold-client.ts";
import { until } from "../support/until.ts";
import { putModels, startModels } from "./models-under-test.ts";

const freehold = await startFreehold();
const provider = await startModels(freehold);
const members = { a: freehold.as(freehold.credentials.a.member), b: freehold.trusted(freehold.credentials.b.member) };
const admins = { a: freehold.as(freehold.credentials.a.admin), b: freehold.trusted(freehold.credentials.b.admin) };
const operator = freehold.trusted(freehold.platform.admin);

const DAY_MS = 86_400_000;
const messages = [{ role: "user", content: "Say something." }];
const TENANTS = ["a", "b"] as const;
const OLD = "at < date_trunc('day', now(), 'UTC') - interval '30 days'";

/** The sums of each day, and of all days together, as the tenant is told them. */
async function sumsOf(admin: Client): Promise<readonly unknown[]> {
  const today = Math.floor(Date.now() / DAY_MS);
  const stretches = [[-101, 1], ...Array.from({ length: 102 }, (_, at) => [at - 101, at - 100])];
  const sums: unknown[] = [];
  for (const [from = 0, to = 0] of stretches) {
    const [first, end] = [from, to].map((day) => new Date((today + day) * DAY_MS).toISOString());
    const { usage } = (await admin.get(`/tenant/v1/models/usage?from=${first ?? ""}&to=${end ?? ""}`)).json<{ usage: unknown[] }>();
    sums.push(usage);
  }
  return sums;
}

async function oldLines(): Promise<number> {
  const [row] = await freehold.sql<{ count: number }>(`select count(*)::int as count from freehold.model_ledger where ${OLD}`);
  return row?.count ?? 0;
}

const MODELS = ["say-3", "say-40", "unpriced", "usage-0", "refusing"] as const;
const TIMES = 3;
const NEW = "at > now() - interval '1 hour'";

/** Fills the ledger by requests of two principals of each tenant, and spreads its lines over a hundred days. */
async function use(): Promise<void> {
  for (const tenant of TENANTS) {
    for (const client of [members[tenant], admins[tenant]])
      for (const model of MODELS) for (let at = 0; at < TIMES; at++) await client.post("/v1/chat/completions", { model, messages });
  }
  const lines = TENANTS.length * 2 * MODELS.length * TIMES;
  await until("all lines to be written", async () => {
    const counted = `select count(*)::int as count from freehold.model_ledger where ${NEW} and target <> 'small'`;
    const [row] = await freehold.sql<{ count: number }>(counted);
    return row?.count === lines ? true : undefined;
  });
  await freehold.sql(
    `update freehold.model_ledger l set at = now() - (n.line + 1) * interval '3 days 5 hours'
     from (select ctid as place, row_number() over (partition by tenant_id order by request_id, attempt) - 1 as line from freehold.model_ledger
       where ${NEW}) as n where l.ctid = n.place`,
  );
}

describe("lines of the ledger", () => {
  guard(freehold);

  test("that are older than they are kept go, by several gateways at once, and no sum and no budget changes", async () => {
    const budgets = [{ name: "few", unit: "requests", per: "month", limit: 1, models: ["small"] }];
    await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: { models: [], budgets } } });
    assert.equal((await members.a.post("/v1/chat/completions", { model: "small", messages })).status, 200);
    await use();
    const [before, all] = [{ a: await sumsOf(admins.a), b: await sumsOf(admins.b) }, await oldLines()];
    assert.ok(all > 30 && before.a.length > 100);
    await freehold.second();
    assert.equal(await oldLines(), all, "nothing goes unless operators have said so");
    await putModels(freehold, provider.url, { ledgerDays: 30 });
    await Promise.all([freehold.second(), freehold.second(), freehold.second()]);
    await until("old lines to be gone", async () => ((await oldLines()) === 0 ? true : undefined));
    for (const tenant of TENANTS) assert.deepEqual(await sumsOf(admins[tenant]), before[tenant]);
    const { lines } = (await admins.a.get("/tenant/v1/models/ledger?limit=200")).json<{ lines: { at: string }[] }>();
    assert.ok(lines.length > 0 && lines.every(({ at }) => Date.parse(at) > Date.now() - 32 * DAY_MS));
    assert.equal((await members.a.post("/v1/chat/completions", { model: "small", messages })).status, 429);
  });

  test("that come later for days that are sums already are added to them", async () => {
    await use();
    const before = { a: await sumsOf(admins.a), b: await sumsOf(admins.b) };
    assert.ok((await oldLines()) > 30);
    await freehold.second();
    await until("old lines to be gone", async () => ((await oldLines()) === 0 ? true : undefined));
    for (const tenant of TENANTS) assert.deepEqual(await sumsOf(admins[tenant]), before[tenant]);
  });
});
