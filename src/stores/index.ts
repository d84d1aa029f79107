export { createStores, type Stores, type TenantScope } from "./scope.ts";
