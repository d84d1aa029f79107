export { createContextOpener, recordQuarantine } from "./event-ports.ts";
export { createIdentityAudit } from "./open-identity.ts";
export { loadRootKey } from "./root-key.ts";
