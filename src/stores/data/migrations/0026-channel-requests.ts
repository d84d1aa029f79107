import { type Migration, ROWS_RIGHTS, tenantTable } from "./migration.ts";

/** Installations that a tenant has begun, and that its people have to allow on the platform. */
export const channelRequests: Migration = {
  version: 26,
  name: "channel-requests",
  sql: ({ roles }) => `
create table freehold.channel_requests (
  tenant_id uuid not null,
  hash bytea not null check (length(hash) = 32),
  -- what the tenant has given of its app
  sealed bytea not null,
  expires_at timestamptz not null,
  primary key (tenant_id, hash)
);
${tenantTable("channel_requests", roles, { app: ROWS_RIGHTS })}
`,
};
