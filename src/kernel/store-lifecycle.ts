import type { TenantId } from "./tenant-id.ts";

/** Whose part of a store is meant. The internal id is never given to a second tenant, so a late call cannot meet a later tenant's data. */
export interface StoreTenant {
  readonly uuid: string;
  readonly id: TenantId;
}

/** How much of one tenant a store holds. */
export interface StoreUse {
  /** Rows, points, entries or files. */
  readonly items: number;
  /** What the engine says they take; an estimate where it cannot say exactly. */
  readonly bytes: number;
}

/** One thing of an export. `kind` names what it is inside its store (a table, a file); the value survives JSON. */
export interface StoreRecord {
  readonly kind: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** The bytes of a file. */
  readonly bytes?: Uint8Array;
}

/** Something of a tenant that is still there after its erasure, and where it was seen. */
export interface StoreRemainder {
  readonly place: string;
  /** How many; -1 where it cannot be looked into, which counts as something that is still there. */
  readonly items: number;
}

/**
 * What every store does for the life of a tenant, so that none can be forgotten: a store without it cannot be added to the installation.
 * Every call may be made again after a kill at any point, and then goes on or finds nothing to do.
 */
export interface StoreLifecycle {
  /** `data`, `search`, `events`, `cache`, `vault` or `files`. */
  readonly name: string;
  /** Makes what the tenant needs here before it can be served. */
  provision(tenant: StoreTenant): Promise<void>;
  measure(tenant: StoreTenant): Promise<StoreUse>;
  /** All that the tenant may take along, in an order in which it can be put back. Never a secret. */
  export(tenant: StoreTenant): AsyncIterable<StoreRecord>;
  /** Puts back what {@link export} gave, as this tenant's. Throws `invalid_settings` for a record that it cannot take. */
  import(tenant: StoreTenant, records: AsyncIterable<StoreRecord>): Promise<void>;
  /** Deletes everything of the tenant, for good. */
  erase(tenant: StoreTenant): Promise<void>;
  /** What of the tenant is still there, looked up in the engine's own catalogue where it has one and not in our list. Empty after an erasure. */
  remains(tenant: StoreTenant): Promise<readonly StoreRemainder[]>;
}
