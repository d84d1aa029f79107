import { type Migration, tenantTable } from "./migration.ts";

const ROWS = "select, insert, update, delete";

/** Which files a tenant has, how much they take, and which objects no file refers to. Their contents are elsewhere, by the object's id. */
export const files: Migration = {
  version: 8,
  name: "files",
  sql: ({ roles }) => `
create table freehold.files (
  tenant_id uuid not null,
  name text collate "C" not null,
  -- two names that differ in case or form only are one place on some systems
  folded text collate "C" not null,
  object uuid not null,
  bytes bigint not null check (bytes >= 0),
  sha256 bytea not null check (length(sha256) = 32),
  content_type text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);
create unique index files_folded on freehold.files (tenant_id, folded);
${tenantTable("files", roles, { app: ROWS, system: ROWS })}

-- the sum over the tenant's files; whoever changes them holds this row
create table freehold.file_use (
  tenant_id uuid not null,
  bytes bigint not null default 0 check (bytes >= 0),
  files bigint not null default 0 check (files >= 0),
  primary key (tenant_id)
);
${tenantTable("file_use", roles, { app: ROWS, system: ROWS })}

create table freehold.file_leftovers (
  tenant_id uuid not null,
  object uuid not null,
  -- until then an upload may still become a file; null: it is to be removed
  until timestamptz,
  primary key (tenant_id, object)
);
create index file_leftovers_until on freehold.file_leftovers (until);
${tenantTable("file_leftovers", roles, { app: ROWS, system: ROWS })}
`,
};
