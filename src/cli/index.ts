export { Closing } from "./closing.ts";
export { createContextOpener, recordQuarantine } from "./event-ports.ts";
export { createFailureCounter, createIdentityAudit } from "./open-identity.ts";
export { openStorage } from "./open-storage.ts";
export { openTenants } from "./open-tenants.ts";
export { loadRootKey } from "./root-key.ts";
export { cacheSettings, filesSettings, readVariable, vaultSettings } from "./settings.ts";
