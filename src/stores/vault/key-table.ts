import { Fault } from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData } from "../data/index.ts";
import type { KeyBinding, TenantKeys, WrappedKey } from "./port.ts";

/** A wrapped key as the table has it. */
export interface KeyRow extends KeyBinding {
  readonly wrapped: WrappedKey;
}

interface Row {
  readonly tenant: string;
  readonly purpose: string;
  readonly version: number;
  readonly root: string;
  readonly wrapped: Buffer;
}

/** The table of wrapped keys. Every statement but those over all tenants names one. */
export class KeyTable {
  readonly #system: SystemData;

  constructor(system: SystemData) {
    this.#system = system;
  }

  /** The tenant's newest key for this purpose. */
  async newest(tenant: string, purpose: string): Promise<KeyRow | undefined> {
    const { rows } = await this.#system.query<Row>(sql`
      select tenant_id as tenant, purpose, version, root, wrapped from freehold.vault_keys
      where tenant_id = ${tenant} and purpose = ${purpose} order by version desc limit 1`);
    return rows[0] && toKeyRow(rows[0]);
  }

  async find({ tenant, purpose, version }: KeyBinding): Promise<KeyRow | undefined> {
    const { rows } = await this.#system.query<Row>(sql`
      select tenant_id as tenant, purpose, version, root, wrapped from freehold.vault_keys
      where tenant_id = ${tenant} and purpose = ${purpose} and version = ${version}`);
    return rows[0] && toKeyRow(rows[0]);
  }

  /** The tenant's own root key, null for none. Throws `not_found` when its keys were destroyed. */
  async ownRoot(tenant: string): Promise<string | null> {
    const row = await this.#tenant(tenant);
    if (row?.destroyed === true) throw destroyed(tenant);
    return row?.root ?? null;
  }

  /** The newest version of each tenant's key for this purpose. */
  async newestVersions(purpose: string, tenants: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const { rows } = await this.#system.query<{ tenant: string; version: number }>(sql`
      select tenant_id as tenant, max(version) as version from freehold.vault_keys
      where tenant_id = any (${tenants}::uuid[]) and purpose = ${purpose} group by tenant_id`);
    return new Map(rows.map(({ tenant, version }) => [tenant, version]));
  }

  /** Adds a key unless another process was faster, which it tells. Throws `not_found` when the tenant's keys were destroyed. */
  async add({ tenant, purpose, version, wrapped }: KeyRow): Promise<boolean> {
    return await this.#system.transaction(async (tx) => {
      await lockTenant(tx, tenant);
      const { count } = await tx.query(sql`
        insert into freehold.vault_keys (tenant_id, purpose, version, root, wrapped)
        values (${tenant}, ${purpose}, ${version}, ${wrapped.root}, ${Buffer.from(wrapped.bytes)}) on conflict do nothing`);
      return count === 1;
    });
  }

  /** Puts another wrapping of the same key in the place of this one, unless that has changed meanwhile. */
  async replace({ tenant, purpose, version, wrapped }: KeyRow, next: WrappedKey): Promise<boolean> {
    const { count } = await this.#system.query(sql`
      update freehold.vault_keys set root = ${next.root}, wrapped = ${Buffer.from(next.bytes)}
      where tenant_id = ${tenant} and purpose = ${purpose} and version = ${version} and wrapped = ${Buffer.from(wrapped.bytes)}`);
    return count === 1;
  }

  /** Keys of all tenants, or of one, in order, after this one: those that are not under `inForce`, and all of tenants with a root key of their own. */
  async page(
    after: KeyBinding,
    { inForce, tenant = null, limit }: { readonly inForce: string; readonly tenant?: string | null; readonly limit: number },
  ): Promise<readonly (KeyRow & { readonly own: string | null })[]> {
    const { rows } = await this.#system.query<Row & { own: string | null }>(sql`
      select k.tenant_id as tenant, k.purpose, k.version, k.root, k.wrapped, t.root as own
      from freehold.vault_keys k join freehold.vault_tenants t on t.subject = k.tenant_id
      where (k.tenant_id, k.purpose, k.version) > (${after.tenant}::uuid, ${after.purpose}::text, ${after.version}::integer)
        and (${tenant}::uuid is null or k.tenant_id = ${tenant}::uuid) and (k.root <> ${inForce}::text or t.root is not null)
      order by k.tenant_id, k.purpose, k.version limit ${limit}`);
    return rows.map((row) => ({ ...toKeyRow(row), own: row.own }));
  }

  /** Throws `conflict` when it is another tenant's, and `not_found` when the tenant's keys were destroyed. */
  async setOwnRoot(tenant: string, root: string | null): Promise<void> {
    await this.#system.transaction(async (tx) => {
      await lockTenant(tx, tenant);
      await tx.query(sql`update freehold.vault_tenants set root = ${root} where subject = ${tenant}`);
    });
  }

  /** Deletes the tenant's keys; none can be added ever after. Those being added at the same time are waited for and deleted too. */
  async destroy(tenant: string): Promise<void> {
    await this.#system.transaction(async (tx) => {
      await tx.query(sql`
        insert into freehold.vault_tenants (subject, destroyed_at) values (${tenant}, now())
        on conflict (subject) do update set destroyed_at = coalesce(freehold.vault_tenants.destroyed_at, now()), root = null`);
      await tx.query(sql`delete from freehold.vault_keys where tenant_id = ${tenant}`);
    });
  }

  /** The tenant's keys without the keys themselves. */
  async list(tenant: string): Promise<TenantKeys["keys"]> {
    const { rows } = await this.#system.query<{ purpose: string; version: number; root: string; createdAt: Date }>(sql`
      select purpose, version, root, created_at as "createdAt" from freehold.vault_keys
      where tenant_id = ${tenant} order by purpose, version`);
    return rows.map(({ createdAt, ...row }) => ({ ...row, createdAt: createdAt.toISOString() }));
  }

  /** How many keys the tenant has, and their bytes. */
  async count(tenant: string): Promise<{ readonly items: number; readonly bytes: number }> {
    const { rows } = await this.#system.query<{ items: number; bytes: number }>(sql`
      select count(*)::integer as items, coalesce(sum(length(wrapped)), 0)::integer as bytes
      from freehold.vault_keys where tenant_id = ${tenant}`);
    return rows[0] ?? { items: 0, bytes: 0 };
  }

  async #tenant(tenant: string): Promise<{ readonly root: string | null; readonly destroyed: boolean } | undefined> {
    const { rows } = await this.#system.query<{ root: string | null; destroyed: boolean }>(sql`
      select root, destroyed_at is not null as destroyed from freehold.vault_tenants where subject = ${tenant}`);
    return rows[0];
  }
}

/** Whoever adds a key holds this lock; whoever destroys the keys waits for it and then sees them all. */
async function lockTenant(tx: Queryable, tenant: string): Promise<void> {
  await tx.query(sql`insert into freehold.vault_tenants (subject) values (${tenant}) on conflict do nothing`);
  const { rows } = await tx.query<{ destroyed: boolean }>(sql`
    select destroyed_at is not null as destroyed from freehold.vault_tenants where subject = ${tenant} for share`);
  if (rows[0]?.destroyed !== false) throw destroyed(tenant);
}

function destroyed(tenant: string): Fault {
  return new Fault("not_found", `the keys of tenant ${tenant} were destroyed`);
}

function toKeyRow({ tenant, purpose, version, root, wrapped }: Row): KeyRow {
  return { tenant, purpose, version, wrapped: { root, bytes: wrapped } };
}
