export type { GatewayObject, GatewayObjects, GatewayState, GatewayWrite } from "./gateway-objects.ts";
export type { Confirmation } from "./gateway-processes.ts";
export { type Installation, type InstallationInsert, type Installations, tenantOf } from "./installations.ts";
export type { KeyInsert, StoredKey } from "./key-store.ts";
export { CHANNEL_LEASE_MS, type ChannelLeases, type HeldLease } from "./channel-leases.ts";
export { createRegistryLifecycle } from "./registry-lifecycle.ts";
export type { TenantTombstone } from "./restored.ts";
export type { RevocationNotes } from "./revocation-notes.ts";
export { createRegistry, type Registry, REGISTRY_BOUNDS, type RegistryBounds, type RegistryPorts } from "./registry.ts";
export {
  type Plan,
  planSchema,
  type TenantCreate,
  tenantCreateSchema,
  tenantIdSchema,
  tenantSelfUpdateSchema,
  type TenantUpdate,
  tenantUpdateSchema,
} from "./tenant-settings.ts";
export type { ResealReport } from "./reseal.ts";
export { MCP_SECRET, type SecretName } from "./tenant-secrets.ts";
