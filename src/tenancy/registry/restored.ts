import type { StoreTenant, TenantId, TenantStatus } from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData } from "../../stores/data/index.ts";

/** What stays of a tenant for good: so that neither is ever another's. */
export type TenantTombstone = StoreTenant;

/** What is left of the settings of a tenant that is gone. */
const NO_SETTINGS = JSON.stringify({ name: "erased" });
/** A plan that every installation has: the row of a tenant names one. */
const ANY_PLAN = "starter";
const BATCH = 1_000;

/** Revokes those of the keys that are there and not revoked, and gives their ids. */
export async function revokeAgain(system: Queryable, ids: readonly string[]): Promise<readonly string[]> {
  const again: string[] = [];
  for (let at = 0; at < ids.length; at += BATCH) {
    const { rows } = await system.query<{ id: string }>(sql`
      update freehold.api_keys set revoked_at = now() where id = any (${ids.slice(at, at + BATCH)}) and revoked_at is null returning id`);
    again.push(...rows.map(({ id }) => id));
  }
  return again;
}

/** The names and statuses of those of these tenants that are there, by internal id. */
export async function readStatuses(
  system: Queryable,
  uuids: readonly string[],
): Promise<ReadonlyMap<string, { readonly id: TenantId; readonly status: TenantStatus }>> {
  const found = new Map<string, { readonly id: TenantId; readonly status: TenantStatus }>();
  for (let at = 0; at < uuids.length; at += BATCH) {
    const { rows } = await system.query<{ uuid: string; id: TenantId; status: TenantStatus }>(sql`
      select uuid, id, status from freehold.tenants where uuid = any (${uuids.slice(at, at + BATCH)}::uuid[])`);
    for (const { uuid, id, status } of rows) found.set(uuid, { id, status });
  }
  return found;
}

/** The row of an erased tenant that is not there. False when its name is another tenant's. */
export async function insertTombstone(system: Queryable, { uuid, id }: TenantTombstone): Promise<boolean> {
  const { count } = await system.query(sql`
    insert into freehold.tenants (uuid, id, plan, status, document) values (${uuid}, ${id}, ${ANY_PLAN}, 'erased', ${NO_SETTINGS}::jsonb)
    on conflict do nothing`);
  return count > 0;
}

/** Takes away the row of a tenant that was never served, if nothing of it is anywhere. */
export async function dropUnborn(system: SystemData, { uuid }: TenantTombstone): Promise<boolean> {
  const { rows } = await system.query<{ dropped: boolean }>(sql`select freehold.drop_unborn_tenant(${uuid}) as dropped`);
  return rows[0]?.dropped === true;
}

/** Leaves of the tenant's own row what keeps its name and internal id from being given again. */
export async function clearSettings(system: Queryable, { uuid }: TenantTombstone): Promise<void> {
  await system.query(sql`
    update freehold.tenants set document = ${NO_SETTINGS}::jsonb, version = version + 1, updated_at = now()
    where uuid = ${uuid} and document <> ${NO_SETTINGS}::jsonb`);
}
