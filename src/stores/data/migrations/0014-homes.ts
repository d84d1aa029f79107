import type { Migration } from "./migration.ts";

/** Where each tenant's rows are, what the application declares, and the moves that are under way. */
export const homes: Migration = {
  version: 14,
  name: "homes",
  sql: ({ roles }) => `
grant usage on schema freehold to ${roles.tenants};
grant execute on function freehold.tenant(), freehold.context_mode() to ${roles.tenants};

-- what has no row here is in shared rows, at epoch 0
create table freehold.homes (
  tenant_id uuid primary key,
  model text not null check (model in ('row', 'schema', 'database')),
  epoch bigint not null check (epoch > 0),
  closing boolean not null default false,
  -- the login of a tenant with a schema of its own, by which its rows in the platform's tables are known
  login name unique,
  -- how far the application's tables are in this home
  tables_version integer not null default 0,
  tables_digest text not null default ''
);
create index homes_epoch on freehold.homes (epoch);
grant select on freehold.homes to ${roles.system};
create sequence freehold.home_epoch;

-- the rows that a tenant with a login of its own has in the platform's tables are those of whoever is logged in: no setting names it
create function freehold.login_tenant(who name) returns uuid language sql stable parallel safe security definer set search_path = pg_catalog as
  $$ select h.tenant_id from freehold.homes h where h.login = who and h.model = 'schema' $$;
revoke all on function freehold.login_tenant(name) from public;
grant execute on function freehold.login_tenant(name) to ${roles.tenants};
-- what a tenant counts and may not take away itself goes with the tenant
create policy system on freehold.counters for all to ${roles.system} using (true) with check (true);
grant select, delete on freehold.counters to ${roles.system};

-- one row for each step of the application's tables that the shared home has
create table freehold.table_steps (
  version integer primary key,
  name text not null,
  digest text not null,
  applied_at timestamptz not null default now()
);
grant select on freehold.table_steps to ${roles.system};

-- events that came from databases of tenants, so that none comes twice when two processes carry it or one is killed while it does
create table freehold.carried_events (
  tenant_id uuid not null,
  event_id uuid not null,
  at timestamptz not null default now(),
  primary key (tenant_id, event_id)
);
create index carried_events_at on freehold.carried_events (at);
grant select, insert, delete on freehold.carried_events to ${roles.system};
grant insert on freehold.outbox to ${roles.system};

-- writes of a tenant that is being moved wait here: whoever writes holds the tenant's lock as a reader, whoever switches as the writer
create table freehold.moves (
  tenant_id uuid primary key,
  source text not null,
  target text not null,
  step text not null,
  started_at timestamptz not null default now(),
  switched_at timestamptz,
  detail jsonb not null default '{}'
);
grant select on freehold.moves to ${roles.system};
create table freehold_private.fences (tenant_id uuid primary key, closed boolean not null default false);
create table freehold_private.move_log (
  tenant_id uuid not null,
  seq bigint not null generated always as identity,
  relation text not null,
  key jsonb not null,
  primary key (tenant_id, seq)
);
`,
};
