import type { Migration } from "./migration.ts";

/** Objects of the gateway document that were written through the admin API, and their part of the feed. */
export const gateway: Migration = {
  version: 3,
  name: "gateway",
  sql: ({ roles }) => `
-- counts writings; whoever takes the next number waits for the writing before
create table freehold.gateway_revision (
  id integer primary key default 1 check (id = 1),
  value bigint not null default 0
);
insert into freehold.gateway_revision default values;
grant select, update (value) on freehold.gateway_revision to ${roles.system};
create table freehold.gateway_objects (
  kind text not null,
  id text collate "C" not null,
  -- a whole object, as keys and passwords can stand anywhere in it
  sealed bytea not null,
  created_index bigint not null,
  modified_index bigint not null,
  primary key (kind, id)
);
grant select, insert, update, delete on freehold.gateway_objects to ${roles.system};

create function freehold.note_gateway() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  if not exists (select from changed) then return null; end if;
  insert into freehold.registry_changes (kind, key) values ('gateway', 'document');
  perform pg_notify('freehold_registry', '');
  return null;
end $$;
revoke all on function freehold.note_gateway() from public;
${["insert", "update", "delete"]
  .map(
    (event) => `create trigger feed_${event} after ${event} on freehold.gateway_objects
  referencing ${event === "delete" ? "old" : "new"} table as changed for each statement execute function freehold.note_gateway();`,
  )
  .join("\n")}
`,
};
