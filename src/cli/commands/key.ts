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

/** Makes an API key of a tenant and prints it, this once. */
export async function createKey(tenant: string, flags: KeyCreateFlags): Promise<void> {
  const key = await withManagement(flags, (management) =>
    management.call("POST", `${tenantPath(tenant)}/keys`, {
      name: flags.name ?? "command line",
      ...(flags.role !== undefined && { roles: [flags.role] }),
      ...(flags.scopes !== undefined && { scopes: flags.scopes.split(",") }),
      ...(flags.expiresInDays !== undefined && { expiresInDays: Number(flags.expiresInDays) }),
    }),
  );
  printOne({ ...(key as object) }, flags.json); // the call answers with a key
}

/** Prints the keys of a tenant, without the keys themselves. */
export async function listKeys(tenant: string, flags: CommonFlags): Promise<void> {
  const answer = await withManagement(flags, (management) => management.call("GET", `${tenantPath(tenant)}/keys`));
  const { keys } = answer as { keys: Record<string, unknown>[] }; // the call's own shape
  printRows(keys, ["id", "name", "roles", "scopes", "createdAt", "expiresAt", "revokedAt"], flags.json);
}

/** Revokes a key of a tenant. */
export async function revokeKey(tenant: string, id: string, flags: CommonFlags): Promise<void> {
  await withManagement(flags, (management) => management.call("DELETE", `${tenantPath(tenant)}/keys/${encodeURIComponent(id)}`));
  printOne({ tenant, key: id, revoked: true }, flags.json);
}
