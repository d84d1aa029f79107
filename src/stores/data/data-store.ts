import { type DataModel, Fault, type Keyring, type Random, type TenantContext } from "../../kernel/index.ts";
import { type EmbeddedLocation, openEmbedded } from "./embedded-engine.ts";
import type { Engine, Route } from "./engine.ts";
import { HomeMap } from "./home-map.ts";
import { HomeLifecycle } from "./home-lifecycle.ts";
import { OutboxCarrier } from "./outbox-carrier.ts";
import type { DataStore, SystemData } from "./port.ts";
import { Runner, type RunnerEvents } from "./runner.ts";
import { proveIsolation } from "./self-test.ts";
import { openServer, type ServerLocation } from "./server-engine.ts";
import { HomeKeeper } from "./home-keeper.ts";
import { Homes } from "./homes.ts";
import { Fleet } from "./tables/fleet.ts";
import { NO_TABLES, type TableSet } from "./tables/define-tables.ts";
import { ColumnSealer } from "./sealed/column-sealer.ts";
import { resealColumns } from "./sealed/reseal.ts";
import type { ColumnVault } from "./sealed/sealed-tables.ts";
import { sql } from "./sql.ts";
import { TenantHandle } from "./tenant-handle.ts";
import { createTenantRows } from "./tenant-rows.ts";
import { fixedSource, ownSource, SharedRows, TenantSource } from "./tenant-source.ts";

/** Where the data is: in a folder (embedded), or in a PostgreSQL server. */
export type DataLocation = EmbeddedLocation | ServerLocation;

/** What a data store needs from outside. */
export interface DataPorts {
  readonly keyring: Keyring;
  readonly random: Random;
  /** The application's tables. */
  readonly tables?: TableSet;
  /** Told of faults that no caller can be told of. */
  readonly report: (fault: Fault) => void;
}

/** The channel on which a process tells the others that a tenant has another home. */
const HOMES_CHANNEL = "freehold_homes";

/**
 * Opens the data store and proves its isolation. Throws `store_locked`, `storage_full`, `dependency_unavailable` or
 * `isolation_violation`; then nothing is left open.
 */
export async function createDataStore(location: DataLocation, ports: DataPorts): Promise<DataStore> {
  const engine = location.kind === "embedded" ? await openEmbedded(location, ports) : await openServer(location, ports);
  const health = new Health(engine);
  const runner = (route: Route): Runner => new Runner(fixedSource(engine.system, route), health);
  const platform = runner(engine.platform);
  const system: SystemData = {
    query: (statement) => platform.query(statement),
    transaction: (work) => platform.transaction(work),
    listen: (channel, onMessage, onGap) => engine.listener.listen(channel, onMessage, onGap),
    keep: (text) => engine.listener.keep(text),
  };
  const homes = new HomeMap(system);
  const tables = ports.tables ?? NO_TABLES;
  const keeper = new HomeKeeper(engine, ports, tables);
  const ownSystem = (tenant: string): Runner => new Runner(ownSource(engine, tenant), health);
  const carrier = new OutboxCarrier(engine, homes, system, { ownSystem, report: ports.report });
  const shared = (tenant: string): Runner => new Runner(new SharedRows(engine, homes, tenant), health);
  try {
    await proveIsolation({ tenant: shared, nobody: runner(engine.nobody) }, engine.installation.mode);
    await homes.refresh();
    const learn = (): void => void homes.refresh().catch((error: unknown) => health.report(error, ports.report));
    await engine.listener.listen(HOMES_CHANNEL, learn, learn);
    carrier.start();
  } catch (error) {
    await engine.close();
    throw error;
  }
  const handle = (uuid: string, vault?: ColumnVault): TenantHandle => {
    const stored = (model: DataModel): void => {
      if (model === "database") carrier.wake(uuid);
    };
    const sealer = vault && tables.sealed.size > 0 ? new ColumnSealer(tables.sealed, vault) : undefined;
    return new TenantHandle(new Runner(new TenantSource(engine, homes, uuid), health), stored, sealer);
  };
  const changes = new Homes(engine, homes, keeper, carrier);
  await clearUp(engine, system, changes, ports.report);
  return {
    capabilities: { engine: engine.kind, vector: engine.installation.vector },
    forTenant: ({ tenant }, vault) => handle(tenant.uuid, vault),
    sealsColumns: tables.sealed.size > 0,
    resealColumns: ({ tenant }, vault, signal) => resealColumns(handle(tenant.uuid), vault, signal),
    forPlatformTables: ({ tenant }: TenantContext) => new TenantHandle(shared(tenant.uuid)),
    homes: changes,
    fleet: new Fleet(engine, system, keeper, tables),
    lifecycle: (wantedModel) => new HomeLifecycle({ engine, keeper, homes: changes, system, rowsOf: handle, wantedModel }),
    system,
    rows: createTenantRows(system),
    health: () => health.state(),
    close: async () => {
      await carrier.close();
      await engine.close();
    },
  };
}

/** Takes back the moves of processes that were killed, where this one may. A failure leaves them to the next start, or to the operator. */
async function clearUp(engine: Engine, system: SystemData, homes: Homes, report: (fault: Fault) => void): Promise<void> {
  if (engine.installation.administrator === "none") return;
  try {
    const { count } = await system.query(sql`select from freehold.moves where switched_at is null`);
    if (count > 0) await homes.recover();
  } catch (error) {
    report(error instanceof Fault ? error : new Fault("internal", String(error), { cause: error }));
  }
}

/** Whether the engine answers, by what became of the last statements. */
class Health implements RunnerEvents {
  readonly #engine: Engine;
  #failure: Fault | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  answered(): void {
    this.#failure = undefined;
  }

  failed(fault: Fault): void {
    if (fault.code === "dependency_unavailable" || fault.code === "storage_full") this.#failure = fault;
    this.#engine.recover(fault);
  }

  report(error: unknown, report: (fault: Fault) => void): void {
    report(error instanceof Fault ? error : new Fault("dependency_unavailable", String(error), { cause: error }));
  }

  state(): ReturnType<DataStore["health"]> {
    return this.#failure ? { ok: false, reason: `The database is not available: ${this.#failure.code}.` } : { ok: true };
  }
}
