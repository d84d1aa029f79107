import { Fault } from "../../kernel/index.ts";
import { type DatabaseAddress, readDatabase, actorsOf } from "../../stores/data/index.ts";
import { isNamed, type Manifest, ownManifest, parseManifest } from "../manifest.ts";
import { applyRules, type CheckedRule, type Finding } from "../rule.ts";
import type { Catalog } from "./catalog.ts";
import { readCatalog } from "./read-catalog.ts";
import { KEY_RULES } from "./rules/keys.ts";
import { POLICY_RULES } from "./rules/policies.ts";
import { PRIVILEGE_RULES } from "./rules/privileges.ts";
import { RELATION_RULES } from "./rules/relations.ts";
import { ROLE_RULES } from "./rules/roles.ts";
import { ROUTINE_RULES } from "./rules/routines.ts";
import { SERVER_RULES } from "./rules/server.ts";
import { TABLE_RULES } from "./rules/tables.ts";
import { Subject } from "./subject.ts";

/** All rules about a database, by id. */
export const DATABASE_RULES: readonly CheckedRule<Subject>[] = [
  ...TABLE_RULES,
  ...POLICY_RULES,
  ...KEY_RULES,
  ...PRIVILEGE_RULES,
  ...ROLE_RULES,
  ...ROUTINE_RULES,
  ...RELATION_RULES,
  ...SERVER_RULES,
].toSorted((a, b) => a.id.localeCompare(b.id));

/** What the rules found in a database, and what they could not see. */
export interface DatabaseLint {
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
  readonly looked: string;
}

/**
 * Applies the rules to a database, reading only. Without a manifest the schema of a Freehold is known, and anything else is judged by what
 * its catalog says; `sealed` are columns that an application's tables mark. Throws `invalid_settings` when no role that acts for tenants can be told.
 */
export async function lintDatabase(
  address: DatabaseAddress,
  manifest: Manifest | undefined,
  sealed: readonly string[],
): Promise<DatabaseLint> {
  const catalog = await readDatabase(address, readCatalog);
  const subject = new Subject(catalog, withSealed(withOwn(catalog, manifest), sealed));
  if (subject.applications.length === 0) {
    const named = manifest?.roles.application.join(", ");
    const detail = named
      ? `The database has no role ${named}. Name the role that acts for tenants with --role or in the manifest (roles.application).`
      : "No role but superusers can log in. Name the role that acts for tenants with --role or in the manifest (roles.application).";
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
  const names = subject.applications.map(({ name }) => name).join(", ");
  return {
    findings: applyRules(DATABASE_RULES, subject, { layer: "database" }),
    notes: [...catalog.unseen, ...guesses(subject, manifest)],
    looked: `database ${catalog.database.plain}: ${subject.tenantTables.length} tenant tables, ${catalog.policies.length} policies, acting for tenants: ${names}`,
  };
}

/** Freehold's own schema is no one else's to describe: its part is added to whatever the manifest says. */
function withOwn(catalog: Catalog, manifest: Manifest | undefined): Manifest {
  const actors = actorsOf(catalog.database.plain);
  const isOwn = catalog.schemas.some(({ plain }) => plain === "freehold") && catalog.roles.some(({ name }) => name === actors.application);
  if (!isOwn) return manifest ?? parseManifest({}, "defaults");
  const own = ownManifest(actors);
  if (!manifest) return own;
  return {
    ...manifest,
    roles: {
      application: [...own.roles.application, ...manifest.roles.application],
      platform: [...own.roles.platform, ...manifest.roles.platform],
    },
    tables: {
      tenant: manifest.tables.tenant.length === 0 ? [] : [...manifest.tables.tenant, ...ownTenantTables(catalog, own)],
      shared: [...own.tables.shared, ...manifest.tables.shared],
      platform: [...own.tables.platform, ...manifest.tables.platform],
      sealed: manifest.tables.sealed,
    },
    contextFunctions: [...own.contextFunctions, ...manifest.contextFunctions],
  };
}

/** Columns that the application itself declares as sealed need no word in the manifest. */
function withSealed(manifest: Manifest, sealed: readonly string[]): Manifest {
  return { ...manifest, tables: { ...manifest.tables, sealed: [...manifest.tables.sealed, ...sealed] } };
}

function ownTenantTables(catalog: Catalog, own: Manifest): readonly string[] {
  const tables = catalog.relations.filter(({ plain, kind }) => plain.startsWith("freehold.") && (kind === "r" || kind === "p"));
  return tables.map(({ plain }) => plain).filter((plain) => !isNamed([...own.tables.shared, ...own.tables.platform], plain));
}

function* guesses(subject: Subject, manifest: Manifest | undefined): Iterable<string> {
  if (manifest && manifest.roles.application.length > 0) return;
  if (subject.manifest.roles.application.length > 0) return;
  const names = subject.applications.map(({ name }) => name).join(", ");
  yield `No role was named, so every role that can log in was taken to act for tenants (${names}); --role names it.`;
}
