import type { Migration } from "./migration.ts";

/** Who holds the connection of an app that is reached over one: one process at a time. */
export const channelLeases: Migration = {
  version: 31,
  name: "channel-leases",
  sql: ({ roles }) => `
create table freehold.channel_leases (
  installation text collate "C" primary key references freehold.channel_installations (id) on delete cascade,
  holder uuid not null,
  expires_at timestamptz not null,
  -- where the platform goes on, in its own words; never a secret
  resume jsonb
);
grant select, insert, update, delete on freehold.channel_leases to ${roles.system};
create index channel_installations_socket on freehold.channel_installations (id) where settings @> '{"socket": true}';
`,
};
