import { type Queryable, sql, type SystemData } from "../../stores/data/index.ts";
import type { Attempt } from "../attempts.ts";
import { foldLines } from "./ledger-retention.ts";
import { forgetGateways, forgetUse } from "./use-retention.ts";

/** Writes lines of the ledger. */
export async function insertLines(tx: Queryable, lines: readonly Attempt[]): Promise<void> {
  if (lines.length === 0) return;
  const rows = lines.map(({ tenant, requestId, at, usage, firstByteMs, totalMs, ...line }) => ({
    ...line,
    tenant_id: tenant,
    request_id: requestId,
    at: new Date(at).toISOString(),
    input: usage.input,
    cached_input: usage.cachedInput,
    cache_write: usage.cacheWrite,
    output: usage.output,
    cost: line.cost ?? null,
    first_byte_ms: firstByteMs,
    total_ms: totalMs,
  }));
  await tx.query(sql`
    insert into freehold.model_ledger (tenant_id, request_id, attempt, at, principal, model, target, provider, owner, protocol, outcome, status, source,
      input, cached_input, cache_write, output, cost, first_byte_ms, total_ms)
    select tenant_id, request_id, attempt, at, principal, model, target, provider, owner, protocol, outcome, status, source,
      input, cached_input, cache_write, output, cost, first_byte_ms, total_ms
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as r (tenant_id uuid, request_id uuid, attempt integer, at timestamptz, principal text,
      model text, target text, provider text, owner text, protocol text, outcome text, status integer, source text, input bigint,
      cached_input bigint, cache_write bigint, output bigint, cost bigint, first_byte_ms integer, total_ms integer)`);
}

/** What was used in a stretch of time, added up. */
export interface UsageSum {
  readonly model: string;
  readonly principal: string;
  readonly attempts: number;
  readonly input: number;
  readonly cachedInput: number;
  readonly output: number;
  /** In billionths of the currency's unit, of the lines that have a price. */
  readonly cost: number;
  /** Lines whose usage was counted here, since the provider did not say it. */
  readonly counted: number;
}

/** Between two times, by model and principal, the most expensive first. Of what is kept as sums, those days count that begin there. */
async function readUsage(system: SystemData, tenant: string, from: Date, to: Date): Promise<readonly UsageSum[]> {
  const { rows } = await system.query<UsageSum>(sql`
    select target as model, principal, sum(attempts)::float8 as attempts, sum(input)::float8 as input, sum(cached_input)::float8 as "cachedInput",
      sum(output)::float8 as output, coalesce(sum(cost), 0)::float8 as cost, sum(counted)::float8 as counted
    from (
      select target, principal, 1 as attempts, input, cached_input, output, cost, (source = 'counted')::int as counted
      from freehold.model_ledger where tenant_id = ${tenant} and at >= ${from} and at < ${to}
      union all
      select target, principal, attempts, input, cached_input, output, cost, counted
      from freehold.model_ledger_days where tenant_id = ${tenant} and day >= ${from} and day < ${to}) as used
    group by target, principal order by cost desc, input desc, model, principal limit 1000`);
  return rows;
}

/** The newest lines of a tenant, before a time. */
async function readLines(system: SystemData, tenant: string, before: Date, limit: number): Promise<readonly Record<string, unknown>[]> {
  const { rows } = await system.query(sql`
    select request_id as "requestId", attempt, at, principal, model, target, provider, owner, protocol, outcome, status, source,
      input::float8 as input, cached_input::float8 as "cachedInput", cache_write::float8 as "cacheWrite", output::float8 as output, cost::float8 as cost,
      first_byte_ms as "firstByteMs", total_ms as "totalMs"
    from freehold.model_ledger where tenant_id = ${tenant} and at < ${before} order by at desc, request_id, attempt limit ${limit}`);
  return rows;
}

/** What tenants have used, as it was written down. */
export interface ModelUse {
  usage(tenant: string, from: Date, to: Date): Promise<readonly UsageSum[]>;
  lines(tenant: string, before: Date, limit: number): Promise<readonly Record<string, unknown>[]>;
  /** Keeps the lines before a time as sums only; {@link keptSince} says before which. */
  fold(tenant: string, before: Date, signal: AbortSignal): Promise<number>;
  /** Forgets what budgets were used in periods that are over. */
  forget(tenant: string, nowMs: number, signal: AbortSignal): Promise<number>;
  /** Forgets gateways that are gone. */
  forgetGateways(nowMs: number): Promise<void>;
}

/** What is in this database. */
export function createModelUse(system: SystemData): ModelUse {
  return {
    usage: (tenant, from, to) => readUsage(system, tenant, from, to),
    lines: (tenant, before, limit) => readLines(system, tenant, before, limit),
    fold: (tenant, before, signal) => foldLines(system, tenant, before, signal),
    forget: (tenant, nowMs, signal) => forgetUse(system, tenant, nowMs, signal),
    forgetGateways: (nowMs) => forgetGateways(system, nowMs),
  };
}
