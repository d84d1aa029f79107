import { Fault, type Secret, type Tenant, type TenantId, type TenantStatus } from "../../kernel/index.ts";
import { sql } from "../../stores/data/index.ts";
import { CachedLookup } from "./cached-lookup.ts";
import { ChangeFeed, type RegistryChange } from "./change-feed.ts";
import { insertKey, type KeyInsert, listKeys, readKeys, revokeKey, type StoredKey } from "./key-store.ts";
import { DEFAULT_PLANS } from "./plans.ts";
import { type TenantRow, toTenant } from "./snapshot.ts";
import {
  changeStatus,
  changeTenant,
  insertPlan,
  insertTenant,
  listTenants,
  readSecret,
  readTenants,
  replacePlan,
  type SecretName,
  type TenantStorePorts,
} from "./tenant-store.ts";
import type { Plan, PlanDocument, TenantCreate, TenantUpdate } from "./tenant-settings.ts";

/** How many snapshots and keys are held in memory; the rest is read when it is asked for. A snapshot takes about 1 KiB. */
export interface RegistryBounds {
  readonly tenantsMax: number;
  readonly keysMax: number;
}

export const REGISTRY_BOUNDS: RegistryBounds = { tenantsMax: 50_000, keysMax: 100_000 };

export interface RegistryPorts extends TenantStorePorts {
  readonly report: (fault: Fault) => void;
}

/**
 * All tenants, plans, keys and domains. Look-ups of what is in use are answered from memory without waiting; a change made by any
 * process is seen here within one poll of the feed, and at once by the process that made it.
 */
export interface Registry {
  find(id: TenantId): Tenant | undefined | Promise<Tenant | undefined>;
  findKey(id: string): StoredKey | undefined | Promise<StoredKey | undefined>;
  /** The tenant whose verified domain this host is. */
  tenantOfHost(host: string): TenantId | undefined;
  list(after: string, limit: number): Promise<readonly Tenant[]>;
  create(input: TenantCreate): Promise<Tenant>;
  update(id: TenantId, input: TenantUpdate): Promise<Tenant>;
  setStatus(id: TenantId, status: TenantStatus): Promise<Tenant>;
  secret(tenant: Tenant, name: SecretName): Promise<Secret | undefined>;
  plans(): readonly Plan[];
  putPlan(plan: Plan): Promise<void>;
  createKey(key: KeyInsert): Promise<StoredKey>;
  keys(tenantUuid: string | null): Promise<readonly StoredKey[]>;
  revokeKey(tenantUuid: string | null, id: string): Promise<void>;
  /** Called with the ids of tenants that changed, after their snapshots did. */
  onTenantChange(listener: (ids: readonly string[]) => void): void;
  close(): Promise<void>;
}

/** Opens the registry: puts in the default plans that are missing and begins to follow the feed. */
export async function createRegistry(ports: RegistryPorts, bounds: RegistryBounds = REGISTRY_BOUNDS): Promise<Registry> {
  const registry = new LiveRegistry(ports, bounds);
  await registry.start();
  return registry;
}

class LiveRegistry implements Registry {
  readonly #ports: RegistryPorts;
  readonly #tenants: CachedLookup<Tenant>;
  readonly #keys: CachedLookup<StoredKey>;
  readonly #feed: ChangeFeed;
  readonly #listeners: ((ids: readonly string[]) => void)[] = [];
  #plans: ReadonlyMap<string, PlanDocument> = new Map();
  #domains: ReadonlyMap<string, TenantId> = new Map();

  constructor(ports: RegistryPorts, bounds: RegistryBounds) {
    this.#ports = ports;
    this.#tenants = new CachedLookup(async (ids) => this.#toTenants(await readTenants(ports.system, ids)), ports.clock, bounds.tenantsMax);
    this.#keys = new CachedLookup(async (ids) => byId(await readKeys(ports.system, ids)), ports.clock, bounds.keysMax);
    this.#feed = new ChangeFeed(ports.system, (changes) => this.#apply(changes), ports.report);
  }

  async start(): Promise<void> {
    for (const plan of DEFAULT_PLANS) await insertPlan(this.#ports.system, plan);
    await this.#feed.start();
    await this.#readPlans();
    await this.#readDomains();
  }

  find(id: TenantId): Tenant | undefined | Promise<Tenant | undefined> {
    return this.#tenants.find(id);
  }

  findKey(id: string): StoredKey | undefined | Promise<StoredKey | undefined> {
    return this.#keys.find(id);
  }

  tenantOfHost(host: string): TenantId | undefined {
    return this.#domains.get(host);
  }

  async list(after: string, limit: number): Promise<readonly Tenant[]> {
    return [...this.#toTenants(await listTenants(this.#ports.system, after, limit)).values()];
  }

  async create(input: TenantCreate): Promise<Tenant> {
    await insertTenant(this.#ports, input);
    return await this.#seen(input.id);
  }

  async update(id: TenantId, input: TenantUpdate): Promise<Tenant> {
    await changeTenant(this.#ports, id, input);
    return await this.#seen(id);
  }

  async setStatus(id: TenantId, status: TenantStatus): Promise<Tenant> {
    await changeStatus(this.#ports, id, status);
    return await this.#seen(id);
  }

  async secret(tenant: Tenant, name: SecretName): Promise<Secret | undefined> {
    return await readSecret(this.#ports, tenant.uuid, name);
  }

  plans(): readonly Plan[] {
    return [...this.#plans].map(([name, document]) => ({ name, ...document }));
  }

  async putPlan(plan: Plan): Promise<void> {
    await replacePlan(this.#ports.system, plan);
    await this.#feed.catchUp();
  }

  async createKey(key: KeyInsert): Promise<StoredKey> {
    await insertKey(this.#ports.system, key);
    await this.#feed.catchUp();
    const stored = await this.#keys.find(key.id);
    if (!stored) throw new Fault("internal", `key ${key.id} was not found after it was made`);
    return stored;
  }

  async keys(tenantUuid: string | null): Promise<readonly StoredKey[]> {
    return await listKeys(this.#ports.system, tenantUuid);
  }

  async revokeKey(tenantUuid: string | null, id: string): Promise<void> {
    await revokeKey(this.#ports.system, tenantUuid, id);
    await this.#feed.catchUp();
  }

  onTenantChange(listener: (ids: readonly string[]) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    await this.#feed.close();
  }

  /** The tenant after this process's own change. */
  async #seen(id: TenantId): Promise<Tenant> {
    await this.#feed.catchUp();
    const tenant = await this.#tenants.find(id);
    if (!tenant) throw new Fault("internal", `tenant ${id} was not found after it was changed`);
    return tenant;
  }

  async #apply(changes: readonly RegistryChange[]): Promise<void> {
    const keys = (kind: RegistryChange["kind"]): string[] => [
      ...new Set(changes.filter((change) => change.kind === kind).map(({ key }) => key)),
    ];
    const plans = keys("plan");
    if (plans.length > 0) {
      await this.#readPlans();
      this.#tenants.forget((tenant) => plans.includes(tenant.plan));
    }
    if (keys("domain").length > 0) await this.#readDomains();
    const tenants = keys("tenant");
    await this.#tenants.refresh(tenants);
    await this.#keys.refresh(keys("key"));
    if (tenants.length > 0) for (const listener of this.#listeners) listener(tenants);
  }

  #toTenants(rows: readonly TenantRow[]): Map<string, Tenant> {
    const tenants = new Map<string, Tenant>();
    for (const row of rows) {
      const plan = this.#plans.get(row.plan);
      if (!plan) throw new Fault("dependency_unavailable", `tenant ${row.id} has the unknown plan ${row.plan}`);
      tenants.set(row.id, toTenant(row, plan));
    }
    return tenants;
  }

  async #readPlans(): Promise<void> {
    const { rows } = await this.#ports.system.query<{ name: string; document: PlanDocument }>(
      sql`select name, document from freehold.plans order by name`,
    );
    this.#plans = new Map(rows.map(({ name, document }) => [name, deepFreeze(document)]));
  }

  async #readDomains(): Promise<void> {
    const { rows } = await this.#ports.system.query<{ host: string; id: TenantId }>(
      sql`select d.host, t.id from freehold.tenant_domains d join freehold.tenants t on t.uuid = d.tenant_id`,
    );
    this.#domains = new Map(rows.map(({ host, id }) => [host, id]));
  }
}

function byId(keys: readonly StoredKey[]): Map<string, StoredKey> {
  return new Map(keys.map((key) => [key.id, key]));
}

/** Plan objects are shared by the snapshots of all tenants of the plan. */
function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === "object" && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
