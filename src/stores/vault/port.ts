import type { KeyObject } from "node:crypto";
import type { StoreLifecycle, StoreTenant } from "../../kernel/index.ts";

/** What a tenant's data keys are for. Each purpose has keys of its own. */
export const VAULT_PURPOSES = ["secrets", "columns", "cache", "files"] as const;
export type VaultPurpose = (typeof VAULT_PURPOSES)[number];

/** Where a sealed value stands. It opens there and nowhere else. */
export interface SealPlace {
  readonly purpose: VaultPurpose;
  readonly table: string;
  readonly column: string;
  /** What names the row inside the tenant, part by part; never joined. */
  readonly row: readonly string[];
}

/** The sealed values of one tenant. */
export interface TenantVault {
  /**
   * Encrypts a value under the tenant's key in force. Throws `dependency_unavailable` when the root key cannot be reached (never does a
   * value go on in plain text) and `not_found` when the tenant's keys were destroyed.
   */
  seal(place: SealPlace, value: Uint8Array): Promise<Buffer>;
  /**
   * The value again. Throws `not_found` when the tenant's keys were destroyed, `dependency_unavailable` when the root key cannot be reached, and
   * `isolation_violation` when the value was sealed for another tenant or place, or is damaged.
   */
  open(place: SealPlace, sealed: Uint8Array): Promise<Buffer>;
  /** The version of the key that seals now. */
  version(purpose: VaultPurpose): Promise<number>;
}

/** What a wrapped key belongs to. It can be unwrapped for nothing else. */
export interface KeyBinding {
  /** The internal id. */
  readonly tenant: string;
  readonly purpose: string;
  readonly version: number;
}

/** A data key under a root key. */
export interface WrappedKey {
  /** Which root key, in its version: `local:…`, `aws-kms:…` or `transit:…`. */
  readonly root: string;
  readonly bytes: Uint8Array;
}

/** A kind of root key: it wraps data keys and never leaves its place. Each adapter of a place where root keys are kept is one. */
export interface RootKeys {
  /** What the names of its root keys begin with, before the colon. */
  readonly kind: string;
  /** The root key that wraps now. It is another one after the root key was rotated. `own` is a tenant's own key. */
  inForce(own?: string): Promise<string>;
  /** Throws `dependency_unavailable` when the root key cannot be reached or refuses. */
  wrap(dataKey: Uint8Array, binding: KeyBinding, own?: string): Promise<WrappedKey>;
  /** Throws `dependency_unavailable` when the root key cannot be reached or refuses, also because the binding is another. */
  unwrap(wrapped: WrappedKey, binding: KeyBinding): Promise<Buffer>;
  /** Throws `invalid_settings` unless a tenant can have this key of its own here. */
  checkOwn(own: string): void;
}

/** A data key in memory: it can be used, and does not print. */
export interface DataKey {
  readonly version: number;
  readonly key: KeyObject;
}

/** What a pass over wrapped keys did. */
export interface RewrapReport {
  /** Keys that are under the root key in force now and were not before. */
  readonly rewrapped: number;
  /** Keys that stayed as they were, because their old or new root key could not be reached. */
  readonly failed: number;
}

/** Which keys a tenant has. Nothing in it opens anything. */
export interface TenantKeys {
  /** Its own root key, or null for the installation's. */
  readonly root: string | null;
  readonly keys: readonly {
    readonly purpose: string;
    readonly version: number;
    /** The root key that it is under. */
    readonly root: string;
    /** ISO 8601, UTC. */
    readonly createdAt: string;
  }[];
}

/** Keys of all tenants, each wrapped under a root key: envelope encryption. */
export interface VaultStore {
  /** The vault of the tenant. Cheap: may be called once per request. */
  forTenant(tenant: StoreTenant): TenantVault;
  /** Makes a new key of the tenant, which seals from now on; in other processes at the latest when their copies are old. Gives its version. */
  rotate(tenant: StoreTenant, purpose: VaultPurpose): Promise<number>;
  /**
   * Puts every wrapped key under the root key in force: its tenant's own, or the installation's first. Values stay readable all the time.
   * After a kill it goes on when it is called again.
   */
  rewrap(signal?: AbortSignal): Promise<RewrapReport>;
  /**
   * Gives the tenant a root key of its own (`aws-kms:<ARN>`, `transit:<name>`), or with null the installation's, and puts its keys under it.
   * Throws `invalid_settings` unless the key wraps and unwraps for this tenant, or when it is another tenant's.
   */
  setRoot(tenant: StoreTenant, root: string | null): Promise<void>;
  /** The newest version of each of these tenants' keys for this purpose. No root key is asked. */
  newestVersions(purpose: VaultPurpose, tenants: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Throws `not_found` when the tenant's keys were destroyed. */
  describe(tenant: StoreTenant): Promise<TenantKeys>;
  readonly lifecycle: StoreLifecycle;
  close(): Promise<void>;
}
