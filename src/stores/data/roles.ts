import { createHash } from "node:crypto";

/**
 * The database roles of one installation. Roles belong to the whole server, so their names begin with the database's.
 * `owner` owns everything and cannot log in; `app` is used for tenants and `system` for the platform: neither owns, is superuser or
 * bypasses row security.
 */
export interface Roles {
  readonly owner: string;
  readonly app: string;
  readonly system: string;
  /** Cannot log in: what the logins of tenants with a schema of their own have in common. */
  readonly tenants: string;
}

const PREFIX_LENGTH_MAX = 48;

/** The role names of the installation in this database: plain identifiers that need no quoting. */
export function rolesOf(database: string): Roles {
  const plain = database.toLowerCase().replaceAll(/[^a-z0-9]/g, "_");
  const exact = plain === database && /^[a-z]/.test(plain) && plain.length <= PREFIX_LENGTH_MAX;
  const digest = createHash("sha256").update(database).digest("hex").slice(0, 8);
  const prefix = exact ? plain : `fh_${plain.slice(0, PREFIX_LENGTH_MAX - 12)}_${digest}`;
  return { owner: `${prefix}_owner`, app: `${prefix}_app`, system: `${prefix}_system`, tenants: `${prefix}_tenants` };
}

/** Who acts for tenants and who for the platform in the installation of this database: for whoever looks at it from outside. */
export function actorsOf(database: string): { readonly application: string; readonly platform: string } {
  const { app, system } = rolesOf(database);
  return { application: app, platform: system };
}
