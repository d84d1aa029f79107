import {
  AEAD_NONCE_BYTES,
  aeadOpen,
  aeadSeal,
  Fault,
  type Keyring,
  partsToBytes,
  type Random,
  Secret,
  type StoreTenant,
} from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData } from "../../stores/data/index.ts";
import type { SealPlace, VaultStore } from "../../stores/vault/index.ts";

/** What the settings of models are kept with. */
export interface ModelStorePorts {
  readonly system: SystemData;
  readonly vault: Pick<VaultStore, "forTenant">;
  readonly keyring: Keyring;
  readonly random: Random;
}

/** A stored document with the number that a change has to name. 0: there is none yet. */
export interface Versioned {
  readonly document: unknown;
  readonly version: number;
}

/** What is stored for one tenant. */
export interface TenantModelRow {
  readonly given: unknown;
  readonly own: unknown;
  readonly version: number;
  /** Sealed keys by provider. */
  readonly keys: ReadonlyMap<string, Buffer>;
}

/** The platform's document and its sealed keys. */
export interface PlatformModelRow extends Versioned {
  readonly keys: ReadonlyMap<string, Buffer>;
}

/** The part of a tenant's row that a writing replaces. */
export type TenantPart = "given" | "own";

const NOTHING: TenantModelRow = { given: undefined, own: undefined, version: 0, keys: new Map() };

/** What is stored for this tenant. */
export async function readTenantModels(system: SystemData, uuid: string): Promise<TenantModelRow> {
  const { rows } = await system.query<Omit<TenantModelRow, "keys">>(
    sql`select given, own, version::int as version from freehold.model_tenants where tenant_id = ${uuid}`,
  );
  const keys = await system.query<SealedKey>(sql`select provider, sealed from freehold.model_keys where tenant_id = ${uuid}`);
  return { ...(rows[0] ?? NOTHING), keys: toMap(keys.rows) };
}

/** The settings of models in the database, with providers' keys sealed: the platform's with the root key, a tenant's in its vault. */
export class ModelStore {
  readonly #ports: ModelStorePorts;
  /** The platform's keys as they were last read and opened: a change is read as new bytes. */
  readonly #opened = new WeakMap<Buffer, Secret>();

  constructor(ports: ModelStorePorts) {
    this.#ports = ports;
  }

  async platform(): Promise<PlatformModelRow> {
    const { system } = this.#ports;
    const { rows } = await system.query<Versioned>(sql`select document, version::int as version from freehold.model_platform`);
    const keys = await system.query<SealedKey>(sql`select provider, sealed from freehold.model_platform_keys`);
    return { document: rows[0]?.document, version: rows[0]?.version ?? 0, keys: toMap(keys.rows) };
  }

  tenant(uuid: string): Promise<TenantModelRow> {
    return readTenantModels(this.#ports.system, uuid);
  }

  /** The number of the last writing, and of which documents it and those after `seen` were. */
  async changesSince(
    seen: number,
  ): Promise<{ readonly revision: number; readonly platform: boolean; readonly tenants: readonly string[] }> {
    const { system } = this.#ports;
    const { rows } = await system.query<{ value: string }>(sql`select value::text as value from freehold.model_revision`);
    const revision = Number(rows[0]?.value ?? 0);
    if (revision === seen) return { revision, platform: false, tenants: [] };
    const platform = await system.query(sql`select from freehold.model_platform where changed > ${seen}`);
    const tenants = await system.query<{ uuid: string }>(sql`select tenant_id as uuid from freehold.model_tenants where changed > ${seen}`);
    return { revision, platform: platform.count > 0, tenants: tenants.rows.map(({ uuid }) => uuid) };
  }

  /** Throws `conflict` when the stored document is not the one of this version. */
  async putPlatform(document: object, version: number | undefined): Promise<void> {
    await this.#ports.system.transaction(async (tx) => {
      const changed = await nextRevision(tx);
      const { count } = await tx.query(sql`
        insert into freehold.model_platform as p (document, changed)
        select ${JSON.stringify(document)}::jsonb, ${changed} where ${version ?? 0}::bigint = 0 or exists (select from freehold.model_platform)
        on conflict (id) do update set document = excluded.document, version = p.version + 1, changed = excluded.changed
        where ${version ?? null}::bigint is null or p.version = ${version ?? null}::bigint`);
      if (count === 0) throw changedMeanwhile();
    });
  }

  /** Throws `conflict` when the stored document is not the one of this version. */
  async putTenant({ uuid }: StoreTenant, part: TenantPart, document: object, version: number | undefined): Promise<void> {
    await this.#ports.system.transaction(async (tx) => {
      const changed = await nextRevision(tx);
      const [given, own] = part === "given" ? [JSON.stringify(document), null] : [null, JSON.stringify(document)];
      const { count } = await tx.query(sql`
        insert into freehold.model_tenants as t (tenant_id, given, own, changed)
        select ${uuid}::uuid, ${given}::jsonb, ${own}::jsonb, ${changed}
        where ${version ?? 0}::bigint = 0 or exists (select from freehold.model_tenants where tenant_id = ${uuid})
        on conflict (tenant_id) do update set given = coalesce(excluded.given, t.given), own = coalesce(excluded.own, t.own),
          version = t.version + 1, changed = excluded.changed
        where ${version ?? null}::bigint is null or t.version = ${version ?? null}::bigint`);
      if (count === 0) throw changedMeanwhile();
    });
  }

  /** Seals and keeps the platform's key for a provider; null takes it away. */
  async putPlatformKey(provider: string, key: string | null): Promise<void> {
    const { system } = this.#ports;
    const sealed = key === null ? undefined : this.#sealPlatform(provider, key);
    await system.transaction(async (tx) => {
      const changed = await nextRevision(tx);
      if (!sealed) await tx.query(sql`delete from freehold.model_platform_keys where provider = ${provider}`);
      else {
        await tx.query(sql`
          insert into freehold.model_platform_keys (provider, sealed) values (${provider}, ${sealed})
          on conflict (provider) do update set sealed = excluded.sealed`);
      }
      await tx.query(sql`update freehold.model_platform set changed = ${changed}`);
    });
  }

  /** Seals and keeps a tenant's key for a provider of its own; null takes it away. */
  async putTenantKey(tenant: StoreTenant, provider: string, key: string | null): Promise<void> {
    const { system, vault } = this.#ports;
    const sealed = key === null ? undefined : await vault.forTenant(tenant).seal(placeOf(provider), Buffer.from(key, "utf8"));
    await system.transaction(async (tx) => {
      const changed = await nextRevision(tx);
      if (!sealed) await tx.query(sql`delete from freehold.model_keys where tenant_id = ${tenant.uuid} and provider = ${provider}`);
      else {
        await tx.query(sql`
          insert into freehold.model_keys (tenant_id, provider, sealed) values (${tenant.uuid}, ${provider}, ${sealed})
          on conflict (tenant_id, provider) do update set sealed = excluded.sealed`);
      }
      await tx.query(sql`update freehold.model_tenants set changed = ${changed} where tenant_id = ${tenant.uuid}`);
    });
  }

  /** The platform's key for a provider. Throws `dependency_unavailable` when it was sealed with another root key. */
  openPlatformKey(provider: string, sealed: Buffer): Secret {
    const known = this.#opened.get(sealed);
    if (known) return known;
    const key = this.#ports.keyring.key("model-providers");
    const nonce = sealed.subarray(0, AEAD_NONCE_BYTES);
    const text = aeadOpen({ key, nonce, about: partsToBytes(["provider", provider]) }, sealed.subarray(AEAD_NONCE_BYTES));
    if (!text) throw new Fault("dependency_unavailable", `the key of the provider ${provider} cannot be opened with this root key`);
    const opened = new Secret(text.toString("utf8"));
    this.#opened.set(sealed, opened);
    return opened;
  }

  async openTenantKey(tenant: StoreTenant, provider: string, sealed: Buffer): Promise<Secret> {
    return new Secret((await this.#ports.vault.forTenant(tenant).open(placeOf(provider), sealed)).toString("utf8"));
  }

  #sealPlatform(provider: string, value: string): Buffer {
    const { keyring, random } = this.#ports;
    const nonce = random.bytes(AEAD_NONCE_BYTES);
    const about = partsToBytes(["provider", provider]);
    return Buffer.concat([nonce, aeadSeal({ key: keyring.key("model-providers"), nonce, about }, Buffer.from(value, "utf8"))]);
  }
}

interface SealedKey {
  readonly provider: string;
  readonly sealed: Buffer;
}

function toMap(rows: readonly SealedKey[]): ReadonlyMap<string, Buffer> {
  return new Map(rows.map(({ provider, sealed }) => [provider, sealed]));
}

async function nextRevision(tx: Queryable): Promise<number> {
  const { rows } = await tx.query<{ value: string }>(
    sql`update freehold.model_revision set value = value + 1 returning value::text as value`,
  );
  return Number(rows[0]?.value);
}

function changedMeanwhile(): Fault {
  return new Fault("conflict", "the models were changed meanwhile", {
    public: { detail: "The settings have changed since this version. Read them again.", field: "version" },
  });
}

function placeOf(provider: string): SealPlace {
  return { purpose: "secrets", table: "model_keys", column: "sealed", row: [provider] };
}
