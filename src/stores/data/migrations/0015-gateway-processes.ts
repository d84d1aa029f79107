import type { Migration } from "./migration.ts";

/** Which gateways there are and what they serve, so that whoever writes can be told when all have it. */
export const gatewayProcesses: Migration = {
  version: 15,
  name: "gateway-processes",
  sql: ({ roles }) => `
-- how often counters were to begin anew
alter table freehold.gateway_revision add fresh bigint not null default 0;
grant update (fresh) on freehold.gateway_revision to ${roles.system};
-- nothing in it is worth keeping over a crash: each process writes its row again within seconds
create unlogged table freehold.gateway_processes (
  id uuid primary key,
  served bigint not null,
  seen_at timestamptz not null default clock_timestamp()
);
grant select, insert, update, delete on freehold.gateway_processes to ${roles.system};
`,
};
