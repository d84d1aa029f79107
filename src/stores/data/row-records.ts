import { Fault, type Json } from "../../kernel/index.ts";
import type { Queryable } from "./port.ts";
import { builtStatement } from "./sql.ts";
import { plainName, type TenantTable } from "./table-list.ts";

type Row = Readonly<Record<string, unknown>>;

const PAGE = 500;
/** Types whose values JSON's numbers do not hold exactly: they are exported as text. */
const EXACT = /^(?:bigint|numeric)/;
const JSON_TYPE = /^jsonb?$/;

/** All rows of the tenant in the table, in the order of its key, as values that survive JSON: without the tenant's own column, and without what is null. */
export async function* readRows(rows: Queryable, table: TenantTable, tenant: string): AsyncIterable<Row> {
  const { columns, types, key, relation } = table;
  // each column by itself: JSON's null inside a jsonb column is not the absence of a value
  const selected = columns.map((column, at) => `to_json(${column}${EXACT.test(types[at] ?? "") ? "::text" : ""})::text as c${at}`);
  const keys = key.slice(1).map((column) => ({ column, type: types[columns.indexOf(column)] ?? "text" }));
  const after = keys.map(({ type }, at) => `$${at + 2}::text::${type}`).join(", ");
  const order = keys.map(({ column }) => column).join(", ");
  let last: (string | null)[] | undefined;
  for (;;) {
    const where = last && keys.length > 0 ? ` and (${order}) > (${after})` : "";
    const text = `select ${[...selected, ...keys.map(({ column }, at) => `${column}::text as k${at}`)].join(", ")} from ${relation}
      where tenant_id = $1${where} order by ${["tenant_id", ...keys.map(({ column }) => column)].join(", ")} limit ${PAGE}`;
    const page = await rows.query<Record<string, string | null>>(builtStatement(text, [tenant, ...(where === "" ? [] : (last ?? []))]));
    for (const row of page.rows) yield toValue(row, columns);
    const end = page.rows.at(-1);
    if (!end || page.rows.length < PAGE) return;
    last = keys.map((_, at) => end[`k${at}`] ?? null);
  }
}

/** Puts rows into the table as this tenant's. A row that is there already stays as it is. Throws `invalid_settings` for a column it does not have. */
export async function writeRows(rows: Queryable, table: TenantTable, tenant: string, values: readonly Row[]): Promise<void> {
  const { columns, types, relation } = table;
  const names = columns.map(plainName);
  for (const value of values) {
    const unknown = Object.keys(value).find((name) => !names.includes(name));
    if (unknown !== undefined) throw refused(table.name, unknown);
  }
  const taken = columns.map((column, at) => {
    const name = names[at] ?? column;
    if (name === "tenant_id") return "$1::uuid";
    if (JSON_TYPE.test(types[at] ?? "")) return `(v.value -> '${name}')::${types[at] ?? "jsonb"}`;
    return `(jsonb_populate_record(null::${relation}, v.value)).${column}`;
  });
  const text = `insert into ${relation} (${columns.join(", ")}) select ${taken.join(", ")}
    from unnest($2::text[]) with ordinality u (text, place), lateral (select u.text::jsonb as value) v order by u.place on conflict do nothing`;
  await rows.query(builtStatement(text, [tenant, values.map((value) => JSON.stringify(value))]));
}

function toValue(row: Readonly<Record<string, string | null>>, columns: readonly string[]): Row {
  const value: Record<string, Json> = {};
  for (const [at, column] of columns.entries()) {
    const text = row[`c${at}`];
    if (typeof text === "string" && column !== "tenant_id") value[plainName(column)] = JSON.parse(text) as Json; // made by to_json
  }
  return value;
}

function refused(table: string, column: string): Fault {
  const detail = `The table ${table} has no column ${column}.`;
  return new Fault("invalid_settings", detail, { public: { detail, field: column } });
}
