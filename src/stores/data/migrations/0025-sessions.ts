import { type Migration, ROWS_RIGHTS, tenantTable } from "./migration.ts";

/** Who has written lately, and who on a chat platform is which user. */
export const sessions: Migration = {
  version: 25,
  name: "sessions",
  sql: ({ roles }) => `
create table freehold.active_users (
  tenant_id uuid not null,
  user_id text collate "C" not null,
  last_at timestamptz not null default now(),
  primary key (tenant_id, user_id)
);
create index active_users_last on freehold.active_users (tenant_id, last_at);
${tenantTable("active_users", roles, { app: ROWS_RIGHTS })}

create table freehold.channel_links (
  tenant_id uuid not null,
  -- a person as the platform names it
  sender text collate "C" not null,
  user_id text collate "C" not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, sender)
);
create index channel_links_user on freehold.channel_links (tenant_id, user_id);
${tenantTable("channel_links", roles, { app: ROWS_RIGHTS })}

create table freehold.channel_link_codes (
  tenant_id uuid not null,
  hash bytea not null check (length(hash) = 32),
  user_id text collate "C" not null,
  expires_at timestamptz not null,
  primary key (tenant_id, hash)
);
${tenantTable("channel_link_codes", roles, { app: ROWS_RIGHTS })}
`,
};
