import { withManagement } from "../installation.ts";
import type { CommonFlags } from "../options.ts";
import { printOne, printRows } from "../terminal.ts";
import { tenantPath } from "./tenant.ts";

/** The flags of `key create`. */
export interface KeyCreateFlags extends CommonFlags {
  readonly name?: string;
  readonly role?: string;
  readonly scopes?: string;
  readonly expiresInDays?: string;
}

const PLATFORM_KEYS = "/admin/v1/keys";

/** The keys of the tenant, or of the platform where none is named. */
function keysPath(tenant: string | undefined): string {
  return tenant === undefined ? PLATFORM_KEYS : `${tenantPath(tenant)}/keys`;
}

/** Makes an API key of a tenant, or of the platform where none is named, and prints it, this once. */
export async function createKey(tenant: string | undefined, flags: KeyCreateFlags): Promise<void> {
  const key = await withManagement(flags, (management) =>
    management.call("POST", keysPath(tenant), {
      name: flags.name ?? "command line",
      ...(flags.role !== undefined && (tenant === undefined ? { role: flags.role } : { roles: [flags.role] })),
      ...(flags.scopes !== undefined && { scopes: flags.scopes.split(",") }),
      ...(flags.expiresInDays !== undefined && { expiresInDays: Number(flags.expiresInDays) }),
    }),
  );
  printOne({ ...(key as object) }, flags.json); // the call answers with a key
}

/** Prints the keys of a tenant or of the platform, without the keys themselves. */
export async function listKeys(tenant: string | undefined, flags: CommonFlags): Promise<void> {
  const answer = await withManagement(flags, (management) => management.call("GET", keysPath(tenant)));
  const { keys } = answer as { keys: Record<string, unknown>[] }; // the call's own shape
  printRows(keys, ["id", "name", "roles", "scopes", "createdAt", "expiresAt", "revokedAt"], flags.json);
}

/** Revokes a key of a tenant, or, with one argument, of the platform. */
export async function revokeKey(first: string, second: string | undefined, flags: CommonFlags): Promise<void> {
  const [tenant, id] = second === undefined ? [undefined, first] : [first, second];
  await withManagement(flags, (management) => management.call("DELETE", `${keysPath(tenant)}/${encodeURIComponent(id)}`));
  printOne({ ...(tenant !== undefined && { tenant }), key: id, revoked: true }, flags.json);
}
