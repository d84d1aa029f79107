import { createSecretKey } from "node:crypto";
import { type Clock, Fault, type Random, type StoreTenant } from "../../kernel/index.ts";
import type { SystemData } from "../data/index.ts";
import { openEnvelope, sealEnvelope, sealedVersion } from "./envelope.ts";
import { KeyCache, type KeyCacheBounds } from "./key-cache.ts";
import { type KeyRow, KeyTable } from "./key-table.ts";
import { vaultLifecycle } from "./lifecycle.ts";
import {
  type DataKey,
  type RewrapReport,
  type RootKeys,
  type SealPlace,
  type TenantKeys,
  type TenantVault,
  VAULT_PURPOSES,
  type VaultPurpose,
  type VaultStore,
} from "./port.ts";
import { RootList } from "./root-list.ts";
import { rewrapKeys } from "./rewrap.ts";

/** What the vault is made of. */
export interface VaultStoreOptions {
  readonly system: SystemData;
  /** The first wraps; those after it only unwrap. */
  readonly roots: readonly [RootKeys, ...RootKeys[]];
  readonly clock: Clock;
  readonly random: Random;
  /** Told of faults that no caller can be told of. */
  readonly report: (fault: Fault) => void;
  readonly bounds?: KeyCacheBounds;
}

/** Keys are asked for again after a minute; 10,000 tenants of 64 keys each take some 100 MB at most. */
export const VAULT_BOUNDS: KeyCacheBounds = { keyTtlMs: 60_000, tenantsMax: 10_000 };

const DATA_KEY_BYTES = 32;
/** Processes that make the same version at once: one of them is kept, the others read it. */
const RACES_MAX = 5;

/** Opens the vault. */
export async function createVaultStore(options: VaultStoreOptions): Promise<VaultStore> {
  const vault = new KeyVault(options);
  await vault.start();
  return vault;
}

class KeyVault implements VaultStore {
  readonly #options: VaultStoreOptions;
  readonly #table: KeyTable;
  readonly #roots: RootList;
  readonly #cache: KeyCache;
  readonly lifecycle;
  #unlisten: (() => Promise<void>) | undefined;

  constructor(options: VaultStoreOptions) {
    this.#options = options;
    this.#table = new KeyTable(options.system);
    this.#roots = new RootList(options.roots);
    this.#cache = new KeyCache(options.bounds ?? VAULT_BOUNDS, options.clock);
    this.lifecycle = vaultLifecycle({
      table: this.#table,
      prepare: async ({ uuid }) => {
        for (const purpose of VAULT_PURPOSES) await this.#current(uuid, purpose);
      },
      destroy: ({ uuid }) => this.#destroy(uuid),
      inMemory: ({ uuid }) => this.#cache.count(uuid),
    });
  }

  async start(): Promise<void> {
    const { system } = this.#options;
    this.#unlisten = await system.listen(
      "freehold_vault",
      (tenant) => this.#cache.forget(tenant),
      () => this.#cache.forgetAll(),
    );
  }

  forTenant({ uuid }: StoreTenant): TenantVault {
    return {
      seal: async (place, value) => sealEnvelope(await this.#current(uuid, place.purpose), this.#options.random, uuid, place, value),
      open: (place, sealed) => this.#open(uuid, place, sealed),
      version: async (purpose) => (await this.#current(uuid, purpose)).version,
    };
  }

  async rotate({ uuid }: StoreTenant, purpose: VaultPurpose): Promise<number> {
    const newest = await this.#table.newest(uuid, purpose);
    const made = await this.#make(uuid, purpose, (newest?.version ?? 0) + 1);
    this.#cache.forget(uuid);
    return made.version;
  }

  async rewrap(signal?: AbortSignal): Promise<RewrapReport> {
    return await rewrapKeys({ table: this.#table, roots: this.#roots, report: this.#options.report }, { ...(signal && { signal }) });
  }

  async setRoot({ uuid }: StoreTenant, root: string | null): Promise<void> {
    if (root !== null) await this.#prove(uuid, root);
    try {
      await this.#table.setOwnRoot(uuid, root);
    } catch (error) {
      if (error instanceof Fault && error.code === "conflict") throw unusable("another tenant's", error);
      throw error;
    }
    const { failed } = await rewrapKeys({ table: this.#table, roots: this.#roots, report: this.#options.report }, { tenant: uuid });
    if (failed > 0) throw new Fault("dependency_unavailable", `${failed} keys of tenant ${uuid} are not under its new root key yet`);
  }

  async newestVersions(purpose: VaultPurpose, tenants: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return await this.#table.newestVersions(purpose, tenants);
  }

  async describe({ uuid }: StoreTenant): Promise<TenantKeys> {
    return { root: await this.#table.ownRoot(uuid), keys: await this.#table.list(uuid) };
  }

  async close(): Promise<void> {
    await this.#unlisten?.();
    this.#cache.forgetAll();
  }

  async #open(tenant: string, place: SealPlace, sealed: Uint8Array): Promise<Buffer> {
    const version = sealedVersion(sealed);
    const dataKey = version === undefined ? undefined : await this.#version(tenant, place.purpose, version);
    const value = dataKey && openEnvelope(dataKey, tenant, place, sealed);
    if (!value) {
      const where = `${place.table}.${place.column}`;
      throw new Fault("isolation_violation", `a sealed value of ${where} was not sealed for this tenant and place, or is damaged`);
    }
    return value;
  }

  /** Wraps and unwraps something for this tenant, so that a key that is not the tenant's to use is refused now. */
  async #prove(tenant: string, root: string): Promise<void> {
    this.#roots.checkOwn(root);
    const probe = this.#options.random.bytes(DATA_KEY_BYTES);
    const binding = { tenant, purpose: "proof", version: 1 };
    try {
      const wrapped = await this.#roots.wrap(probe, binding, root);
      if ((await this.#roots.unwrap(wrapped, binding)).equals(probe)) return;
    } catch (error) {
      throw unusable("not this installation's to use for the tenant", error);
    }
    throw unusable("one that gives back something else", undefined);
  }

  /** The key that seals now. The first is made when it is first needed. */
  async #current(tenant: string, purpose: VaultPurpose): Promise<DataKey> {
    const dataKey = await this.#cache.get(tenant, purpose, async () => {
      const newest = await this.#table.newest(tenant, purpose);
      return newest ? await this.#unwrap(newest) : await this.#make(tenant, purpose, 1);
    });
    if (!dataKey) throw new Fault("internal", `tenant ${tenant} has no key for ${purpose}`);
    return dataKey;
  }

  #version(tenant: string, purpose: VaultPurpose, version: number): Promise<DataKey | undefined> {
    return this.#cache.get(tenant, `${purpose} ${version}`, async () => {
      const row = await this.#table.find({ tenant, purpose, version });
      if (row) return await this.#unwrap(row);
      await this.#table.ownRoot(tenant); // says so when the keys were destroyed
      return undefined;
    });
  }

  async #make(tenant: string, purpose: VaultPurpose, version: number): Promise<DataKey> {
    const own = await this.#table.ownRoot(tenant);
    for (let race = 0; race < RACES_MAX; race++) {
      const binding = { tenant, purpose, version };
      const bytes = Buffer.from(this.#options.random.bytes(DATA_KEY_BYTES));
      const wrapped = await this.#roots.wrap(bytes, binding, own);
      if (await this.#table.add({ ...binding, wrapped })) return toDataKey(version, bytes);
      const faster = await this.#table.find(binding);
      if (faster) return await this.#unwrap(faster);
    }
    throw new Fault("overloaded", `a key of tenant ${tenant} comes and goes`);
  }

  async #unwrap(row: KeyRow): Promise<DataKey> {
    return toDataKey(row.version, await this.#roots.unwrap(row.wrapped, row));
  }

  async #destroy(tenant: string): Promise<void> {
    await this.#table.destroy(tenant);
    this.#cache.forget(tenant);
  }
}

function toDataKey(version: number, bytes: Buffer): DataKey {
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return { version, key };
}

function unusable(why: string, cause: unknown): Fault {
  const detail = "This root key cannot be used for the tenant. It must allow this installation to encrypt and decrypt for it.";
  return new Fault("invalid_settings", `the root key is ${why}`, { cause, public: { detail, field: "root" } });
}
