import { createReadStream, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { createKeyring, Fault, type Json, systemClock, systemRandom, uuidV7 } from "../../kernel/index.ts";
import { createTokenIssuer, ownSigningKey } from "../../tenancy/identity/index.ts";
import { type PublicJwk, verifyCertificate, writeWholeFile } from "../../tenancy/lifecycle/index.ts";
import { type Management, withManagement } from "../installation.ts";
import { type CommonFlags, readSettings } from "../options.ts";
import { loadRootKey, ROOT_KEY_VARIABLE } from "../root-key.ts";
import { print, printOne, progress } from "../terminal.ts";
import { tenantPath } from "./tenant.ts";

/** The flags of `tenant import`. */
export interface TenantImportFlags extends CommonFlags {
  readonly as: string;
  readonly plan?: string;
}

/** The flags of `tenant erase`. */
export interface TenantEraseFlags extends CommonFlags {
  readonly export: boolean;
  readonly reason?: string;
}

/** The flags of `tenant certificate`. */
export interface TenantCertificateFlags extends CommonFlags {
  readonly out?: string;
  readonly verify?: string;
  readonly keys?: string;
}

const PIECE_BYTES = 4 * 1024 * 1024;
const LOOK_MS = 500;

/** Writes the tenant's archive, whole or not at all. */
export async function exportTenant(id: string, flags: CommonFlags & { readonly out: string }): Promise<void> {
  const bytes = await withManagement(flags, async (management) =>
    writeWholeFile(flags.out, await management.download(`${tenantPath(id)}/export`)),
  );
  printOne({ tenant: id, file: flags.out, bytes }, flags.json);
}

/** Makes a tenant of an archive and prints it. */
export async function importTenant(file: string, flags: TenantImportFlags): Promise<void> {
  const tenant = await withManagement(flags, async (management) => {
    const upload = await sendFile(management, file);
    const body = { upload, ...(flags.plan !== undefined && { plan: flags.plan }) };
    const made = await management.call("POST", `${tenantPath(flags.as)}/import`, body);
    return (made as { status: string }).status === "provisioning" ? await untilOver(management, flags.as) : made;
  });
  printOne({ ...(tenant as object) }, flags.json); // the call answers with a tenant
}

/** Erases the tenant for good, says how far it is, and prints where its archive and its certificate are. */
export async function eraseTenant(id: string, flags: TenantEraseFlags): Promise<void> {
  const tenant = await withManagement(flags, async (management) => {
    const body = { export: flags.export, ...(flags.reason !== undefined && { reason: flags.reason }) };
    await management.call("POST", `${tenantPath(id)}/erase`, body);
    return await untilOver(management, id);
  });
  printOne({ tenant: id, status: tenant["status"], ...(tenant["lifecycle"] as object) }, flags.json); // it was erased just now
}

/** Prints or writes the certificate of an erasure, or says what one that is given says, if it is genuine. */
export async function certificate(id: string | undefined, flags: TenantCertificateFlags): Promise<void> {
  if (flags.verify !== undefined) return await verifyFile(flags.verify, flags);
  if (id === undefined) throw new Fault("invalid_settings", "no tenant", { public: { detail: "Name a tenant, or give --verify <file>." } });
  const answer = await withManagement(flags, (management) => management.call("GET", `${tenantPath(id)}/certificate`));
  const text = (answer as { certificate: string }).certificate; // the call's own shape
  if (flags.out === undefined) return print(flags.json ? JSON.stringify(answer) : text);
  await writeWholeFile(flags.out, [Buffer.from(`${text}\n`)]);
  printOne({ tenant: id, file: flags.out }, flags.json);
}

async function verifyFile(file: string, flags: TenantCertificateFlags): Promise<void> {
  const claims = verifyCertificate(readText(file), flags.keys === undefined ? await ownKeys(flags) : keysOf(readText(flags.keys)));
  printOne({ genuine: true, ...claims }, flags.json);
}

/** The keys of this installation: a certificate of its own can be verified where it does not run. */
async function ownKeys(flags: CommonFlags): Promise<readonly PublicJwk[]> {
  const settings = readSettings({ ...flags, port: "0", adminPort: "0", logLevel: "error", demo: false }, process.env);
  const rootKey = await loadRootKey(settings, process.env[ROOT_KEY_VARIABLE], systemRandom);
  return createTokenIssuer(ownSigningKey(createKeyring(rootKey)), systemClock).jwks().keys;
}

/** The keys of a key set such as `/.well-known/freehold/jwks.json` gives it. */
function keysOf(text: string): readonly PublicJwk[] {
  try {
    const { keys } = JSON.parse(text) as { keys?: PublicJwk[] };
    if (Array.isArray(keys)) return keys;
  } catch {
    // said below
  }
  throw new Fault("invalid_settings", "not a key set", { public: { detail: "--keys takes a JSON file with a list keys." } });
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

async function sendFile(management: Management, file: string): Promise<string> {
  const upload = uuidV7(systemClock, systemRandom);
  let at = 0;
  try {
    for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) {
      await management.put(`/admin/v1/uploads/${upload}?at=${at}`, piece as Buffer); // it has no encoding
      at += (piece as Buffer).length;
    }
  } catch (error) {
    throw error instanceof Fault ? error : unreadable(file, error);
  }
  return upload;
}

/** Follows what is being done to the tenant until it is over. */
async function untilOver(management: Management, id: string): Promise<Record<string, unknown>> {
  let said = "";
  for (;;) {
    const tenant = (await management.call("GET", tenantPath(id))) as Record<string, Json>; // the call answers with a tenant
    const run = tenant["lifecycle"] as { state: string; kind: string; steps: string[]; problem: string | null } | undefined;
    if (run?.state !== "running") return tenant;
    const where = run.problem ?? run.steps.at(-1) ?? "begun";
    if (where !== said) progress(`${run.kind}: ${where}`);
    said = where;
    await pause(LOOK_MS);
  }
}

function unreadable(file: string, cause: unknown): Fault {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Fault("invalid_settings", `${file}: ${reason}`, { cause, public: { detail: `${file} cannot be read: ${reason}` } });
}
