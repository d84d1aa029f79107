import type { Migration } from "./migration.ts";

/** What the lines of the ledger that are kept no longer have added up to, by day of UTC. */
export const modelLedgerDays: Migration = {
  version: 37,
  name: "model-ledger-days",
  sql: ({ roles }) => `
create table freehold.model_ledger_days (
  tenant_id uuid not null,
  -- when it began
  day timestamptz not null,
  target text not null,
  principal text not null,
  attempts bigint not null check (attempts > 0),
  input bigint not null check (input >= 0),
  cached_input bigint not null check (cached_input >= 0),
  cache_write bigint not null check (cache_write >= 0),
  output bigint not null check (output >= 0),
  -- of the lines that had a price
  cost bigint not null check (cost >= 0),
  -- lines whose usage no provider has said
  counted bigint not null check (counted >= 0),
  primary key (tenant_id, day, target, principal)
);
grant select, insert, update, delete on freehold.model_ledger_days to ${roles.system};
`,
};
