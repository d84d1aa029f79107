import {
  type Clock,
  Fault,
  type Keyring,
  type Random,
  type StoreTenant,
  type TenantId,
  type TenantStatus,
  uuidV7,
} from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData } from "../../stores/data/index.ts";
import { sealTenantSecrets, type SecretPorts, writeSealedSecrets } from "./tenant-secrets.ts";
import type { TenantRow } from "./snapshot.ts";
import type { Plan, TenantCreate, TenantDocument, TenantUpdate } from "./tenant-settings.ts";

/** What the statements about tenants need besides their arguments. */
export interface TenantStorePorts extends SecretPorts {
  readonly system: SystemData;
  readonly keyring: Keyring;
  readonly random: Random;
  readonly clock: Clock;
  /** Refuses an address that a tenant's agent may not have. */
  readonly checkUrl: (url: string) => void;
}

const TRANSITIONS: Readonly<Record<TenantStatus, readonly TenantStatus[]>> = {
  provisioning: ["active", "deleting"],
  active: ["suspended", "moving", "deleting"],
  suspended: ["active", "deleting"],
  moving: ["active", "suspended", "deleting"],
  deleting: ["erased"],
  erased: [],
};

/** The rows of these tenants. */
export async function readTenants(system: Queryable, ids: readonly string[]): Promise<readonly TenantRow[]> {
  const { rows } = await system.query<TenantRow>(sql`
    select t.uuid, t.id, t.plan, t.status, t.document, t.version, t.created_at,
      coalesce((select array_agg(s.name) from freehold.tenant_secrets s where s.tenant_id = t.uuid), '{}') as secrets,
      coalesce((select h.model from freehold.homes h where h.tenant_id = t.uuid), 'row') as data_model,
      coalesce((select h.epoch from freehold.homes h where h.tenant_id = t.uuid), 0) as data_epoch
    from freehold.tenants t where t.id = any (${ids})`);
  return rows;
}

/** Those of these ids that no tenant has or ever had. */
export async function readUnknown(system: Queryable, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await system.query<{ id: string }>(sql`
    select w.id from unnest(${ids}::text[]) w(id) where not exists (select from freehold.tenants t where t.id = w.id)`);
  return new Set(rows.map(({ id }) => id));
}

/** The rows after `after` in the order of their ids. */
export async function listTenants(system: Queryable, after: string, limit: number): Promise<readonly TenantRow[]> {
  const { rows } = await system.query<TenantRow>(sql`
    select t.uuid, t.id, t.plan, t.status, t.document, t.version, t.created_at,
      coalesce((select array_agg(s.name) from freehold.tenant_secrets s where s.tenant_id = t.uuid), '{}') as secrets,
      coalesce((select h.model from freehold.homes h where h.tenant_id = t.uuid), 'row') as data_model,
      coalesce((select h.epoch from freehold.homes h where h.tenant_id = t.uuid), 0) as data_epoch
    from freehold.tenants t where t.id > ${after} order by t.id limit ${limit}`);
  return rows;
}

/** How a tenant is made besides what is said about it. */
export interface CreateOptions {
  /** Stored with the tenant, or not at all: what has to be done before it can be served. Until then it is provisioning. */
  readonly begin?: (tx: Queryable, uuid: string) => Promise<void>;
  /** For a tenant that another installation made and vouches for: everywhere it has the same internal id. */
  readonly uuid?: string;
}

/**
 * Adds a tenant, active at once or, where something has to be done first, provisioning. Throws `conflict` when the id or a domain is taken,
 * `invalid_settings` when the plan is unknown.
 */
export async function insertTenant(ports: TenantStorePorts, input: TenantCreate, options: CreateOptions = {}): Promise<void> {
  const { id, plan, agent, domains, ...document } = input;
  checkAgent(ports, document);
  const uuid = options.uuid ?? uuidV7(ports.clock, ports.random);
  // a tenant that exists costs no key
  const secrets = (await ownerOf(ports.system, id)) ? [] : await sealTenantSecrets(ports, { uuid, id }, { agent });
  await ports.system.transaction(async (tx) => {
    await assertPlan(tx, plan);
    const status: TenantStatus = options.begin ? "provisioning" : "active";
    const { count } = await tx.query(sql`
      insert into freehold.tenants (uuid, id, plan, status, document)
      values (${uuid}, ${id}, ${plan}, ${status}, ${JSON.stringify(document)}::jsonb) on conflict (id) do nothing`);
    if (count === 0)
      throw new Fault("conflict", `tenant ${id} exists`, { public: { detail: "A tenant with this id exists already.", field: "id" } });
    await writeSealedSecrets(tx, { uuid }, secrets);
    if (domains) await writeDomains(tx, uuid, domains);
    await options.begin?.(tx, uuid);
  });
}

/**
 * Changes the given fields. Throws `not_found`, or `conflict` when the tenant is being deleted, or `version` is given and no longer the
 * tenant's.
 */
export async function changeTenant(ports: TenantStorePorts, id: TenantId, input: TenantUpdate): Promise<void> {
  const { plan, agent, domains, version, ...changes } = input;
  const owner = await ownerOf(ports.system, id);
  const secrets = owner?.living === true ? await sealTenantSecrets(ports, owner, { agent }) : [];
  await ports.system.transaction(async (tx) => {
    const row = await lockTenant(tx, id);
    if (row.status === "deleting" || row.status === "erased") {
      // what has been erased must not be filled again
      throw new Fault("conflict", `tenant ${id} is ${row.status}`, {
        public: { detail: `A tenant that is ${row.status} cannot be changed.` },
      });
    }
    if (version !== undefined && version !== row.version) {
      throw new Fault("conflict", `tenant ${id} has version ${row.version}, not ${version}`, {
        public: { detail: `The tenant has changed since: it is at version ${row.version}.`, field: "version" },
      });
    }
    const document = mergeDocument(row.document, changes);
    if (changes.agentConfig) checkAgent(ports, document);
    if (plan !== undefined) await assertPlan(tx, plan);
    await writeSealedSecrets(tx, row, secrets);
    if (domains) await writeDomains(tx, row.uuid, domains);
    await tx.query(sql`
      update freehold.tenants set document = ${JSON.stringify(document)}::jsonb, plan = ${plan ?? row.plan},
        version = version + 1, updated_at = now() where uuid = ${row.uuid}`);
  });
}

/** Moves the tenant to another status, when its life allows it. Saying the status it already has changes nothing. */
export async function changeStatus(ports: TenantStorePorts, id: TenantId, status: TenantStatus): Promise<void> {
  await ports.system.transaction(async (tx) => {
    const row = await lockTenant(tx, id);
    if (row.status === status) return;
    if (!TRANSITIONS[row.status].includes(status)) {
      const detail = `A tenant that is ${row.status} cannot become ${status}.`;
      throw new Fault("conflict", `${id}: ${detail}`, { public: { detail } });
    }
    await tx.query(sql`update freehold.tenants set status = ${status}, version = version + 1, updated_at = now() where uuid = ${row.uuid}`);
  });
}

/** The tenant's hosts, in order. */
export async function readDomains(system: Queryable, tenantUuid: string): Promise<readonly string[]> {
  const { rows } = await system.query<{ host: string }>(
    sql`select host from freehold.tenant_domains where tenant_id = ${tenantUuid} order by host`,
  );
  return rows.map(({ host }) => host);
}

/** Makes sure that the plan exists; an existing one is left as the operator has it. */
export async function insertPlan(system: Queryable, { name, ...document }: Plan): Promise<void> {
  await system.query(
    sql`insert into freehold.plans (name, document) values (${name}, ${JSON.stringify(document)}::jsonb) on conflict (name) do nothing`,
  );
}

/** Makes the plan or replaces its defaults. */
export async function replacePlan(system: Queryable, { name, ...document }: Plan): Promise<void> {
  await system.query(sql`
    insert into freehold.plans (name, document) values (${name}, ${JSON.stringify(document)}::jsonb)
    on conflict (name) do update set document = excluded.document, version = freehold.plans.version + 1`);
}

/** What changing a tenant needs of its row. */
type LockedTenant = Pick<TenantRow, "uuid" | "plan" | "status" | "document" | "version">;

async function lockTenant(tx: Queryable, id: TenantId): Promise<LockedTenant> {
  const { rows } = await tx.query<LockedTenant>(sql`
    select uuid, plan, status, document, version from freehold.tenants where id = ${id} for update`);
  const row = rows[0];
  if (!row) throw new Fault("not_found", `tenant ${id}`);
  return row;
}

/** The tenant's ids, and whether it can still be changed. */
async function ownerOf(system: Queryable, id: TenantId): Promise<(StoreTenant & { readonly living: boolean }) | undefined> {
  const { rows } = await system.query<StoreTenant & { living: boolean }>(sql`
    select uuid, id, status not in ('deleting', 'erased') as living from freehold.tenants where id = ${id}`);
  return rows[0];
}

async function assertPlan(tx: Queryable, plan: string): Promise<void> {
  const { rows } = await tx.query(sql`select name from freehold.plans where name = ${plan}`);
  if (rows.length === 0) throw invalid("plan", `There is no plan ${plan}.`);
}

function checkAgent(ports: TenantStorePorts, { agentConfig }: Pick<TenantDocument, "agentConfig">): void {
  if (!agentConfig) return;
  const { protocol = "builtin", invokeUrl = null, model = null, mcpServers = [] } = agentConfig;
  if (protocol !== "builtin" && invokeUrl === null) throw invalid("agentConfig.invokeUrl", `The protocol ${protocol} needs an invokeUrl.`);
  if (protocol === "openai" && model === null) throw invalid("agentConfig.model", "The protocol openai needs a model.");
  if (invokeUrl !== null) ports.checkUrl(invokeUrl);
  for (const { url } of mcpServers) ports.checkUrl(url);
}

/** Nested settings are merged one level deep, so that changing the agent's timeout keeps its address. */
function mergeDocument(old: TenantDocument, changes: Omit<TenantUpdate, "plan" | "agent" | "domains" | "version">): TenantDocument {
  const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
  return {
    ...old,
    ...given, // only what was given: an absent field must not hide the old one
    ...(changes.quotas && { quotas: { ...old.quotas, ...changes.quotas } }),
    ...(changes.rate && { rate: { ...old.rate, ...changes.rate } }),
    ...(changes.billing && { billing: { ...old.billing, ...changes.billing } }),
    ...(changes.agentConfig && { agentConfig: { ...old.agentConfig, ...changes.agentConfig } }),
    ...(changes.placement && { placement: { ...old.placement, ...changes.placement } }),
  };
}

async function writeDomains(tx: Queryable, uuid: string, domains: readonly string[]): Promise<void> {
  await tx.query(sql`delete from freehold.tenant_domains where tenant_id = ${uuid} and host <> all (${domains})`);
  for (const host of domains) {
    const { rows } = await tx.query<{ tenant_id: string }>(sql`
      insert into freehold.tenant_domains (host, tenant_id) values (${host}, ${uuid})
      on conflict (host) do update set tenant_id = freehold.tenant_domains.tenant_id returning tenant_id`);
    if (rows[0]?.tenant_id !== uuid) {
      throw new Fault("conflict", `domain ${host} is taken`, { public: { detail: `The domain ${host} is taken.`, field: "domains" } });
    }
  }
}

function invalid(field: string, detail: string): Fault {
  return new Fault("invalid_settings", detail, { public: { detail, field } });
}
