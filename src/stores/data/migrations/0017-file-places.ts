import { type Migration, ROWS_RIGHTS, tenantTable } from "./migration.ts";

/** In which of two places each object is, where a tenant's next ones go, and what is copied while a tenant's files are moved. */
export const filePlaces: Migration = {
  version: 17,
  name: "file-places",
  sql: ({ roles }) => `
alter table freehold.files add column place text not null default 'shared' check (place in ('shared', 'own'));
alter table freehold.file_leftovers add column place text not null default 'shared' check (place in ('shared', 'own'));
-- an object that was copied and then deleted is to be removed from both places
alter table freehold.file_leftovers drop constraint file_leftovers_pkey, add primary key (tenant_id, object, place);

-- a tenant that has no row here was never moved
create table freehold.file_places (
  tenant_id uuid primary key,
  -- where uploads go that begin now
  place text not null default 'shared' check (place in ('shared', 'own')),
  -- where the files are being copied to
  target text check (target in ('shared', 'own')),
  -- the place that was left and is not confirmed yet
  kept text check (kept in ('shared', 'own')),
  lease uuid,
  lease_until timestamptz not null default '-infinity'
);
${tenantTable("file_places", roles, { app: "select", system: ROWS_RIGHTS })}

create table freehold.file_copies (
  tenant_id uuid not null,
  object uuid not null,
  -- of what is in the new place; null: not known to be whole there
  sum bytea,
  primary key (tenant_id, object)
);
grant ${ROWS_RIGHTS} on freehold.file_copies to ${roles.system};
`,
};
