export { createDataStore, type DataLocation, type DataPorts } from "./data-store.ts";
export type { DataCapabilities, DataStore, Queryable, Rows, SystemData, TenantData, TenantTables, TenantTransaction } from "./port.ts";
export { readRootKey } from "./root-key.ts";
export { defineTables, type TableSet, type TableStep } from "./tables/define-tables.ts";
export { sql, type Statement } from "./sql.ts";
export { createRowLifecycle, type RowLifecycle } from "./row-lifecycle.ts";
export type { TableUse, TenantRows, TenantTable } from "./tenant-rows.ts";
