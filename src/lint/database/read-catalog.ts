import type { DatabaseReader } from "../../stores/data/index.ts";
import type { Catalog, Named } from "./catalog.ts";
import { CATALOG_QUERIES, NOTABLE_FUNCTIONS } from "./catalog-queries.ts";

/** What each part is called where it could not be seen. */
const WORDS: Readonly<Record<keyof typeof CATALOG_QUERIES, string>> = {
  database: "the database itself",
  roles: "roles",
  memberships: "memberships of roles",
  schemas: "schemas",
  relations: "tables and views",
  columns: "columns",
  policies: "policies",
  indexes: "unique indexes",
  foreignKeys: "foreign keys",
  reads: "what views read",
  rewrites: "rules",
  routines: "functions",
  triggers: "triggers",
  eventTriggers: "event triggers",
  grants: "grants",
  settings: "settings of roles and the database",
  publications: "publications",
  servers: "foreign servers",
  statistics: "extended statistics",
  checks: "check constraints",
  estimateReaders: "who may read row estimates",
  largeObjects: "large objects",
};

/** Reads the whole catalog through the reader. What it is refused is empty, and named in `unseen`. */
export async function readCatalog(reader: DatabaseReader): Promise<Catalog> {
  const unseen: string[] = [];
  const names = Object.values(NOTABLE_FUNCTIONS).flat();
  const part = async <R>(key: keyof typeof CATALOG_QUERIES): Promise<readonly R[]> => {
    const text = CATALOG_QUERIES[key];
    const rows = await reader.rows<R>(text, text.includes("$1") ? [names] : []);
    if (rows === undefined) unseen.push(`The role that reads may not see ${WORDS[key]}.`);
    return rows ?? [];
  };
  const [database] = await part<Catalog["database"]>("database");
  if (!database) throw new TypeError("a database always has a row for itself");
  // each part has the shape that its statement names
  const parts = {
    roles: await part<Catalog["roles"][number]>("roles"),
    memberships: await part<Catalog["memberships"][number]>("memberships"),
    schemas: await part<Catalog["schemas"][number]>("schemas"),
    relations: await part<Catalog["relations"][number]>("relations"),
    columns: await part<Catalog["columns"][number]>("columns"),
    policies: await part<Catalog["policies"][number]>("policies"),
    indexes: await part<Catalog["indexes"][number]>("indexes"),
    foreignKeys: await part<Catalog["foreignKeys"][number]>("foreignKeys"),
    reads: await part<Catalog["reads"][number]>("reads"),
    rewrites: await part<Catalog["rewrites"][number]>("rewrites"),
    routines: await part<Catalog["routines"][number]>("routines"),
    triggers: await part<Catalog["triggers"][number]>("triggers"),
    eventTriggers: await part<Named>("eventTriggers"),
    grants: await part<Catalog["grants"][number]>("grants"),
    settings: await part<Catalog["settings"][number]>("settings"),
    publications: await part<Catalog["publications"][number]>("publications"),
    servers: await part<Catalog["servers"][number]>("servers"),
    statistics: await part<Catalog["statistics"][number]>("statistics"),
    checks: await part<Catalog["checks"][number]>("checks"),
  };
  const readers = await part<Named>("estimateReaders");
  const [large] = await part<{ count: number }>("largeObjects");
  return { database, ...parts, estimateReaders: readers.map(({ id }) => id), largeObjects: large?.count ?? 0, unseen };
}
