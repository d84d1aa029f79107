export { createDataStore, type DataLocation, type DataPorts } from "./data-store.ts";
export type { DataCapabilities, DataStore, Queryable, Rows, SystemData, TenantData, TenantTables, TenantTransaction } from "./port.ts";
export type { Homes } from "./homes.ts";
export type { MoveReport, MoveState } from "./move/move-report.ts";
export { readRootKey } from "./root-key.ts";
export { defineTables, NO_TABLES, type TableSet, type TableStep } from "./tables/define-tables.ts";
export type { FleetStatus } from "./tables/fleet.ts";
export { sql, type Statement } from "./sql.ts";
