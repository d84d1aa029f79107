import { asAdministrator, freshDatabase } from "../support/databases.ts";
import { manifestSchema, type Manifest } from "../../src/lint/manifest.ts";

/** Roles of the fixture, named after its database so that they go with it. */
export interface FixtureRoles {
  readonly database: string;
  readonly owner: string;
  readonly app: string;
  readonly platform: string;
  readonly other: string;
}

/** A sound database of somebody else's: two tenant tables, one partitioned, one shared and one platform table. */
export interface Fixture extends FixtureRoles {
  readonly url: string;
  readonly manifest: Manifest;
  run(sql: string): Promise<void>;
}

/** Makes it. A fault on top of it is the only fault in it. */
export async function makeFixture(): Promise<Fixture> {
  const url = await freshDatabase();
  const database = new URL(url).pathname.slice(1);
  const roles = {
    database,
    owner: `${database}_zowner`,
    app: `${database}_app`,
    platform: `${database}_platform`,
    other: `${database}_other`,
  };
  const run = async (sql: string): Promise<void> => {
    await asAdministrator(url, (client) => client.query(sql));
  };
  await run(sound(roles));
  const manifest = manifestSchema.parse({
    roles: { application: [roles.app], platform: [roles.platform] },
    tables: {
      tenant: ["shop.orders", "shop.items", "shop.events"],
      shared: ["shop.currencies"],
      platform: ["shop.customers"],
      sealed: ["shop.orders.secret"],
    },
  });
  return { ...roles, url, manifest, run };
}

const CONDITION = "tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid)";

function sound({ database, owner, app, platform, other }: FixtureRoles): string {
  return `
create role ${owner} nologin; create role ${app} login; create role ${platform} login; create role ${other} login;
revoke connect, temporary on database ${database} from public;
grant connect on database ${database} to ${app}, ${platform}, ${other};
create schema shop authorization ${owner};
grant usage on schema shop to ${app}, ${platform};
set role ${owner};
create table shop.orders (tenant_id uuid not null, id text not null, note text, total integer,
  secret bytea check (length(secret) >= 49 and get_byte(secret, 0) = 1), primary key (tenant_id, id));
create table shop.items (tenant_id uuid not null, id text not null, order_id text not null, primary key (tenant_id, id),
  foreign key (tenant_id, order_id) references shop.orders (tenant_id, id) on delete cascade);
create table shop.events (tenant_id uuid not null, at date not null, body text, primary key (tenant_id, at)) partition by range (at);
create table shop.events_2026 partition of shop.events for values from ('2026-01-01') to ('2027-01-01');
create table shop.currencies (code text primary key, name text not null);
create table shop.customers (id uuid primary key, name text not null);
create sequence shop.numbers;
${["orders", "items", "events"]
  .map(
    (table) => `alter table shop.${table} enable row level security; alter table shop.${table} force row level security;
create policy tenant on shop.${table} for all to ${app} using (${CONDITION}) with check (${CONDITION});
grant select, insert, update, delete on shop.${table} to ${app};`,
  )
  .join("\n")}
grant select on shop.currencies to ${app};
grant select on shop.customers to ${platform};
reset role;
do $$ declare f regprocedure; shown text; begin
  for f in select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'pg_catalog' and p.provolatile = 'v' and p.prokind = 'f' and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
  loop execute format('revoke execute on function %s from public', f); end loop;
  for f in select p.oid from pg_proc p where p.proname like '%\\_to\\_xml%' or p.proname = 'ts_stat' or p.proname like 'pg\\_stat\\_get\\_%'
  loop execute format('revoke execute on function %s from public', f); end loop;
  select string_agg(quote_ident(attname), ', ') into shown from pg_attribute where attrelid = 'pg_class'::regclass and not attisdropped
    and attname not in ('reltuples', 'relpages', 'relallvisible', 'relallfrozen');
  revoke select on pg_class from public;
  execute 'grant select (' || shown || ') on pg_class to public';
end $$;
revoke all on pg_largeobject_metadata from public`;
}
