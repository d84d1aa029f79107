import type { Migration } from "./migration.ts";

/** One line for each try at a provider of models: what was used, by whom, and what it costs. */
export const modelLedger: Migration = {
  version: 21,
  name: "model-ledger",
  sql: ({ roles }) => `
create table freehold.model_ledger (
  tenant_id uuid not null,
  request_id uuid not null,
  attempt integer not null check (attempt > 0),
  at timestamptz not null,
  principal text not null,
  model text not null,
  target text not null,
  provider text not null,
  owner text not null,
  protocol text not null,
  outcome text not null,
  status integer not null,
  source text not null,
  input bigint not null check (input >= 0),
  cached_input bigint not null check (cached_input >= 0),
  cache_write bigint not null check (cache_write >= 0),
  output bigint not null check (output >= 0),
  -- billionths of the unit of the currency; null: the model had no price
  cost bigint check (cost >= 0),
  first_byte_ms integer not null,
  total_ms integer not null,
  primary key (tenant_id, request_id, attempt)
);
create index model_ledger_at on freehold.model_ledger (tenant_id, at);
grant select, insert, delete on freehold.model_ledger to ${roles.system};

-- the last batch that each gateway has written, so that one whose confirmation was lost is not written again
create table freehold.model_gateways (
  gateway uuid primary key,
  batch bigint not null,
  seen_at timestamptz not null default now()
);
grant select, insert, update, delete on freehold.model_gateways to ${roles.system};
`,
};
