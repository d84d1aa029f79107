import type { Migration } from "./migration.ts";

const ROWS = "select, insert, update, delete";

/** Providers, models and budgets, and what was used of them. For the platform's role alone: keys are among it, and what a tenant owes. */
export const models: Migration = {
  version: 20,
  name: "models",
  sql: ({ roles }) => `
-- counts writings; whoever takes the next number waits for the writing before, so that numbers are seen in order
create table freehold.model_revision (
  id integer primary key default 1 check (id = 1),
  value bigint not null default 0
);
insert into freehold.model_revision default values;
grant select, update (value) on freehold.model_revision to ${roles.system};

create table freehold.model_platform (
  id integer primary key default 1 check (id = 1),
  document jsonb not null,
  version bigint not null default 1,
  changed bigint not null default 0
);
grant ${ROWS} on freehold.model_platform to ${roles.system};
create table freehold.model_platform_keys (
  provider text collate "C" primary key,
  sealed bytea not null
);
grant ${ROWS} on freehold.model_platform_keys to ${roles.system};

create table freehold.model_tenants (
  tenant_id uuid primary key,
  -- what an operator gives it, and what it sets itself
  given jsonb,
  own jsonb,
  version bigint not null default 1,
  changed bigint not null default 0
);
create index model_tenants_changed on freehold.model_tenants (changed);
grant ${ROWS} on freehold.model_tenants to ${roles.system};
create table freehold.model_keys (
  tenant_id uuid not null,
  provider text collate "C" not null,
  sealed bytea not null,
  primary key (tenant_id, provider)
);
grant ${ROWS} on freehold.model_keys to ${roles.system};
`,
};
