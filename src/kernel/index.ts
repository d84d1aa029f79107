export { AEAD_NONCE_BYTES, AEAD_TAG_BYTES, aeadOpen, type AeadParts, aeadSeal, partsToBytes } from "./aead.ts";
export { BoundedMap } from "./bounded-map.ts";
export { type Clock, fractionOf, type Random, systemClock, systemRandom } from "./clock.ts";
export {
  createTenantContext,
  freezePrincipal,
  PLATFORM_ROLES,
  type PlatformPrincipal,
  type PlatformRole,
  type Principal,
  PROVED_BY,
  type ProvedBy,
  type Scope,
  SCOPES,
  TENANT_ROLES,
  type TenantContext,
  type TenantPrincipal,
  type TenantRole,
  type Trace,
} from "./context.ts";
export { Fault, type FaultCode, type FaultPublic, FAULTS, toFault } from "./fault.ts";
export { type HeapItem, IndexedHeap } from "./indexed-heap.ts";
export { type Json, JSON_BOUNDS, type JsonBounds, parseJson } from "./json.ts";
export { createKeyring, type Keyring, ROOT_KEY_BYTES } from "./keyring.ts";
export { Secret } from "./secret.ts";
export { SerialQueue } from "./serial-queue.ts";
export { type StoreLifecycle, type StoreRecord, type StoreRemainder, type StoreTenant, type StoreUse } from "./store-lifecycle.ts";
export {
  type MovableStore,
  STORE_PLACES,
  type StoreMove,
  type StoreMoveOptions,
  type StorePlace,
  type StorePlaces,
} from "./store-places.ts";
export {
  AGENT_PROTOCOLS,
  type AgentConfig,
  type AgentProtocol,
  type AgentSecretFlags,
  type BillingConfig,
  type ChannelConfig,
  DATA_MODELS,
  type DataModel,
  ISOLATION_LEVELS,
  type IsolationLevel,
  type McpServer,
  type Placement,
  PLACEMENT_OF,
  type Platform,
  PLATFORMS,
  type RequestRate,
  type ResourceQuotas,
  type SessionSettings,
  type Tenant,
  TENANT_STATUSES,
  type TenantStatus,
} from "./tenant.ts";
export { parseTenantId, TENANT_ID_LENGTH_MAX, type TenantId } from "./tenant-id.ts";
export { parseTraceparent, toTraceparent } from "./trace.ts";
export { Turns } from "./turns.ts";
export { createUuidSequence, isUuid, uuidV5, uuidV7 } from "./uuid.ts";
