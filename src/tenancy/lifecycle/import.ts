import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { z } from "zod";
import { Fault, type FaultCode, type StoreTenant } from "../../kernel/index.ts";
import { tenantSelfUpdateSchema } from "../registry/index.ts";
import { type ArchiveContents, checkArchive, recordsOf } from "./archive/read-archive.ts";
import { badArchive } from "./archive/format.ts";
import type { LifecyclePorts } from "./ports.ts";
import type { HeldRun } from "./run-store.ts";
import { activateStep, inErasureOrder, NOTHING, type Step, tenantOf } from "./steps.ts";
import { uploadFile } from "./uploads.ts";

/** What an archive may set of a new tenant: what a tenant's admin could have set. Plan, quotas and price are not among it, nor a secret. */
export const importedSettings = tenantSelfUpdateSchema.omit({ version: true, agent: true });
/** The settings of the tenant in an archive. */
export type ImportedSettings = z.infer<typeof importedSettings>;

/** A checked archive and the settings in it. */
export interface CheckedArchive extends ArchiveContents {
  readonly settings: ImportedSettings;
  /** SHA-256 of the file, hexadecimal. */
  readonly sha256: string;
}

/** What shows that a store does not take a record, and never will. */
const REFUSALS: ReadonlySet<FaultCode> = new Set([
  "body_too_deep",
  "body_too_large",
  "conflict",
  "forbidden",
  "invalid_archive",
  "invalid_json",
  "invalid_settings",
  "malformed_request",
  "tenant_mismatch",
  "unknown_field",
]);

/** Checks all of an archive that can be checked without storing anything. Throws `invalid_archive`. */
export async function checkUpload(ports: LifecyclePorts, upload: string): Promise<CheckedArchive> {
  const file = uploadFile(ports.folder, upload);
  const contents = await checkArchive(file);
  const names = new Set(ports.stores.map(({ name }) => name));
  for (const store of Object.keys(contents.manifest.records)) {
    if (!names.has(store)) throw badArchive("The archive has records of a store that this installation does not have.");
  }
  let settings: ImportedSettings = {};
  for await (const { kind, value } of recordsOf(file, "registry")) {
    if (kind !== "settings") continue;
    const parsed = importedSettings.safeParse(value);
    if (!parsed.success) throw badArchive("The archive's settings of the tenant are not valid.");
    settings = parsed.data;
  }
  return { ...contents, settings, sha256: await digestOf(file) };
}

async function digestOf(file: string): Promise<string> {
  const digest = createHash("sha256");
  for await (const piece of createReadStream(file)) digest.update(piece as Buffer); // it has no encoding
  return digest.digest("hex");
}

/** The steps of an import: the records are put while the tenant is not served, all of them or none. */
export function importSteps(ports: LifecyclePorts): readonly Step[] {
  return [
    {
      name: "load",
      async work(run) {
        await prepareStores(ports, tenantOf(run));
        for (const store of ports.stores) {
          const records = recordsOf(uploadFile(ports.folder, uploadOf(run)), store.name);
          await store.import(tenantOf(run), records).catch((error: unknown) => {
            throw refusalOf(error);
          });
        }
        return NOTHING;
      },
    },
    {
      name: "recount",
      async work(run) {
        const tenant = await ports.registry.find(run.request.name);
        if (!tenant || tenant.uuid !== run.subject) throw new Fault("internal", "the imported tenant is not there");
        await ports.recount(tenant);
        return { stored: await itemsOf(ports, tenantOf(run)) };
      },
    },
    activateStep(ports),
    {
      name: "clean up",
      async work(run) {
        await rm(uploadFile(ports.folder, uploadOf(run)), { force: true });
        return NOTHING;
      },
    },
  ];
}

/** Takes back whatever an import that was refused has done: rows, the tenant and the archive. */
export async function undoImport(ports: LifecyclePorts, run: HeldRun): Promise<void> {
  const tenant = tenantOf(run);
  if ((await ports.registry.statuses([tenant.uuid])).has(tenant.uuid)) {
    for (const store of inErasureOrder(ports.stores)) await store.erase(tenant);
    if (!(await ports.registry.dropUnborn(tenant))) throw new Fault("internal", `the refused tenant ${tenant.id} could not be taken away`);
  }
  await rm(uploadFile(ports.folder, uploadOf(run)), { force: true });
}

/** Whether the fault says that the archive is at fault, and not the moment. */
export function isRefusal({ code }: Fault): boolean {
  return code === "invalid_archive";
}

function refusalOf(error: unknown): unknown {
  if (!(error instanceof Fault) || !REFUSALS.has(error.code)) return error;
  return error.code === "invalid_archive" ? error : badArchive(error.public.detail ?? "A record of the archive cannot be stored.", error);
}

/** Nothing of an archive goes into these; and keys that were erased are never made again. */
const NOT_EMPTIED: ReadonlySet<string> = new Set(["registry", "vault"]);

/** Takes away what an earlier try has put, and makes in each store what the tenant needs there. */
async function prepareStores({ stores }: LifecyclePorts, tenant: StoreTenant): Promise<void> {
  for (const store of inErasureOrder(stores)) if (!NOT_EMPTIED.has(store.name)) await store.erase(tenant);
  for (const store of stores) await store.provision(tenant);
}

async function itemsOf({ stores }: LifecyclePorts, tenant: StoreTenant): Promise<Record<string, number>> {
  const items: Record<string, number> = {};
  for (const store of stores) if (store.name !== "registry") items[store.name] = (await store.measure(tenant)).items;
  return items;
}

function uploadOf({ request }: HeldRun): string {
  if (request.upload === undefined) throw new Fault("internal", "an import without an archive");
  return request.upload;
}
