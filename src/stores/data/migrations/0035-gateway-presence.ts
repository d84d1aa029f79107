import type { Migration } from "./migration.ts";

/** One lock per gateway, shared by the connections that one process has one after the other. */
const KEY = "pg_catalog.hashtextextended(process::text, 7160242022)";

/** A gateway holds a lock on the connection on which it hears of changes: whoever cannot be reached has let go of it. */
export const gatewayPresence: Migration = {
  version: 35,
  name: "gateway-presence",
  sql: ({ roles }) => `
create function freehold.hold_gateway(process uuid) returns void language sql security definer set search_path = pg_catalog
  as $$ select pg_catalog.pg_advisory_lock_shared(${KEY}) $$;
create function freehold.gateway_is_gone(process uuid) returns boolean language sql security definer set search_path = pg_catalog
  as $$ select pg_catalog.pg_try_advisory_xact_lock(${KEY}) $$;
revoke all on function freehold.hold_gateway(uuid), freehold.gateway_is_gone(uuid) from public;
grant execute on function freehold.hold_gateway(uuid), freehold.gateway_is_gone(uuid) to ${roles.system};
`,
};
