import { Fault, type StoreTenant } from "../../kernel/index.ts";
import type { Queryable } from "./port.ts";
import { sql } from "./sql.ts";

/** A table that holds rows of tenants, as the engine's catalogue knows it. */
export interface TenantTable {
  /** Schema and name, quoted where they need it. */
  readonly place: string;
  /** Whether all rows of a tenant can be seen and deleted here. */
  readonly reachable: boolean;
  /** Whether it holds no bytes: secrets are kept sealed or hashed, and that is bytes. */
  readonly plain: boolean;
  /** Places of other such tables that it refers to. */
  readonly parents: readonly string[];
}

/** How much of a tenant one table holds; -1 items: the table cannot be read. */
export interface TableUse {
  readonly place: string;
  readonly items: number;
  readonly bytes: number;
}

/**
 * One tenant's rows in whatever table they are, for the life of that tenant. The engine admits no other tenant's rows to it, deletes only
 * of a tenant on its way out, and puts only for one that is not served yet.
 */
export interface TenantRows {
  /** All tables of the catalogue that hold rows of tenants, whoever made them; what a table refers to comes before it. */
  tables(): Promise<readonly TenantTable[]>;
  count(tenant: StoreTenant): Promise<readonly TableUse[]>;
  read(tenant: StoreTenant, place: string): AsyncIterable<Readonly<Record<string, unknown>>>;
  /** Puts rows as {@link read} gives them. Throws `invalid_settings` for a row that the table does not take. */
  put(tenant: StoreTenant, place: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void>;
  /** Deletes from the places until they hold nothing, in whatever order their references need. */
  erase(tenant: StoreTenant, places: readonly string[]): Promise<void>;
}

const READ_ROWS = 200;
const ERASE_ROWS = 2_000;

/** The rows of tenants behind the platform's own connection. */
export function createTenantRows(system: Queryable): TenantRows {
  return {
    async tables() {
      const { rows } = await system.query<TenantTable>(
        sql`select place, reachable, plain, parents from freehold.tenant_tables() where sole is null`,
      );
      return parentsFirst(rows);
    },
    async count({ uuid, id }) {
      const { rows } = await system.query<TableUse>(sql`select place, items, bytes from freehold.count_tenant_rows(${uuid}, ${id})`);
      return rows;
    },
    read: (tenant, place) => readRows(system, tenant, place),
    async put({ uuid }, place, rows) {
      try {
        await system.query(sql`select freehold.put_tenant_rows(${uuid}, ${place}, ${JSON.stringify(rows)}::jsonb)`);
      } catch (error) {
        throw refusedRow(error, place);
      }
    },
    erase: (tenant, places) => eraseRows(system, tenant, places),
  };
}

async function* readRows(system: Queryable, { uuid, id }: StoreTenant, place: string): AsyncGenerator<Readonly<Record<string, unknown>>> {
  let after: string | null = null;
  for (;;) {
    const { rows }: { rows: readonly { place: unknown; value: Readonly<Record<string, unknown>> }[] } = await system.query(sql`
      select place, value from freehold.read_tenant_rows(${uuid}, ${id}, ${place}, ${after}::jsonb, ${READ_ROWS})`);
    for (const { value } of rows) yield value;
    if (rows.length < READ_ROWS) return;
    after = JSON.stringify(rows.at(-1)?.place);
  }
}

async function eraseRows(system: Queryable, { uuid, id }: StoreTenant, places: readonly string[]): Promise<void> {
  let left = places;
  while (left.length > 0) {
    const referred: string[] = [];
    let failure: unknown;
    for (const place of left) {
      try {
        for (let gone = 1; gone > 0;) {
          const { rows } = await system.query<{ gone: number }>(sql`
            select freehold.erase_tenant_rows(${uuid}, ${id}, ${place}, ${ERASE_ROWS}) as gone`);
          gone = rows[0]?.gone ?? 0;
        }
      } catch (error) {
        if (!(error instanceof Fault && error.code === "conflict")) throw error;
        failure = error; // something still refers to these rows: that goes first
        referred.push(place);
      }
    }
    if (referred.length === left.length) throw failure;
    left = referred;
  }
}

/** What a table refers to before it; tables that refer to each other in a circle stay as they come. */
function parentsFirst(tables: readonly TenantTable[]): readonly TenantTable[] {
  const byPlace = new Map(tables.map((table) => [table.place, table]));
  const ordered = new Set<TenantTable>();
  const entered = new Set<TenantTable>();
  const enter = (table: TenantTable): void => {
    if (entered.has(table)) return;
    entered.add(table);
    for (const parent of table.parents) {
      const found = byPlace.get(parent);
      if (found) enter(found);
    }
    ordered.add(table);
  };
  for (const table of tables) enter(table);
  return [...ordered];
}

/** SQLSTATE classes of values that do not fit: data exception, integrity constraint violation. */
function refusedRow(error: unknown, place: string): unknown {
  const cause = error instanceof Fault ? error.cause : undefined;
  const state = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "";
  if (!state.startsWith("22") && !state.startsWith("23") && state !== "42501") return error;
  return new Fault("invalid_settings", `a row for ${place} is refused: ${state}`, {
    cause: error,
    public: { detail: `A record of ${place} does not fit its table.` },
  });
}
