import { Fault, type PlatformRole, type Scope, type TenantId, type TenantRole } from "../../kernel/index.ts";
import { type Queryable, sql } from "../../stores/data/index.ts";

/** An API key as stored: everything but the key. Either of one tenant or of the platform. */
export interface StoredKey {
  readonly id: string;
  readonly tenantId: TenantId | null;
  readonly name: string;
  /** SHA-256 of the whole key text. */
  readonly hash: Buffer;
  readonly roles: readonly (TenantRole | PlatformRole)[];
  readonly scopes: readonly Scope[];
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

/** The keys with these ids. */
export async function readKeys(system: Queryable, ids: readonly string[]): Promise<readonly StoredKey[]> {
  const { rows } = await system.query<StoredKey>(sql`
    select k.id, t.id as "tenantId", k.name, k.hash, k.roles, k.scopes, k.created_by as "createdBy", k.created_at as "createdAt",
      k.expires_at as "expiresAt", k.revoked_at as "revokedAt"
    from freehold.api_keys k left join freehold.tenants t on t.uuid = k.tenant_id where k.id = any (${ids})`);
  return rows;
}

/** The keys of one tenant (by internal id), or of the platform, newest first. */
export async function listKeys(system: Queryable, tenantUuid: string | null): Promise<readonly StoredKey[]> {
  const { rows } = await system.query<StoredKey>(sql`
    select k.id, t.id as "tenantId", k.name, k.hash, k.roles, k.scopes, k.created_by as "createdBy", k.created_at as "createdAt",
      k.expires_at as "expiresAt", k.revoked_at as "revokedAt"
    from freehold.api_keys k left join freehold.tenants t on t.uuid = k.tenant_id
    where k.tenant_id is not distinct from ${tenantUuid}::uuid order by k.created_at desc, k.id limit 1000`);
  return rows;
}

/** What a new key is made of. */
export interface KeyInsert extends Omit<StoredKey, "createdAt" | "revokedAt" | "tenantId"> {
  readonly tenantUuid: string | null;
}

/** Adds a key. Throws `conflict` when the id is taken, or the tenant is being deleted or does not exist. */
export async function insertKey(system: Queryable, key: KeyInsert): Promise<void> {
  const { count } = await system.query(sql`
    insert into freehold.api_keys (id, tenant_id, name, hash, roles, scopes, created_by, expires_at)
    select ${key.id}, ${key.tenantUuid}::uuid, ${key.name}, ${key.hash}, ${key.roles}, ${key.scopes}, ${key.createdBy}, ${key.expiresAt}
    where ${key.tenantUuid}::uuid is null
      or exists (select from freehold.tenants where uuid = ${key.tenantUuid}::uuid and status not in ('deleting', 'erased'))`);
  if (count === 0) throw new Fault("conflict", `no key for tenant ${key.tenantUuid}: it is gone`);
}

/** Revokes a key of this tenant (or of the platform). Throws `not_found` when it is not one of theirs. Revoking twice changes nothing. */
export async function revokeKey(system: Queryable, tenantUuid: string | null, id: string): Promise<void> {
  const { count } = await system.query(sql`
    update freehold.api_keys set revoked_at = coalesce(revoked_at, now()) where id = ${id} and tenant_id is not distinct from ${tenantUuid}::uuid`);
  if (count === 0) throw new Fault("not_found", `key ${id}`);
}
