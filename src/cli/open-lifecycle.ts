import path from "node:path";
import { recount } from "../control/index.ts";
import {
  createTenantContext,
  Fault,
  type Keyring,
  type StoreLifecycle,
  type StoreTenant,
  systemClock,
  systemRandom,
  type Tenant,
  type TenantContext,
  uuidV7,
} from "../kernel/index.ts";
import { createModelLifecycle } from "../models/index.ts";
import { createTenantLifecycle, type DataStore } from "../stores/data/index.ts";
import { createEventLifecycle, type EventWorker } from "../stores/events/index.ts";
import { createSearchLifecycle, type Embedder } from "../stores/search/index.ts";
import type { TenantVault, VaultStore } from "../stores/vault/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import { ownSigningKey } from "../tenancy/identity/index.ts";
import { createLifecycle, createRevocationJournal, type Lifecycle, type RevocationJournal } from "../tenancy/lifecycle/index.ts";
import { createRegistryLifecycle, type Registry } from "../tenancy/registry/index.ts";
import { PROGRAM_VERSION } from "./program-version.ts";
import type { Settings } from "./settings.ts";
import type { Telemetry } from "./telemetry.ts";

/** Every process has seen a change of the registry after 5 s at the latest, and no transaction is longer than 15 s. */
const SETTLE_MS = 20_000;
const TENANTS_AT_ONCE = 200;
/** The journal in the data folder. */
const JOURNAL_FILE = "revocations.jsonl";

/** The rooms that the life of tenants is built over. */
export interface LifecycleRooms {
  readonly settings: Settings;
  readonly data: DataStore;
  readonly keyring: Keyring;
  readonly embedder: Embedder;
  readonly registry: Registry;
  readonly vault: VaultStore;
  /** The life of tenants in the stores beside the data. */
  readonly beside: readonly StoreLifecycle[];
  readonly audit: Audit;
  readonly journal: RevocationJournal;
  readonly worker: EventWorker;
  readonly report: (fault: Fault) => void;
}

/** The journal of revocations in all its places. */
export function openJournal({ data, revocations }: Settings, keyring: Keyring): RevocationJournal {
  return createRevocationJournal({ files: [path.join(data, JOURNAL_FILE), ...revocations.copies], keyring, clock: systemClock });
}

/** Tables in which the stores beside the data keep their books: each answers for its own. */
const PLACES_OF_STORES: ReadonlySet<string> = new Set([
  "freehold.files",
  "freehold.file_use",
  "freehold.file_leftovers",
  "freehold.file_places",
  "freehold.file_copies",
  "freehold.vault_keys",
]);

/** Every store that keeps something of tenants. One that is not in the list could not be exported or erased. */
export function tenantStores({
  data,
  keyring,
  embedder,
  registry,
  vault,
  beside,
}: Pick<LifecycleRooms, "data" | "keyring" | "embedder" | "registry" | "vault" | "beside">): readonly StoreLifecycle[] {
  const contextOf = async (tenant: StoreTenant): Promise<TenantContext> => asItself(await registry.find(tenant.id), tenant);
  const others = [
    createSearchLifecycle({ data, embedder, contextOf }),
    createEventLifecycle({ data, keyring }),
    createRegistryLifecycle(data, registry),
    createModelLifecycle(data),
  ];
  const home = data.lifecycle(async ({ id }) => {
    const wanted = (await registry.find(id))?.placement.wanted ?? "row";
    // the embedded database is one: a schema is the most there is
    return wanted === "database" && data.capabilities.engine === "pglite" ? "schema" : wanted;
  });
  // whatever table none of the others answers for
  const isOthers = (place: string): boolean => PLACES_OF_STORES.has(place) || others.some((other) => other.owns(place));
  const vaultOf = (tenant: StoreTenant): TenantVault => vault.forTenant(tenant);
  return [createTenantLifecycle({ homes: data.homes, home, rows: data.rows, isOthers, vaultOf }), ...others, ...beside];
}

/** Counts anew what is counted of a tenant. */
export async function recountTenant(data: DataStore, tenant: Tenant): Promise<void> {
  const context = asItself(tenant, tenant);
  await recount(data.forTenant(context), context);
}

/** Seals anew, with each tenant's key in force, what older keys sealed in columns of the application's tables. Gives how many values. */
export async function resealAllColumns(
  { data, vault, registry }: { readonly data: DataStore; readonly vault: VaultStore; readonly registry: Registry },
  signal?: AbortSignal,
): Promise<number> {
  if (!data.sealsColumns) return 0;
  let resealed = 0;
  let page: readonly Tenant[] = [];
  do {
    page = await registry.list(page.at(-1)?.id ?? "", TENANTS_AT_ONCE);
    for (const tenant of page) {
      if (tenant.status !== "active" && tenant.status !== "suspended") continue;
      resealed += await data.resealColumns(asItself(tenant, tenant), vault.forTenant(tenant), signal);
    }
  } while (page.length === TENANTS_AT_ONCE);
  return resealed;
}

/** The life of tenants over every store of this installation. */
export function openLifecycle(rooms: LifecycleRooms): Lifecycle {
  const { settings, data, keyring, registry, audit, journal, worker, report } = rooms;
  return createLifecycle({
    data,
    registry,
    stores: tenantStores(rooms),
    audit,
    journal,
    signingKey: ownSigningKey(keyring),
    unpark: (tenantUuid) => worker.unpark(tenantUuid),
    recount: (tenant) => recountTenant(data, tenant),
    clock: systemClock,
    random: systemRandom,
    report,
    folder: settings.data,
    program: PROGRAM_VERSION,
    settleMs: SETTLE_MS,
  });
}

/** Says what a restored backup had brought back and is taken back before anything is served. */
export async function carryOutJournal(lifecycle: Lifecycle, log: Telemetry["log"]): Promise<void> {
  const { keysRevoked, erased, buried, suspended } = await lifecycle.replay();
  const say = (names: readonly string[], what: string): void => {
    if (names.length > 0) log.warn(`The database is from before: ${what}: ${names.join(", ")}`);
  };
  say(
    erased.map(({ id }) => id),
    "tenants that had been erased are erased again",
  );
  say(
    buried.map(({ id }) => id),
    "names of erased tenants are taken again",
  );
  say(
    suspended.map(({ id }) => id),
    "tenants that had been suspended are suspended again",
  );
  say(keysRevoked, "keys that had been revoked are revoked again");
}

/** The tenant acting as itself, with the rights of an admin of it. */
export function asItself(tenant: Tenant | undefined, { uuid, id }: StoreTenant): TenantContext {
  if (!tenant || tenant.uuid !== uuid) throw new Fault("internal", `tenant ${id} is not there`);
  return createTenantContext({
    tenant,
    principal: { realm: "tenant", kind: "user", id: "lifecycle", roles: ["admin"], scopes: [] },
    provedBy: "system",
    requestId: uuidV7(systemClock, systemRandom),
    trace: { traceId: systemRandom.bytes(16).toString("hex"), spanId: systemRandom.bytes(8).toString("hex"), sampled: false },
  });
}
