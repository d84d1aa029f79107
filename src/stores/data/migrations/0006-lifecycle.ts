import { TENANT_CONSTRAINT } from "../data-fault.ts";
import type { Migration } from "./migration.ts";

/**
 * What the life of a tenant needs of the engine: functions that find, count, read, put and delete one tenant's rows in every table the
 * catalogue knows, the steps of what is under way, and the certificates of what is gone.
 */
export const lifecycle: Migration = {
  version: 6,
  name: "lifecycle",
  sql: ({ roles }) => `
-- neither table has a column that is one of a tenant's: they are what is kept of it
create table freehold.lifecycle_runs (
  id uuid primary key,
  subject uuid not null,
  kind text not null check (kind in ('provision', 'import', 'erase')),
  state text not null default 'running' check (state in ('running', 'done', 'failed')),
  steps text[] not null default '{}',
  request jsonb not null,
  notes jsonb not null default '{}',
  problem text,
  tries integer not null default 0,
  lease uuid,
  lease_until timestamptz not null default '-infinity',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index lifecycle_runs_running on freehold.lifecycle_runs (subject) where state = 'running';
create index lifecycle_runs_subject on freehold.lifecycle_runs (subject, id);
grant select, insert, update on freehold.lifecycle_runs to ${roles.system};
create table freehold.erasure_certificates (
  subject uuid primary key,
  certificate text not null,
  issued_at timestamptz not null default now()
);
grant select, insert, update on freehold.erasure_certificates to ${roles.system};

-- the events that come with an import
grant insert on freehold.outbox to ${roles.system};

-- the tenant whose rows the functions below see: the policy "lifecycle" of each table admits no others to them
create function freehold.lifecycle_tenant() returns uuid language sql stable as
  $$ select nullif(current_setting('app.lifecycle_tenant', true), '')::uuid $$;

${TENANT_TABLES}
${COUNT_ROWS}
${ERASE_ROWS}
${READ_ROWS}
${PUT_ROWS}
${DROP_UNBORN}
revoke all on function freehold.lifecycle_tenant(), ${FUNCTIONS} from public;
grant execute on function ${FUNCTIONS} to ${roles.system};
`,
};

const FUNCTIONS = [
  "freehold.tenant_tables()",
  "freehold.count_tenant_rows(uuid, text)",
  "freehold.erase_tenant_rows(uuid, text, text, integer)",
  "freehold.read_tenant_rows(uuid, text, text, jsonb, integer)",
  "freehold.put_tenant_rows(uuid, text, jsonb)",
  "freehold.drop_unborn_tenant(uuid)",
].join(", ");

/**
 * Whatever in the catalogue holds rows of tenants, registered by anybody or not: a column of that name, or a reference to the tenants.
 * `sole`: the constraint that keeps it to one tenant, where there is one. `reachable`: the functions see all rows of it and can delete them. `plain`: it has no bytes in it, which is how secrets are kept.
 */
const TENANT_TABLES = tenantTablesSql("create", "");

/** The same with another word of what may be bytes in a table that is `plain` all the same. */
export function tenantTablesSql(create: "create" | "create or replace", unless: string): string {
  return `
${create} function freehold.tenant_tables()
  returns table (place text, keyed text, condition text, reachable boolean, plain boolean, parents text[], sole text)
  language sql stable security definer set search_path = pg_catalog as $$
  with keyed as (
    select distinct on (c.oid) c.oid, n.oid as space, format('%I.%I', n.nspname, c.relname) as place, c.relkind, c.relowner,
      c.relrowsecurity, c.relforcerowsecurity, a.attname::text as attname, a.atttypid,
      (select r.oid from pg_roles r where r.rolname = current_user) as me
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'p', 'm', 'f') and not c.relispartition and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
      and (a.attname in ('tenant_id', 'tenant_uuid') or exists (
        select from pg_constraint f where f.contype = 'f' and f.conrelid = c.oid and f.confrelid = 'freehold.tenants'::regclass
          and f.conkey[1] = a.attnum))
    order by c.oid, a.attname
  )
  select k.place, k.attname,
    case when k.atttypid = 'uuid'::regtype then format('%I = $1', k.attname) else format('%I in ($1::text, $2)', k.attname) end,
    k.atttypid in ('uuid'::regtype, 'text'::regtype, 'varchar'::regtype) and k.relkind in ('r', 'p')
      and has_schema_privilege(k.space, 'usage') and has_table_privilege(k.oid, 'select') and has_table_privilege(k.oid, 'delete')
      and (not k.relrowsecurity or (k.relowner = k.me and not k.relforcerowsecurity) or exists (
        select from pg_policy p where p.polrelid = k.oid and p.polname = 'lifecycle' and p.polroles @> array[k.me])),
    not exists (select from pg_attribute b where b.attrelid = k.oid and b.attnum > 0 and not b.attisdropped
      and b.atttypid in ('bytea'::regtype, 'bytea[]'::regtype)${unless}),
    coalesce((select array_agg(distinct p.place) from pg_constraint f join keyed p on p.oid = f.confrelid
      where f.contype = 'f' and f.conrelid = k.oid and p.oid <> k.oid), '{}'),
    (select pg_get_constraintdef(s.oid) from pg_constraint s
      where s.conrelid = k.oid and s.contype = 'c' and s.convalidated and s.conname = '${TENANT_CONSTRAINT}')
  from keyed k order by k.place
$$;`;
}

const COUNT_ROWS = `
create function freehold.count_tenant_rows(subject uuid, slug text) returns table (place text, items bigint, bytes bigint)
  language plpgsql volatile security definer set search_path = pg_catalog as $$
declare
  t record;
begin
  perform set_config('app.lifecycle_tenant', subject::text, true);
  -- a table of another tenant's own home: the engine lets no row of this one into it
  for t in select f.* from freehold.tenant_tables() f where f.sole is null or position(subject::text in f.sole) > 0 order by f.place loop
    place := t.place;
    items := -1; -- not known
    bytes := 0;
    if t.reachable then
      execute format('select count(*), coalesce(sum(pg_column_size(x)), 0)::bigint from %s x where %s', t.place, t.condition)
        into items, bytes using subject, slug;
    end if;
    return next;
  end loop;
end $$;`;

/** A tenant that is served, or will be again, cannot be erased by it: the engine looks for itself. */
const ERASE_ROWS = `
create function freehold.erase_tenant_rows(subject uuid, slug text, named text, at_most integer) returns bigint
  language plpgsql volatile security definer set search_path = pg_catalog as $$
declare
  t record;
  gone bigint;
begin
  if not exists (select from freehold.tenants where uuid = subject and id = slug and status in ('deleting', 'erased', 'provisioning')) then
    raise insufficient_privilege using message = 'only a tenant on its way out, or not yet there, is erased';
  end if;
  select f.* into t from freehold.tenant_tables() f where f.place = named;
  if not found or not t.reachable then
    raise insufficient_privilege using message = 'not a table whose rows can be erased';
  end if;
  perform set_config('app.lifecycle_tenant', subject::text, true);
  execute format('with gone as (delete from %1$s x where %2$s and x.ctid = any (array(select y.ctid from %1$s y where %2$s limit $3)) returning 1)
    select count(*) from gone', t.place, t.condition) into gone using subject, slug, at_most;
  return gone;
end $$;`;

/** A page of rows in the order of their keys, each with the place at which the next page begins. Without the tenant's own column. */
const READ_ROWS = readRowsSql("create", { value: "to_jsonb(x) - %L", parts: "t.keyed" });

/** The same with another value: its text, and what is put in at each `%` of it. */
export function readRowsSql(
  create: "create" | "create or replace",
  { value, parts }: { readonly value: string; readonly parts: string },
): string {
  return `
${create} function freehold.read_tenant_rows(subject uuid, slug text, named text, after jsonb, at_most integer)
  returns table (place jsonb, value jsonb)
  language plpgsql volatile security definer set search_path = pg_catalog as $$
declare
  t record;
  listed text;
  texts text;
  given text;
begin
  select f.* into t from freehold.tenant_tables() f where f.place = named;
  if not found or not t.reachable then
    raise insufficient_privilege using message = 'not a table whose rows can be read';
  end if;
  perform set_config('app.lifecycle_tenant', subject::text, true);
  select string_agg(format('x.%I', k.name), ', ' order by k.at), string_agg(format('x.%I::text', k.name), ', ' order by k.at),
      string_agg(format('($3->>%s)::%s', k.at - 1, k.type), ', ' order by k.at)
    into listed, texts, given
    from (
      select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, row_number() over (order by u.at) as at
      from pg_index i cross join unnest(i.indkey::smallint[]) with ordinality u (number, at)
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.number
      where i.indrelid = named::regclass and i.indisprimary and a.attname <> t.keyed
    ) k;
  if listed is null then -- no key besides the tenant: the row's own place
    listed := 'x.ctid'; texts := 'x.ctid::text'; given := '($3->>0)::tid';
  end if;
  return query execute format('select jsonb_build_array(%s), ${value} from %s x where %s and ($3 is null or (%s) > (%s)) order by %s limit $4',
    texts, ${parts}, t.place, t.condition, listed, given, listed) using subject, slug, after, at_most;
end $$;`;
}

/**
 * Rows of a tenant that is not served yet, with its own id whatever they say. What refers to a row that is not there is left out; the
 * number is of those that were put.
 */
const PUT_ROWS = `
create function freehold.put_tenant_rows(subject uuid, named text, given jsonb) returns bigint
  language plpgsql volatile security definer set search_path = pg_catalog as $$
declare
  t record;
  columns text;
  taken text;
  unknown text;
  whole text;
  put bigint;
begin
  if not exists (select from freehold.tenants where uuid = subject and status = 'provisioning') then
    raise insufficient_privilege using message = 'rows are put only for a tenant that is not served yet';
  end if;
  select f.* into t from freehold.tenant_tables() f where f.place = named;
  if not found or not t.reachable or not t.plain then
    raise insufficient_privilege using message = 'not a table whose rows can be put';
  end if;
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum), string_agg(format('r.%I', a.attname), ', ' order by a.attnum)
    into columns, taken from pg_attribute a
    where a.attrelid = named::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity <> 'a'
      and a.attname <> t.keyed;
  select k.name into unknown from jsonb_array_elements(given) e cross join jsonb_object_keys(e.value) k (name)
    where not exists (select from pg_attribute a
      where a.attrelid = named::regclass and a.attnum > 0 and not a.attisdropped and a.attname = k.name and a.attname <> t.keyed) limit 1;
  if unknown is not null then
    raise invalid_parameter_value using message = 'a row has a column that the table does not have';
  end if;
  select string_agg(format('and exists (select from %s p where %s)', f.confrelid::regclass, f.agreeing), ' ') into whole from (
    select c.confrelid, string_agg(case when a.attname = t.keyed then format('p.%I = $1', b.attname)
      else format('(p.%I = r.%I or r.%I is null)', b.attname, a.attname, a.attname) end, ' and ') as agreeing
    from pg_constraint c cross join unnest(c.conkey, c.confkey) u (here, there)
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = u.here
    join pg_attribute b on b.attrelid = c.confrelid and b.attnum = u.there
    where c.contype = 'f' and c.conrelid = named::regclass and c.confrelid <> c.conrelid group by c.oid, c.confrelid) f;
  perform set_config('app.lifecycle_tenant', subject::text, true);
  execute format('with put as (insert into %s (%I, %s) select $1, %s from jsonb_populate_recordset(null::%s, $2) r where true %s returning 1)
    select count(*) from put', t.place, t.keyed, columns, taken, t.place, coalesce(whole, '')) into put using subject, given;
  return put;
end $$;`;

/** The row of a tenant that was never served and has nothing: its name may be given again. Every other row stays for good. */
const DROP_UNBORN = `
create function freehold.drop_unborn_tenant(subject uuid) returns boolean
  language plpgsql volatile security definer set search_path = pg_catalog as $$
begin
  if exists (select from freehold.count_tenant_rows(subject, (select id from freehold.tenants where uuid = subject)) c where c.items <> 0) then
    return false;
  end if;
  delete from freehold.tenants where uuid = subject and status = 'provisioning';
  return found;
end $$;`;
