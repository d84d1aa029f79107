/** Where the platform's own tables of a tenant are made, and what puts each of them under its tenant. */
export interface PlatformTablesTarget {
  readonly schema: string;
  /** Whether the `vector` type exists in the database. */
  readonly vector: boolean;
  /** The SQL that puts this table of the schema under its tenant. */
  readonly guard: (table: string) => string;
}

/** The tables that every home has. */
export const PLATFORM_TABLES = ["users", "documents", "points", "sessions", "messages"] as const;

/**
 * What the platform keeps in a tenant's home: users, documents and their search points, conversations. The same tables in every data
 * model, so that a move is a copy.
 */
export function platformTables({ schema, vector, guard }: PlatformTablesTarget): string {
  return `create table ${schema}.users (
  tenant_id uuid not null,
  id text not null,
  email text,
  name text not null,
  roles text[] not null,
  metadata jsonb not null default '{}',
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create unique index users_email on ${schema}.users (tenant_id, lower(email));
${guard("users")}

create table ${schema}.documents (
  tenant_id uuid not null,
  id text not null,
  title text not null,
  body text not null,
  metadata jsonb not null default '{}',
  created_by text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
${guard("documents")}

${pointsTable({ schema, vector, guard })}

create table ${schema}.sessions (
  tenant_id uuid not null,
  id text not null,
  user_id text not null,
  platform text not null,
  metadata jsonb not null default '{}',
  messages integer not null default 0,
  created_at timestamptz not null default now(),
  last_activity timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index sessions_recent on ${schema}.sessions (tenant_id, last_activity desc, id);
create index sessions_user on ${schema}.sessions (tenant_id, user_id, last_activity desc);
${guard("sessions")}

create table ${schema}.messages (
  tenant_id uuid not null,
  session_id text not null,
  seq integer not null,
  id uuid not null,
  role text not null check (role in ('user', 'assistant')),
  body text not null,
  citations jsonb not null default '[]',
  created_at timestamptz not null default now(),
  primary key (tenant_id, session_id, seq),
  foreign key (tenant_id, session_id) references ${schema}.sessions (tenant_id, id) on delete cascade
);
${guard("messages")}

`;
}

/** The table of what is searched. */
export function pointsTable({ schema, vector, guard }: PlatformTablesTarget): string {
  return `create table ${schema}.points (
  tenant_id uuid not null,
  id uuid not null,
  kind text not null,
  ref text not null,
  part integer not null,
  title text not null,
  body text not null,
  payload jsonb not null,
  words tsvector not null,
  embedder text not null,
  embedding ${vector ? "freehold.vector" : "real[]"} not null,
  primary key (tenant_id, id)
);
create index points_ref on ${schema}.points (tenant_id, kind, ref);
${guard("points")}`;
}
