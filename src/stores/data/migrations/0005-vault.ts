import type { Migration } from "./migration.ts";

/** Wrapped keys of tenants, which root key each tenant has, and which tenants' keys were destroyed. For the platform's role alone. */
export const vault: Migration = {
  version: 5,
  name: "vault",
  sql: ({ roles }) => `
create table freehold.vault_tenants (
  -- not called a tenant's column: that its keys were destroyed is what stays of an erased one
  subject uuid primary key,
  -- a root key of the tenant's own; none is two tenants'
  root text collate "C" unique,
  -- since then no key is ever made for this tenant again
  destroyed_at timestamptz,
  check (destroyed_at is null or root is null)
);
grant select, insert, update (root, destroyed_at) on freehold.vault_tenants to ${roles.system};
create table freehold.vault_keys (
  tenant_id uuid not null references freehold.vault_tenants (subject),
  purpose text not null,
  version integer not null check (version > 0),
  root text collate "C" not null,
  wrapped bytea not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, purpose, version)
);
grant select, insert, update (root, wrapped), delete on freehold.vault_keys to ${roles.system};

create function freehold.note_vault() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform pg_notify('freehold_vault', c.tenant_id::text) from (select distinct tenant_id from changed) c;
  return null;
end $$;
create function freehold.note_vault_tenants() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform pg_notify('freehold_vault', c.subject::text) from changed c;
  return null;
end $$;
create function freehold.note_vault_version() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  -- nobody holds anything older than a first key
  perform pg_notify('freehold_vault', c.tenant_id::text) from (select distinct tenant_id from changed where version > 1) c;
  return null;
end $$;
revoke all on function freehold.note_vault(), freehold.note_vault_tenants(), freehold.note_vault_version() from public;
create trigger note_insert after insert on freehold.vault_keys referencing new table as changed
  for each statement execute function freehold.note_vault_version();
create trigger note_delete after delete on freehold.vault_keys referencing old table as changed
  for each statement execute function freehold.note_vault();
create trigger note_update after update on freehold.vault_tenants referencing new table as changed
  for each statement execute function freehold.note_vault_tenants();

-- the version of the tenant's key that sealed it; null: sealed before there was a vault
alter table freehold.tenant_secrets add column key_version integer;
`,
};
