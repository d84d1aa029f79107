import { Fault, type StoreTenant, type Tenant, type TenantId } from "../../kernel/index.ts";
import { sql } from "../../stores/data/index.ts";
import type { TenantCreate } from "../registry/index.ts";
import { archiveOf } from "./export-file.ts";
import { checkUpload } from "./import.ts";
import type { LifecyclePorts } from "./ports.ts";
import { type BroughtBack, replayJournal } from "./replay.ts";
import { beginRun, insertRun, newestRun, type RequestedBy, type Run } from "./run-store.ts";
import { newRunId } from "./run-id.ts";
import { Runner } from "./runner.ts";
import { addToUpload, dropUpload, hasUpload } from "./uploads.ts";

/** An import to be made. */
export interface ImportRequest {
  readonly id: TenantId;
  /** The archive, as it was uploaded. */
  readonly upload: string;
  readonly plan: string;
}

/** An erasure to be made. */
export interface EraseRequest {
  /** Whether an archive is written first. */
  readonly export: boolean;
  readonly reason?: string | undefined;
}

/** The life of tenants: everything that is done over all stores. What is begun is carried to its end, by this process or the next. */
export interface Lifecycle {
  /** Registers a tenant, which is served when every store is ready: normally when this returns, otherwise as soon as it can be. */
  create(input: TenantCreate, by: RequestedBy): Promise<Tenant>;
  suspend(id: TenantId): Promise<Tenant>;
  /** Serves the tenant again; the events that waited are handled in their order. */
  resume(id: TenantId): Promise<Tenant>;
  /** The archive of the tenant, made while it is read. */
  export(tenant: StoreTenant): AsyncIterable<Uint8Array>;
  /** Adds a piece to an upload and gives where it ends. Throws `conflict` for a piece that does not belong there. */
  upload(upload: string, at: number, piece: Uint8Array): Promise<number>;
  /**
   * A new tenant of what the archive holds. Throws `invalid_archive`, or what {@link create} throws; then nothing of it is left, nor of
   * the upload.
   */
  import(request: ImportRequest, by: RequestedBy): Promise<Tenant>;
  /** Begins to erase the tenant for good; from now on it is refused everywhere. Asked again, it gives the erasure that was begun. */
  erase(tenant: Tenant, request: EraseRequest, by: RequestedBy): Promise<Run>;
  /** What is being done to the tenant, or was done last. */
  newest(tenant: StoreTenant): Promise<Run | undefined>;
  /** The certificate of the tenant's erasure. */
  certificate(tenant: StoreTenant): Promise<string | undefined>;
  /**
   * Takes back what a restored backup brought back, before anything is served. The erasures in it are carried to their end first.
   */
  replay(): Promise<BroughtBack>;
  /** Takes on what was left behind. */
  start(): void;
  close(): Promise<void>;
}

const CREATE_WAIT_MS = 30_000;
/** An import may take long; whoever asked waits for so long and then looks for itself. */
const IMPORT_WAIT_MS = 45_000;
const REPLAY_WAIT_MS = 600_000;

/** The life of tenants over these stores. */
export function createLifecycle(ports: LifecyclePorts): Lifecycle {
  const { data, registry } = ports;
  const runner = new Runner(ports);
  return {
    create: (input, by) => create(ports, runner, input, by),
    suspend: (id) => registry.setStatus(id, "suspended"),
    async resume(id) {
      const tenant = await registry.setStatus(id, "active");
      await ports.unpark(tenant.uuid);
      return tenant;
    },
    export: (tenant) => archiveOf(ports, tenant),
    upload: (upload, at, piece) => addToUpload(ports.folder, upload, at, piece),
    import: (request, by) => importTenant(ports, runner, request, by),
    erase: (tenant, request, by) => erase(ports, runner, tenant, request, by),
    newest: (tenant) => newestRun(data.system, tenant.uuid),
    async certificate({ uuid }) {
      const { rows } = await data.system.query<{ certificate: string }>(
        sql`select certificate from freehold.erasure_certificates where subject = ${uuid}`,
      );
      return rows[0]?.certificate;
    },
    async replay() {
      const found = await replayJournal(ports);
      for (const id of found.runs) await runner.finished(id, REPLAY_WAIT_MS);
      return found;
    },
    start: () => runner.start(),
    close: () => runner.close(),
  };
}

async function create(ports: LifecyclePorts, runner: Runner, input: TenantCreate, by: RequestedBy): Promise<Tenant> {
  const id = newRunId(ports);
  const tenant = await ports.registry.create(input, {
    begin: async (tx, subject) => {
      await insertRun(tx, { id, subject, kind: "provision", request: { by, name: input.id } });
      await ports.reached?.("provision:begin");
    },
  });
  await runner.finished(id, CREATE_WAIT_MS);
  return (await ports.registry.find(tenant.id)) ?? tenant;
}

async function importTenant(
  ports: LifecyclePorts,
  runner: Runner,
  { id: name, upload, plan }: ImportRequest,
  by: RequestedBy,
): Promise<Tenant> {
  const { registry, folder } = ports;
  if (!(await hasUpload(folder, upload))) throw new Fault("not_found", "no such upload");
  const id = newRunId(ports);
  let tenant: Tenant;
  try {
    const { settings } = await checkUpload(ports, upload);
    const input = { name, ...settings, id: name, plan } as TenantCreate; // the settings are some of its fields
    tenant = await registry.create(input, {
      begin: (tx, subject) => insertRun(tx, { id, subject, kind: "import", request: { by, name, upload } }),
    });
  } catch (error) {
    await dropUpload(folder, upload);
    throw error;
  }
  const run = await runner.finished(id, IMPORT_WAIT_MS);
  if (run.state === "failed") {
    const detail = run.problem ?? "The archive was refused.";
    throw new Fault("invalid_archive", detail, { public: { detail } });
  }
  return (await registry.find(name)) ?? tenant;
}

async function erase(
  ports: LifecyclePorts,
  runner: Runner,
  tenant: Tenant,
  { export: archive, reason }: EraseRequest,
  by: RequestedBy,
): Promise<Run> {
  const { system } = ports.data;
  const newest = await newestRun(system, tenant.uuid);
  if (newest?.kind === "erase") return newest;
  const request = { by, name: tenant.id, export: archive, ...(reason !== undefined && { reason }) };
  const begun = await beginRun(system, { id: newRunId(ports), subject: tenant.uuid, kind: "erase", request });
  await ports.registry.setStatus(tenant.id, "deleting"); // refused when this returns, whoever works on the run
  runner.begin(begun);
  const run = await newestRun(system, tenant.uuid);
  if (!run) throw new Fault("internal", `the erasure of ${tenant.id} was not found after it was begun`);
  return run;
}
