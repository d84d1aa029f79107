import { type Migration, ROWS_RIGHTS, tenantTable } from "./migration.ts";
import { platformTables } from "./platform-tables.ts";

/** What tenants keep: users, documents and their search points, conversations; and the events that carry changes. */
export const tenantData: Migration = {
  version: 2,
  name: "tenant-data",
  sql: ({ roles, vector }) => `
${platformTables({ schema: "freehold", vector, guard: (table) => tenantTable(table, roles, { app: ROWS_RIGHTS }) })}-- In these tables no two indexes begin with the same columns: without statistics, as in an embedded database, the engine takes either
-- of them, and reads a tenant's whole queue to find one row.
create table freehold.outbox (
  tenant_id uuid not null,
  -- the order of events: one counter for all processes, where clocks differ
  seq bigint not null generated always as identity,
  id uuid not null,
  topic text not null,
  partition_key text collate "C" not null,
  envelope text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, seq)
);
-- locking a row takes the right to update a column
${tenantTable("outbox", roles, { app: "insert", system: "select, delete, update (topic)" })}
-- a statement that adds no row tells nobody: the worker's own moving of nothing would wake it for ever
create function freehold.wake_events() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  if exists (select from added) then perform pg_notify('freehold_events', ''); end if;
  return null;
end $$;
revoke all on function freehold.wake_events() from public;
create trigger wake after insert on freehold.outbox referencing new table as added for each statement execute function freehold.wake_events();

create table freehold.deliveries (
  tenant_id uuid not null,
  consumer text collate "C" not null,
  event_id uuid not null,
  seq bigint not null,
  partition_key text collate "C" not null,
  envelope text not null,
  created_at timestamptz not null default now(),
  attempts integer not null default 0,
  -- null: waits behind an older event of its key
  due_at timestamptz default now(),
  lease uuid,
  last_error text,
  primary key (tenant_id, consumer, event_id)
);
create index deliveries_due on freehold.deliveries (consumer, tenant_id, due_at) where due_at is not null;
create index deliveries_lane on freehold.deliveries (partition_key, tenant_id, consumer, seq);
${tenantTable("deliveries", roles, { app: "select (tenant_id, consumer, event_id, attempts, due_at, lease, last_error)", system: ROWS_RIGHTS })}
create trigger wake after insert on freehold.deliveries referencing new table as added for each statement execute function freehold.wake_events();
-- Only the oldest event of a key has a time at which it is due. The lock keeps that one from going away unseen, so that whoever
-- removes it finds the event that was put behind it.
create function freehold.join_lane() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  perform from freehold.deliveries d
    where d.tenant_id = new.tenant_id and d.consumer = new.consumer and d.partition_key = new.partition_key and d.seq < new.seq
    order by d.seq limit 1 for key share;
  if found then
    new.due_at := null;
  end if;
  return new;
end $$;
create function freehold.leave_lane() returns trigger language plpgsql set search_path = pg_catalog as $$
declare
  lane record;
begin
  for lane in select distinct g.tenant_id, g.consumer, g.partition_key from gone g loop
    update freehold.deliveries d set due_at = now()
      where d.tenant_id = lane.tenant_id and d.consumer = lane.consumer and d.due_at is null and d.event_id = (
        select n.event_id from freehold.deliveries n
        where n.tenant_id = lane.tenant_id and n.consumer = lane.consumer and n.partition_key = lane.partition_key
        order by n.seq limit 1 for no key update);
  end loop;
  return null;
end $$;
revoke all on function freehold.join_lane(), freehold.leave_lane() from public;
create trigger join_lane before insert on freehold.deliveries for each row execute function freehold.join_lane();
create trigger leave_lane after delete on freehold.deliveries referencing old table as gone
  for each statement execute function freehold.leave_lane();

create table freehold.inbox (
  tenant_id uuid not null,
  consumer text collate "C" not null,
  event_id uuid not null,
  handled_at timestamptz not null default now(),
  primary key (tenant_id, consumer, event_id)
);
create index inbox_age on freehold.inbox (handled_at);
${tenantTable("inbox", roles, { app: "select, insert", system: "select, delete" })}

create table freehold.dead_letters (
  tenant_id uuid not null,
  consumer text collate "C" not null,
  event_id uuid not null,
  seq bigint not null,
  partition_key text collate "C" not null,
  envelope text not null,
  created_at timestamptz not null,
  attempts integer not null,
  reason text not null,
  failed_at timestamptz not null default now(),
  primary key (tenant_id, consumer, event_id)
);
-- the envelope is not for the tenant's eyes: one that was found in the wrong place can be another tenant's
${tenantTable("dead_letters", roles, { app: "select (tenant_id, consumer, event_id, attempts, reason, failed_at)", system: ROWS_RIGHTS })}
`,
};
