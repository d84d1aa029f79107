export { type AwsKmsSettings, createAwsKmsRootKeys } from "./adapters/aws-kms.ts";
export { createLocalRootKeys } from "./adapters/local.ts";
export { createVaultTransitRootKeys, type VaultTransitSettings } from "./adapters/vault-transit.ts";
export { SEALED_OVERHEAD_BYTES } from "./envelope.ts";
export {
  type RootKeys,
  type SealPlace,
  type TenantKeys,
  type TenantVault,
  VAULT_PURPOSES,
  type VaultPurpose,
  type VaultStore,
} from "./port.ts";
export type { SendToRoot } from "./root-http.ts";
export { createVaultStore, VAULT_BOUNDS, type VaultStoreOptions } from "./vault-store.ts";
