import type { FixtureRoles } from "./database-fixture.ts";

/** SQL that plants one fault of each rule into the sound database, as its superuser. */
export type Planting = (roles: FixtureRoles) => string;

const SETTING = "nullif(current_setting('app.tenant_id', true), '')::uuid";
const alterPolicy =
  (condition: string): Planting =>
  () =>
    `alter policy tenant on shop.orders using (${condition}) with check (${condition})`;

/** One planting per rule. */
export const PLANTINGS: Readonly<Record<string, Planting>> = {
  FH101: () => "alter table shop.orders disable row level security",
  FH102: () => "alter table shop.orders no force row level security",
  FH103: () => "drop policy tenant on shop.orders",
  FH104: ({ app }) =>
    `drop policy tenant on shop.orders; create policy tenant on shop.orders for all to ${app} using (tenant_id = ${SETTING})`,
  FH105: alterPolicy("true"),
  FH106: alterPolicy(`tenant_id = ${SETTING} or note = 'public'`),
  FH107: alterPolicy("tenant_id::text = nullif(current_setting('app.tenant_id', true), '')"),
  FH108: alterPolicy("left(tenant_id::text, 8) = nullif(current_setting('app.tenant_id', true), '')"),
  FH109: alterPolicy("tenant_id = nullif(current_setting('app.tenant_id'), '')::uuid"),
  FH110: alterPolicy("tenant_id = current_setting('app.tenant_id', true)::uuid"),
  FH111: () => "grant execute on function pg_catalog.set_config(text, text, boolean) to public",
  FH112: alterPolicy("tenant_id = '00000000-0000-4000-8000-000000000000'"),
  FH113: alterPolicy("tenant_id = (select id from shop.customers where name = current_user)"),
  FH114: ({ app }) => `create policy more on shop.orders for select to ${app} using (tenant_id = ${SETTING} and note = 'public')`,
  FH115: () =>
    "alter table shop.items drop constraint items_pkey; alter table shop.items add unique (tenant_id, id); alter table shop.items alter column tenant_id drop not null",
  FH116: ({ app, owner }) =>
    `drop table shop.items; set role ${owner}; create table shop.items (id text primary key); reset role; grant select on shop.items to ${app}`,
  FH117: ({ app, owner }) =>
    `set role ${owner}; create table shop.extras (id text primary key); reset role; grant select on shop.extras to ${app}`,
  FH118: ({ app }) => `grant select on shop.customers to ${app}`,
  FH119: ({ app }) => `grant insert on shop.currencies to ${app}`,
  FH120: () => "alter table shop.items drop constraint items_pkey; alter table shop.items add primary key (id)",
  FH121: () => "create unique index orders_note on shop.orders (lower(note))",
  // the other side has a key without the tenant, which no rule minds on a shared table
  FH122: ({ owner }) =>
    `set role ${owner}; alter table shop.orders add column number integer; create unique index orders_number on shop.orders (tenant_id, number);
     alter table shop.currencies add column of uuid, add column number integer,
       add constraint currencies_order foreign key (of, number) references shop.orders (tenant_id, number); reset role`,
  FH123: ({ app }) => `grant select on shop.events_2026 to ${app}`,
  FH124: ({ app, owner }) =>
    `create extension file_fdw; create server files foreign data wrapper file_fdw; create foreign table shop.log (line text) server files options (filename '/dev/null'); alter foreign table shop.log owner to ${owner}; grant select on shop.log to ${app}`,
  FH125: ({ app, owner }) =>
    `set role ${owner}; create materialized view shop.totals as select count(*) from shop.orders; reset role; grant select on shop.totals to ${app}`,
  FH126: ({ app, owner }) =>
    `set role ${owner}; create view shop.open_orders as select * from shop.orders; reset role; grant select on shop.open_orders to ${app}`,
  FH127: () => "create rule copies as on insert to shop.orders do also notify orders",
  FH128: ({ app }) => `grant truncate on shop.orders to ${app}`,
  FH129: ({ app }) => `grant references on shop.orders to ${app}`,
  FH130: ({ app }) => `grant trigger on shop.orders to ${app}`,
  FH131: ({ app }) => `grant maintain on shop.orders to ${app}`,
  FH132: ({ app, database }) => `grant temporary on database ${database} to ${app}`,
  FH133: ({ app }) => `grant create on schema shop to ${app}`,
  FH134: ({ app, database }) => `grant create on database ${database} to ${app}`,
  FH135: () => "grant select on shop.orders to public",
  FH136: ({ owner, app }) =>
    `set role ${owner}; create function shop.f() returns int language sql security definer as 'select 1'; revoke all on function shop.f() from public; grant execute on function shop.f() to ${app}; reset role`,
  FH137: ({ app }) =>
    `create function shop.f() returns int language sql security definer set search_path = pg_catalog as 'select 1'; revoke all on function shop.f() from public; grant execute on function shop.f() to ${app}`,
  FH138: ({ app, platform }) =>
    `create function shop.f() returns int language sql security definer set search_path = pg_catalog as 'select 1'; alter function shop.f() owner to ${platform}; revoke all on function shop.f() from public; grant execute on function shop.f() to ${app}`,
  FH139: () => "create function shop.f(text) returns boolean language sql immutable leakproof as 'select true'",
  FH140: ({ app }) => `grant usage on sequence shop.numbers to ${app}`,
  FH141: () => "grant execute on function pg_catalog.lo_get(oid) to public",
  FH142: () => "grant execute on function pg_catalog.pg_notify(text, text) to public",
  FH143: () => "grant execute on function pg_catalog.pg_terminate_backend(integer, bigint) to public",
  FH144: () => "create extension dblink schema shop",
  FH145: ({ app }) =>
    `create extension postgres_fdw; create server elsewhere foreign data wrapper postgres_fdw options (host '127.0.0.1'); grant usage on foreign server elsewhere to ${app}`,
  FH146: ({ app, owner }) =>
    `create language unheld handler plpgsql_call_handler; create function shop.f() returns int language unheld as 'begin return 1; end'; alter function shop.f() owner to ${owner}; revoke all on function shop.f() from public; grant execute on function shop.f() to ${app}`,
  FH147: ({ app, owner }) => `alter default privileges for role ${owner} in schema shop grant select on tables to ${app}`,
  FH148: ({ app }) => `alter role ${app} superuser`,
  FH149: ({ app }) => `alter role ${app} bypassrls`,
  FH150: ({ app }) => `alter table shop.orders owner to ${app}`,
  FH151: ({ app, owner }) => `grant ${owner} to ${app}`,
  FH152: ({ app }) => `alter role ${app} createdb`,
  FH153: ({ app }) => `grant pg_read_all_data to ${app}`,
  FH154: ({ app }) => `alter role ${app} set row_security = off`,
  FH155: ({ app }) => `alter role ${app} set app.tenant_id = '00000000-0000-4000-8000-000000000000'`,
  FH156: ({ app, other }) => `alter role ${app} set search_path = shop, pg_catalog; grant create on schema shop to ${other}`,
  FH157: () =>
    "create function shop.note() returns event_trigger language plpgsql as 'begin end'; create event trigger notes on ddl_command_end execute function shop.note()",
  FH158: () =>
    "create function shop.copy() returns trigger language plpgsql security definer set search_path = pg_catalog as 'begin return new; end'; create trigger copies before insert on shop.orders for each row execute function shop.copy()",
  FH159: () => "create publication orders for table shop.orders",
  FH160: () => "grant select on pg_class to public",
  FH161: () => "create statistics shop.orders_stats on note, total from shop.orders",
  FH162: () => "grant select (note) on shop.orders to public",
  FH163: () => "alter table shop.orders alter column tenant_id set default '00000000-0000-4000-8000-000000000000'",
  FH164: ({ app, owner }) =>
    `drop table shop.items; set role ${owner}; create table shop.items (tenant_id text not null, id text not null, primary key (tenant_id, id));
     alter table shop.items enable row level security; alter table shop.items force row level security;
     create policy tenant on shop.items for all to ${app} using (tenant_id = nullif(current_setting('app.tenant_id', true), ''))
       with check (tenant_id = nullif(current_setting('app.tenant_id', true), '')); grant select on shop.items to ${app}; reset role`,
  FH165: ({ database }) => `grant connect on database ${database} to public`,
  FH166: () => "alter table shop.orders owner to postgres",
  FH167: ({ app }) => `grant set on parameter session_replication_role to ${app}`,
  FH168: () => "grant execute on function pg_catalog.pg_read_file(text) to public",
  FH169: () => "grant execute on function pg_catalog.query_to_xml(text, boolean, boolean, text) to public",
  FH170: () => "select lo_create(0)",
  FH171: () => "create extension pg_stat_statements schema shop",
  FH172: () => "alter table shop.orders drop constraint orders_secret_check",
  // the server of the tests is older than what mends CVE-2026-14666; what older and newer ones have is in server-version.test.ts
  FH173: ({ app, database }) =>
    `create role ${database}_group nologin; grant ${database}_group to ${app}; alter policy tenant on shop.orders to ${database}_group`,
};
