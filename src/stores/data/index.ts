export { createDataStore, type DataLocation, type DataPorts } from "./data-store.ts";
export type { DataCapabilities, DataStore, Queryable, Rows, SystemData, TenantData } from "./port.ts";
export { type DatabaseAddress, type DatabaseReader, readDatabase } from "./read-only.ts";
export { actorsOf } from "./roles.ts";
export { readRootKey } from "./root-key.ts";
export { sql, type Statement } from "./sql.ts";
