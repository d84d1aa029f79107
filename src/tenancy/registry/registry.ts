import { Fault, type Secret, type Tenant, type TenantId, type TenantStatus, toFault } from "../../kernel/index.ts";
import { CachedLookup } from "./cached-lookup.ts";
import { ChangeFeed, type RegistryChange, type RegistryChanges } from "./change-feed.ts";
import { type ChannelLeases, createChannelLeases } from "./channel-leases.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { DomainMap } from "./domain-map.ts";
import { type GatewayObjects, type GatewayWrite, readGatewayState, writeGatewayObjects } from "./gateway-objects.ts";
import { GatewayProcesses } from "./gateway-processes.ts";
import { insertKey, type KeyInsert, listKeys, readKeys, revokeKey, type StoredKey } from "./key-store.ts";
import { InstallationBook, type Installations } from "./installations.ts";
import { PlanList } from "./plan-list.ts";
import { DEFAULT_PLANS } from "./plans.ts";
import { type TenantRow, toTenant } from "./snapshot.ts";
import type { RevocationNotes } from "./revocation-notes.ts";
import { dropUnborn, insertTombstone, readStatuses, revokeAgain, type TenantTombstone } from "./restored.ts";
import {
  type CreateOptions,
  changeStatus,
  changeTenant,
  insertPlan,
  insertTenant,
  listTenants,
  readDomains,
  readTenants,
  readUnknown,
  replacePlan,
  type TenantStorePorts,
} from "./tenant-store.ts";
import type { ResealReport } from "./reseal.ts";
import { openTenantSecret, resealTenantSecrets, type SecretName } from "./tenant-secrets.ts";
import type { Plan, PlanDocument, TenantCreate, TenantUpdate } from "./tenant-settings.ts";

/** How many snapshots and keys are held in memory; the rest is read when it is asked for. A snapshot takes about 1 KiB. */
export interface RegistryBounds {
  readonly tenantsMax: number;
  readonly keysMax: number;
}

/** Snapshots of 1.2 KB and keys of 0.6 KB: some 250 MB when both are full. Below them every tenant costs the same. */
export const REGISTRY_BOUNDS: RegistryBounds = { tenantsMax: 150_000, keysMax: 150_000 };

/** The plan whose defaults a plan begins with that is named and unknown. */
const MODEL_PLAN = "starter";

/** What the registry is built over. `report` is told of faults that no caller can be told of. */
export interface RegistryPorts extends TenantStorePorts {
  readonly report: (fault: Fault) => void;
  /** Told of what a restored backup must not bring back. */
  readonly notes: RevocationNotes;
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
  /** Those of these ids that no tenant has or ever had, as the database has it. */
  unknown(ids: readonly TenantId[]): Promise<ReadonlySet<string>>;
  /** Registers a tenant, which is active at once unless `options` say otherwise. */
  create(input: TenantCreate, options?: CreateOptions): Promise<Tenant>;
  update(id: TenantId, input: TenantUpdate): Promise<Tenant>;
  setStatus(id: TenantId, status: TenantStatus): Promise<Tenant>;
  secret(tenant: Tenant, name: SecretName): Promise<Secret | undefined>;
  /** Seals with the vault's key in force what was sealed before, or with an older key. After a kill it goes on when it is called again. */
  resealSecrets(signal?: AbortSignal): Promise<ResealReport>;
  /** The tenant's hosts, in order. */
  domains(tenant: Pick<Tenant, "uuid">): Promise<readonly string[]>;
  plans(): readonly Plan[];
  putPlan(plan: Plan): Promise<void>;
  /** Makes sure that there is a plan of this name: one that is missing begins with the defaults of `starter`. */
  ensurePlan(name: string): Promise<void>;
  createKey(key: KeyInsert): Promise<StoredKey>;
  keys(tenantUuid: string | null): Promise<readonly StoredKey[]>;
  revokeKey(tenantUuid: string | null, id: string): Promise<void>;
  /** Revokes those of these keys that are there and not revoked, whoever's they are, and gives their ids. */
  revokeAgain(ids: readonly string[]): Promise<readonly string[]>;
  /** The names and statuses of those of these tenants (by internal id) that are there. */
  statuses(uuids: readonly string[]): Promise<ReadonlyMap<string, { readonly id: TenantId; readonly status: TenantStatus }>>;
  /** Takes name and internal id of an erased tenant that the database does not know, for good. False when the name is another tenant's. */
  bury(tombstone: TenantTombstone): Promise<boolean>;
  /** Takes away a tenant that was never served and has nothing left anywhere: its name is free again. False when it is not so. */
  dropUnborn(tenant: TenantTombstone): Promise<boolean>;
  /**
   * Called with the ids of tenants whose own settings or status changed, after their snapshots did. After a long loss of the database, or
   * when very many changed at once, these are the ids of all that are in memory.
   */
  onTenantChange(listener: (ids: readonly string[]) => void): void;
  /** Resolves when everything that was committed before this call is seen here. */
  catchUp(): Promise<void>;
  /** The gateway's stored objects. */
  readonly gateway: GatewayObjects;
  /** Apps of tenants on chat platforms. */
  readonly installations: Installations;
  /** Which of them this process holds the connections of. */
  readonly channelLeases: ChannelLeases;
  close(): Promise<void>;
}

/** Opens the registry: puts in the default plans that are missing and begins to follow the feed. */
export async function createRegistry(ports: RegistryPorts, bounds: RegistryBounds = REGISTRY_BOUNDS): Promise<Registry> {
  const registry = new LiveRegistry(ports, bounds);
  await registry.start();
  return registry;
}

/** A tenant in memory: its row, and its snapshot over the plan as it was when the snapshot was made. */
interface Entry {
  readonly row: TenantRow;
  plan: PlanDocument;
  tenant: Tenant;
}

class LiveRegistry implements Registry {
  readonly #ports: RegistryPorts;
  readonly #plans: PlanList;
  readonly #domains: DomainMap;
  readonly #tenants: CachedLookup<Entry>;
  readonly #keys: CachedLookup<StoredKey>;
  readonly #feed: ChangeFeed;
  readonly installations: InstallationBook;
  readonly channelLeases: ChannelLeases;
  readonly #listeners: ((ids: readonly string[]) => void)[] = [];
  readonly #gatewayListeners: (() => void)[] = [];
  readonly #processes: GatewayProcesses;
  readonly gateway: GatewayObjects = {
    read: () => readGatewayState(this.#ports.system, this.#ports.keyring),
    write: (change) => this.#writeGateway(change),
    serves: (revision) => this.#processes.serves(revision),
    confirmed: (revision) => this.#processes.confirmed(revision),
    onChange: (listener) => void this.#gatewayListeners.push(listener),
  };

  constructor(ports: RegistryPorts, bounds: RegistryBounds) {
    this.#ports = ports;
    this.#plans = new PlanList(ports.system);
    this.#processes = new GatewayProcesses(ports);
    this.#domains = new DomainMap(ports.system);
    this.#tenants = new CachedLookup(
      async (ids) => byId(await this.#toEntries(await readTenants(ports.system, ids)), ({ row }) => row.id),
      ports.clock,
      bounds.tenantsMax,
    );
    this.#keys = new CachedLookup(
      async (ids) => byId((await readKeys(ports.system, ids)).map(frozenKey), ({ id }) => id),
      ports.clock,
      bounds.keysMax,
    );
    this.#feed = new ChangeFeed(ports.system, (changes) => this.#apply(changes), ports.report);
    this.channelLeases = createChannelLeases(ports.system);
    this.installations = new InstallationBook(ports, () => this.#feed.catchUp());
  }

  async start(): Promise<void> {
    for (const plan of DEFAULT_PLANS) await insertPlan(this.#ports.system, plan);
    await this.#feed.start();
    await this.#plans.read();
    await this.#domains.readAll();
  }

  find(id: TenantId): Tenant | undefined | Promise<Tenant | undefined> {
    const found = this.#tenants.find(id);
    if (found instanceof Promise) return found.then((entry) => entry && this.#current(entry));
    return found && this.#current(found);
  }

  findKey(id: string): StoredKey | undefined | Promise<StoredKey | undefined> {
    return this.#keys.find(id);
  }

  tenantOfHost(host: string): TenantId | undefined {
    return this.#domains.get(host);
  }

  async list(after: string, limit: number): Promise<readonly Tenant[]> {
    const entries = await this.#toEntries(await listTenants(this.#ports.system, after, limit));
    return entries.map(({ tenant }) => tenant);
  }

  async unknown(ids: readonly TenantId[]): Promise<ReadonlySet<string>> {
    return await readUnknown(this.#ports.system, ids);
  }

  async create(input: TenantCreate, options?: CreateOptions): Promise<Tenant> {
    await insertTenant(this.#ports, input, options);
    return await this.#seen(input.id);
  }

  async update(id: TenantId, input: TenantUpdate): Promise<Tenant> {
    await changeTenant(this.#ports, id, input);
    return await this.#seen(id);
  }

  async setStatus(id: TenantId, status: TenantStatus): Promise<Tenant> {
    const tenant = await this.find(id);
    await changeStatus(this.#ports, id, status);
    if (tenant && status === "suspended") await this.#ports.notes.suspended(tenant);
    if (tenant?.status === "suspended" && status === "active") await this.#ports.notes.resumed(tenant);
    return await this.#seen(id);
  }

  async secret(tenant: Tenant, name: SecretName): Promise<Secret | undefined> {
    return await openTenantSecret(this.#ports, tenant, name);
  }

  async resealSecrets(signal?: AbortSignal): Promise<ResealReport> {
    const { report } = this.#ports;
    const secrets = await resealTenantSecrets(this.#ports, report, signal);
    const installations = await this.installations.reseal(report, signal);
    return { resealed: secrets.resealed + installations.resealed, failed: secrets.failed + installations.failed };
  }

  async domains(tenant: Pick<Tenant, "uuid">): Promise<readonly string[]> {
    return await readDomains(this.#ports.system, tenant.uuid);
  }

  plans(): readonly Plan[] {
    return this.#plans.all();
  }

  async putPlan(plan: Plan): Promise<void> {
    await replacePlan(this.#ports.system, plan);
    await this.#feed.catchUp();
  }

  async ensurePlan(name: string): Promise<void> {
    const model = this.plans().find((plan) => plan.name === MODEL_PLAN);
    if (model && !this.plans().some((plan) => plan.name === name)) await this.putPlan({ ...model, name });
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
    // whoever has the key can no longer use it, whether or not it can be noted
    await this.#ports.notes.keyRevoked(id);
  }

  async revokeAgain(ids: readonly string[]): Promise<readonly string[]> {
    const again = await revokeAgain(this.#ports.system, ids);
    if (again.length > 0) await this.#feed.catchUp();
    return again;
  }

  async statuses(uuids: readonly string[]): Promise<ReadonlyMap<string, { readonly id: TenantId; readonly status: TenantStatus }>> {
    return await readStatuses(this.#ports.system, uuids);
  }

  async bury(tombstone: TenantTombstone): Promise<boolean> {
    const buried = await insertTombstone(this.#ports.system, tombstone);
    await this.#feed.catchUp();
    return buried;
  }

  async dropUnborn(tenant: TenantTombstone): Promise<boolean> {
    const dropped = await dropUnborn(this.#ports.system, tenant);
    await this.#feed.catchUp();
    return dropped;
  }

  onTenantChange(listener: (ids: readonly string[]) => void): void {
    this.#listeners.push(listener);
  }

  catchUp(): Promise<void> {
    return this.#feed.catchUp();
  }

  async close(): Promise<void> {
    await this.#processes.close();
    await this.#feed.close();
  }

  async #writeGateway(change: GatewayWrite): Promise<number> {
    const revision = await writeGatewayObjects(this.#ports, change);
    await this.#feed.catchUp();
    return revision;
  }

  /** The tenant after this process's own change. */
  async #seen(id: TenantId): Promise<Tenant> {
    await this.#feed.catchUp();
    const tenant = await this.find(id);
    if (!tenant) throw new Fault("internal", `tenant ${id} was not found after it was changed`);
    return tenant;
  }

  async #apply(changes: RegistryChanges): Promise<void> {
    if (changes === "everything") {
      await this.#plans.read();
      await this.#domains.readAll();
      await this.#keys.refreshAll();
      await this.installations.refresh(undefined);
      this.#tellGateway();
      this.#tell(await this.#tenants.refreshAll());
      return;
    }
    const namesOf = (kind: RegistryChange["kind"]): string[] => changes.filter((change) => change.kind === kind).map(({ key }) => key);
    const [plans, domains, keys, tenants] = [namesOf("plan"), namesOf("domain"), namesOf("key"), namesOf("tenant")];
    if (plans.length > 0) await this.#plans.read();
    if (domains.length > 0) await this.#domains.refresh(domains);
    await this.#keys.refresh(keys);
    await this.installations.refresh(namesOf("installation"));
    await this.#tenants.refresh(tenants);
    if (namesOf("gateway").length > 0) this.#tellGateway();
    this.#tell(tenants);
  }

  #tellGateway(): void {
    this.#callAll(this.#gatewayListeners, (listener) => listener());
  }

  #tell(ids: readonly string[]): void {
    if (ids.length > 0) this.#callAll(this.#listeners, (listener) => listener(ids));
  }

  #callAll<Listener>(listeners: readonly Listener[], call: (listener: Listener) => void): void {
    for (const listener of listeners) {
      try {
        call(listener);
      } catch (error) {
        this.#ports.report(toFault(error)); // the others are told all the same
      }
    }
  }

  /** The entry's snapshot over the plan as it is now. */
  #current(entry: Entry): Tenant {
    const plan = this.#plans.get(entry.row.plan);
    if (plan !== undefined && plan !== entry.plan) {
      entry.plan = plan;
      entry.tenant = toTenant(entry.row, plan);
    }
    return entry.tenant;
  }

  async #toEntries(rows: readonly TenantRow[]): Promise<readonly Entry[]> {
    // a plan can be newer than the last poll of the feed
    if (rows.some((row) => this.#plans.get(row.plan) === undefined)) await this.#plans.read();
    return rows.map((row) => {
      const plan = this.#plans.get(row.plan);
      if (!plan) throw new Fault("internal", `tenant ${row.id} has the unknown plan ${row.plan}`);
      return { row: deepFreeze(row), plan, tenant: toTenant(row, plan) };
    });
  }
}

function byId<V>(values: readonly V[], id: (value: V) => string): Map<string, V> {
  return new Map(values.map((value) => [id(value), value]));
}

function frozenKey(key: StoredKey): StoredKey {
  Object.freeze(key.roles);
  Object.freeze(key.scopes);
  return Object.freeze(key);
}
