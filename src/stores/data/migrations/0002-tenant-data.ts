import { type Migration, tenantTable } from "./migration.ts";

const ROWS = "select, insert, update, delete";

/** What tenants keep: users, documents and their search points, conversations; and the events that carry changes. */
export const tenantData: Migration = {
  version: 2,
  name: "tenant-data",
  sql: ({ roles, vector }) => `
create table freehold.users (
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
create unique index users_email on freehold.users (tenant_id, lower(email));
${tenantTable("users", roles, { app: ROWS })}

create table freehold.documents (
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
${tenantTable("documents", roles, { app: ROWS })}

create table freehold.points (
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
create index points_ref on freehold.points (tenant_id, kind, ref);
${tenantTable("points", roles, { app: ROWS })}

create table freehold.sessions (
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
create index sessions_recent on freehold.sessions (tenant_id, last_activity desc, id);
create index sessions_user on freehold.sessions (tenant_id, user_id, last_activity desc);
${tenantTable("sessions", roles, { app: ROWS })}

create table freehold.messages (
  tenant_id uuid not null,
  session_id text not null,
  seq integer not null,
  id uuid not null,
  role text not null check (role in ('user', 'assistant')),
  body text not null,
  citations jsonb not null default '[]',
  created_at timestamptz not null default now(),
  primary key (tenant_id, session_id, seq),
  foreign key (tenant_id, session_id) references freehold.sessions (tenant_id, id) on delete cascade
);
${tenantTable("messages", roles, { app: ROWS })}

create table freehold.outbox (
  tenant_id uuid not null,
  id uuid not null,
  subject text not null,
  partition_key text not null,
  envelope text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
${tenantTable("outbox", roles, { app: "insert", system: "select, delete" })}
create function freehold.wake_events() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform pg_notify('freehold_events', '');
  return null;
end $$;
revoke all on function freehold.wake_events() from public;
create trigger wake after insert on freehold.outbox for each statement execute function freehold.wake_events();

create table freehold.deliveries (
  tenant_id uuid not null,
  consumer text not null,
  event_id uuid not null,
  partition_key text not null,
  envelope text not null,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease uuid,
  last_error text,
  primary key (tenant_id, consumer, event_id)
);
create index deliveries_due on freehold.deliveries (consumer, due_at);
create index deliveries_order on freehold.deliveries (tenant_id, consumer, partition_key, event_id);
${tenantTable("deliveries", roles, { app: "select", system: ROWS })}
create trigger wake after insert on freehold.deliveries for each statement execute function freehold.wake_events();

create table freehold.inbox (
  tenant_id uuid not null,
  consumer text not null,
  event_id uuid not null,
  handled_at timestamptz not null default now(),
  primary key (tenant_id, consumer, event_id)
);
create index inbox_age on freehold.inbox (handled_at);
${tenantTable("inbox", roles, { app: "select, insert", system: "select, delete" })}

create table freehold.dead_letters (
  tenant_id uuid not null,
  consumer text not null,
  event_id uuid not null,
  envelope text not null,
  attempts integer not null,
  reason text not null,
  failed_at timestamptz not null default now(),
  primary key (tenant_id, consumer, event_id)
);
${tenantTable("dead_letters", roles, { app: "select", system: ROWS })}
`,
};
