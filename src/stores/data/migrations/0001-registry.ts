import { type Migration, tenantTable } from "./migration.ts";

/** Tenants, plans, keys and the feed of their changes; the audit trail; exact counters; the rows of the boot self-test. */
export const registry: Migration = {
  version: 1,
  name: "registry",
  sql: ({ roles }) => `
create table freehold.plans (
  name text primary key,
  document jsonb not null,
  version bigint not null default 1
);
create table freehold.tenants (
  uuid uuid primary key,
  id text collate "C" not null unique check (id ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(id) <= 63),
  plan text not null references freehold.plans (name),
  status text not null check (status in ('provisioning', 'active', 'suspended', 'moving', 'deleting', 'erased')),
  document jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create table freehold.tenant_domains (
  host text collate "C" primary key,
  tenant_id uuid not null references freehold.tenants (uuid)
);
create index on freehold.tenant_domains (tenant_id);
create table freehold.tenant_secrets (
  tenant_id uuid not null references freehold.tenants (uuid),
  name text not null,
  sealed bytea not null,
  primary key (tenant_id, name)
);
create table freehold.api_keys (
  id text collate "C" primary key,
  tenant_id uuid references freehold.tenants (uuid),
  name text not null,
  hash bytea not null check (length(hash) = 32),
  roles text[] not null,
  scopes text[] not null,
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
create index on freehold.api_keys (tenant_id);
grant select, insert, update, delete on freehold.plans, freehold.tenant_domains, freehold.tenant_secrets to ${roles.system};
-- the row of a tenant stays for good: neither its name nor its internal id is ever given to another
grant select, insert, update (plan, status, document, version, updated_at) on freehold.tenants to ${roles.system};
grant select, insert, update (revoked_at), delete on freehold.api_keys to ${roles.system};

create table freehold.registry_changes (
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  key text not null,
  at timestamptz not null default now()
);
create index on freehold.registry_changes (xid);
create index on freehold.registry_changes (at);
grant select, delete on freehold.registry_changes to ${roles.system};
-- the newest transaction whose changes were deleted: who has not seen it yet has missed something
create table freehold.registry_feed (
  id integer primary key default 1 check (id = 1),
  cleaned xid8 not null default '0'
);
insert into freehold.registry_feed default values;
grant select, update (cleaned) on freehold.registry_feed to ${roles.system};

${noteFunction("note_tenants", "tenant", "id")}
${noteFunction("note_domains", "domain", "host")}
${noteFunction("note_keys", "key", "id")}
${noteFunction("note_plans", "plan", "name")}
revoke all on function freehold.note_tenants(), freehold.note_domains(), freehold.note_keys(), freehold.note_plans() from public;
${feed("tenants", "note_tenants")}
${feed("tenant_domains", "note_domains")}
${feed("api_keys", "note_keys")}
${feed("plans", "note_plans")}

create table freehold.audit_entries (
  tenant_id uuid not null,
  id uuid not null,
  at timestamptz not null default now(),
  action text not null,
  reason text not null,
  actor text,
  actor_tenant text,
  target_tenant text,
  request_id text not null,
  source text not null,
  detail jsonb not null default '{}',
  primary key (tenant_id, id)
);
${tenantTable("audit_entries", roles, { app: "select", system: "select, insert" })}

create table freehold.counters (
  tenant_id uuid not null,
  name text not null,
  value bigint not null check (value >= 0),
  primary key (tenant_id, name)
);
${tenantTable("counters", roles, { app: "select, insert, update" })}

create table freehold.isolation_probe (
  tenant_id uuid not null,
  id uuid not null,
  primary key (tenant_id, id)
);
${tenantTable("isolation_probe", roles, { app: "select, insert, update, delete" })}
`,
};

function noteFunction(name: string, kind: string, column: string): string {
  return `create function freehold.${name}() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into freehold.registry_changes (kind, key) select distinct '${kind}', ${column} from changed;
  perform pg_notify('freehold_registry', '');
  return null;
end $$;`;
}

function feed(table: string, note: string): string {
  return ["insert", "update", "delete"]
    .map(
      (event) => `create trigger feed_${event} after ${event} on freehold.${table}
  referencing ${event === "delete" ? "old" : "new"} table as changed for each statement execute function freehold.${note}();`,
    )
    .join("\n");
}
