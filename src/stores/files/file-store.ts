import { type Clock, Fault, type Random, toFault } from "../../kernel/index.ts";
import type { DataStore } from "../data/index.ts";
import type { VaultStore } from "../vault/index.ts";
import { createFileEngines } from "./file-engines.ts";
import { FileTable, leftovers } from "./file-table.ts";
import { fileLifecycle } from "./lifecycle.ts";
import { createFilePlaces } from "./move-files.ts";
import type { FileEngine, FileStore, TenantFiles } from "./port.ts";
import { removeObject, tenantFiles } from "./tenant-files.ts";

/** What the store of files is made of. */
export interface FileStoreOptions {
  readonly data: DataStore;
  /** Seals contents: whatever keeps them learns nothing, and without the tenant's key nobody reads them. */
  readonly vault: Pick<VaultStore, "forTenant">;
  /** Keeps the files of all tenants that have no place of their own. */
  readonly engine: FileEngine;
  /** Keeps those of tenants that have one, each in a place for it alone. */
  readonly ownEngine?: FileEngine | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of faults that no caller can be told of. */
  readonly report: (fault: Fault) => void;
}

/** Uploads of one tenant under way in one process; each holds up to some 16 MiB. */
const UPLOADS_MAX = 16;
const SWEEP_MS = 60_000;
const SWEEP_PAGE = 1_000;

/** Files in this engine, with their names, sizes and digests in the database. */
export function createFileStore(options: FileStoreOptions): FileStore {
  const { data, vault, clock, random, report } = options;
  const engines = createFileEngines(options.engine, options.ownEngine);
  const uploads = new Map<string, number>();
  const admit = async <T>(tenant: string, work: () => Promise<T>): Promise<T> => {
    const running = uploads.get(tenant) ?? 0;
    if (running >= UPLOADS_MAX) {
      throw new Fault("concurrency_exceeded", `${UPLOADS_MAX} uploads of the tenant are under way`, { public: { policy: "uploads" } });
    }
    uploads.set(tenant, running + 1);
    try {
      return await work();
    } finally {
      const left = (uploads.get(tenant) ?? 1) - 1;
      if (left === 0) uploads.delete(tenant);
      else uploads.set(tenant, left);
    }
  };
  const sweep = async (): Promise<void> => {
    for (const { tenant, ...removed } of await leftovers(data.system, SWEEP_PAGE)) {
      await removeObject({ tenant, table: new FileTable(data.system, tenant), engines }, removed);
    }
  };
  const timer = setInterval(() => void sweep().catch((error: unknown) => report(toFault(error))), SWEEP_MS).unref();
  return {
    forTenant: (context): TenantFiles => {
      const { tenant } = context;
      // whichever home the tenant has: what sweeps, measures and erases looks where it is the platform's
      const table = new FileTable(data.forPlatformTables(context), tenant.uuid);
      const bytesMax = tenant.quotas.storageLimit;
      const parts = { tenant: tenant.uuid, table, vault: vault.forTenant(tenant), engines, clock, random, bytesMax };
      return tenantFiles({ ...parts, admit: (work) => admit(tenant.uuid, work) });
    },
    sweep,
    lifecycle: fileLifecycle({ engines, tableOf: ({ uuid }) => new FileTable(data.system, uuid) }, (tenant, table) =>
      // what a tenant brings along is taken whole, also where it is more than its new plan allows
      tenantFiles({
        tenant: tenant.uuid,
        table,
        vault: vault.forTenant(tenant),
        engines,
        clock,
        random,
        bytesMax: Number.MAX_SAFE_INTEGER,
        admit: (work) => work(),
      }),
    ),
    places: createFilePlaces({ system: data.system, engines, clock, random }),
    async close() {
      clearInterval(timer);
    },
  };
}
