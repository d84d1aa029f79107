import fc from "fast-check";
import { contextOf } from "../support/tenants.ts";

const A = contextOf("a").tenant.uuid;
const B = contextOf("b").tenant.uuid;

/** Columns that every table here has as text, so that all statements of the grammar have types that fit. */
interface Table {
  readonly name: string;
  readonly texts: readonly string[];
  /** Values of a new row of the tenant with this id. */
  insert(tenant: string, id: string): string;
}

const TABLES: readonly Table[] = [
  {
    name: "documents",
    texts: ["id", "title", "body", "created_by"],
    insert: (tenant, id) => `(tenant_id, id, title, body, created_by) values ('${tenant}', '${id}', 'new', 'new', 'x')`,
  },
  {
    name: "users",
    texts: ["id", "name", "email"],
    insert: (tenant, id) => `(tenant_id, id, name, roles) values ('${tenant}', '${id}', 'new', '{}')`,
  },
  {
    name: "sessions",
    texts: ["id", "user_id", "platform"],
    insert: (tenant, id) => `(tenant_id, id, user_id, platform) values ('${tenant}', '${id}', 'user-1', 'web')`,
  },
];

const table = fc.constantFrom(...TABLES);
const tenant = fc.constantFrom(A, B);
const id = fc.constantFrom("user-1", "doc-1", "session-1", "new-1", "new-2");

/** A condition over the table, known by `alias`, and over other tables inside it. */
function condition(alias: string, of: Table, depth = 2): fc.Arbitrary<string> {
  const text = fc.constantFrom(...of.texts);
  const leaves = [
    fc.constantFrom(
      "true",
      `${alias}.tenant_id is not null`,
      `${alias}.tenant_id <> freehold.tenant()`,
      `${alias}.metadata::text like '%CANARY%'`,
    ),
    tenant.map((uuid) => `${alias}.tenant_id = '${uuid}'`),
    tenant.map((uuid) => `${alias}.tenant_id::text in ('${uuid}', 'x')`),
    text.map((column) => `${alias}.${column} like '%CANARY%'`),
    text.map((column) => `position('CANARY' in coalesce(${alias}.${column}, '')) > 0`),
    fc.tuple(text, id).map(([column, value]) => `${alias}.${column} = '${value}'`),
    // errors that would carry a value away
    text.map((column) => `case when ${alias}.tenant_id = '${B}' then ${alias}.${column}::integer > 0 else true end`),
    tenant.map((uuid) => `1 / (case when ${alias}.tenant_id = '${uuid}' then 1 else 0 end) = 1`),
  ];
  if (depth === 0) return fc.oneof(...leaves);
  const inner = condition(alias, of, depth - 1);
  return fc.oneof(
    ...leaves,
    inner.map((one) => `not (${one})`),
    fc.tuple(inner, fc.constantFrom("and", "or"), inner).map(([left, word, right]) => `(${left} ${word} ${right})`),
    table.chain((other) => condition("i", other, 0).map((one) => `exists (select from ${other.name} i where ${one})`)),
    table.chain((other) => condition("i", other, 0).map((one) => `${alias}.id in (select i.id from ${other.name} i where ${one})`)),
  );
}

const shown = (alias: string, of: Table): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom(`${alias}.*`, `to_jsonb(${alias})`, `${alias}::text`, `${alias}.ctid, ${alias}.tenant_id`),
    fc.constantFrom("count(*)", `json_agg(${alias})`, `max(${alias}.id)`, `array_agg(${alias}.tenant_id)`),
    fc.constantFrom(...of.texts).map((column) => `${alias}.${column}`),
    table.map((other) => `(select string_agg(o::text, ',') from ${other.name} o)`),
    table.map((other) => `(select o::text from ${other.name} o where o.tenant_id <> ${alias}.tenant_id limit 1)`),
  );

const select: fc.Arbitrary<string> = table.chain((of) =>
  fc
    .tuple(shown("t", of), condition("t", of), fc.constantFrom("", " for update", " for share skip locked", " limit 2", " offset 1"))
    .map(([what, where, end]) => `select ${what} from ${of.name} t where ${where}${/count|agg|max/.test(what) ? "" : end}`),
);

const join: fc.Arbitrary<string> = fc
  .tuple(table, table, fc.constantFrom("join", "left join", "full join", "cross join"))
  .chain(([one, other, word]) =>
    condition("t", one).map((where) => {
      const on = word === "cross join" ? "" : word === "full join" ? " on t.id = u.id" : " on t.id <> u.id or true";
      return `select t::text, u::text from ${one.name} t ${word} ${other.name} u${on} where ${where}`;
    }),
  );

const together: fc.Arbitrary<string> = fc
  .tuple(table, table, fc.constantFrom("union all", "except", "intersect"))
  .map(([one, other, word]) => `select id, tenant_id::text from ${one.name} ${word} select id, tenant_id::text from ${other.name}`);

const change: fc.Arbitrary<string> = table.chain((of) => {
  const where = condition("t", of);
  const text = fc.constantFrom(...of.texts);
  return fc.oneof(
    fc.tuple(where, shown("t", of)).map(([one, what]) => `delete from ${of.name} t where ${one} returning ${single(what)}`),
    fc
      .tuple(text, where, tenant)
      .map(([column, one, uuid]) => `update ${of.name} t set ${column} = t.id, tenant_id = '${uuid}' where ${one} returning t.*`),
    fc
      .tuple(text, where)
      .map(([column, one]) => `update ${of.name} t set ${column} = o::text from ${of.name} o where ${one} returning t.*, o.*`),
    fc.tuple(tenant, id).map(([uuid, value]) => `insert into ${of.name} ${of.insert(uuid, value)} returning *`),
    fc.tuple(tenant, id).map(([uuid, value]) => `insert into ${of.name} ${of.insert(uuid, value)} on conflict do nothing returning *`),
    fc
      .tuple(tenant, id, tenant)
      .map(
        ([uuid, value, moved]) =>
          `insert into ${of.name} ${of.insert(uuid, value)} on conflict (tenant_id, id) do update set tenant_id = '${moved}' returning *`,
      ),
    where.map((one) => `merge into ${of.name} t using ${of.name} s on ${one} when matched then delete`),
    fc
      .tuple(where, tenant, id)
      .map(
        ([one, uuid, value]) =>
          `merge into ${of.name} t using (values (1)) v on ${one} when not matched then insert ${of.insert(uuid, value)}`,
      ),
  );
});

const inWith: fc.Arbitrary<string> = fc
  .tuple(fc.oneof(select, change), table, fc.boolean())
  .map(
    ([first, of, materialized]) =>
      `with w as ${materialized ? "materialized " : ""}(${first}) select w::text, t::text from w, ${of.name} t`,
  );

/** `returning` takes no aggregates. */
function single(what: string): string {
  return /count|agg|max/.test(what) ? "t.*" : what;
}

/** Statements of reading and writing over the tables of tenants, most of them asking for, or at, tenant b's rows. */
export const statements: fc.Arbitrary<readonly string[]> = fc.array(fc.oneof(select, join, together, change, inWith), {
  minLength: 1,
  maxLength: 4,
});
