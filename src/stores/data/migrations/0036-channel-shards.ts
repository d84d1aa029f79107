import type { Migration } from "./migration.ts";

/** An app can have several connections, each with a holder of its own, and begins sessions one after the other. */
export const channelShards: Migration = {
  version: 36,
  name: "channel-shards",
  sql: ({ roles }) => `
alter table freehold.channel_installations add column shards integer not null default 1 check (shards between 1 and 1000);
grant update (shards) on freehold.channel_installations to ${roles.system};
alter table freehold.channel_leases add column shard integer not null default 0;
alter table freehold.channel_leases drop constraint channel_leases_pkey, add primary key (installation, shard);

-- from when on the next session of an app may begin, in each of the platform's lanes
create table freehold.channel_starts (
  installation text collate "C" not null references freehold.channel_installations (id) on delete cascade,
  lane integer not null,
  free_at timestamptz not null,
  primary key (installation, lane)
);
grant select, insert, update, delete on freehold.channel_starts to ${roles.system};
`,
};
