import { type Migration, ROWS_RIGHTS, tenantTable } from "./migration.ts";

/** Apps of tenants on chat platforms, what they have delivered, and which session each conversation there is. */
export const channels: Migration = {
  version: 24,
  name: "channels",
  sql: ({ roles }) => `
create table freehold.channel_installations (
  -- the part of the address that nobody can guess
  id text collate "C" primary key,
  tenant_id uuid not null references freehold.tenants (uuid),
  platform text not null check (platform in ('web', 'slack', 'discord')),
  name text not null,
  -- what the platform itself calls the app, and where it is installed
  app text collate "C" not null,
  workspace text collate "C" not null,
  settings jsonb not null,
  sealed bytea not null,
  -- the version of the tenant's key that sealed it
  key_version integer not null,
  created_by text not null,
  created_at timestamptz not null default now()
);
create index on freehold.channel_installations (tenant_id);
-- one app in one workspace is one tenant's
create unique index channel_installations_place on freehold.channel_installations (platform, app, workspace);
grant select, insert, update (sealed, key_version), delete on freehold.channel_installations to ${roles.system};

create function freehold.note_installations() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into freehold.registry_changes (kind, key) select distinct 'installation', id from changed;
  perform pg_notify('freehold_registry', '');
  return null;
end $$;
revoke all on function freehold.note_installations() from public;
create trigger feed_insert after insert on freehold.channel_installations
  referencing new table as changed for each statement execute function freehold.note_installations();
create trigger feed_update after update on freehold.channel_installations
  referencing new table as changed for each statement execute function freehold.note_installations();
create trigger feed_delete after delete on freehold.channel_installations
  referencing old table as changed for each statement execute function freehold.note_installations();

-- a delivery that is here is not taken a second time
create table freehold.channel_deliveries (
  tenant_id uuid not null,
  installation text collate "C" not null,
  delivery text collate "C" not null,
  state text not null default 'received' check (state in ('received', 'answered', 'sent', 'failed')),
  problem text,
  received_at timestamptz not null default now(),
  primary key (tenant_id, installation, delivery)
);
create index channel_deliveries_received on freehold.channel_deliveries (tenant_id, received_at);
${tenantTable("channel_deliveries", roles, { app: ROWS_RIGHTS })}

create table freehold.channel_conversations (
  tenant_id uuid not null,
  installation text collate "C" not null,
  -- a digest: the platform's own names are not kept here
  conversation text collate "C" not null,
  session_id text collate "C" not null,
  last_at timestamptz not null default now(),
  primary key (tenant_id, installation, conversation)
);
${tenantTable("channel_conversations", roles, { app: ROWS_RIGHTS })}
`,
};
