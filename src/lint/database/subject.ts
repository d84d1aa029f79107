import { isNamed, type Manifest } from "../manifest.ts";
import { type Catalog, type Column, type Grant, type Oid, PUBLIC, type Relation, type Role, type Routine } from "./catalog.ts";

/** Where Freehold keeps an application's tables: the shared ones, and those of one tenant. */
const SHARED_SCHEMA = "freehold_app";
const OWN_SCHEMA = /^t_[0-9a-f]{20}\./;

/** Whose a table is. */
export type TableKind = "tenant" | "shared" | "platform" | "unlisted";

/** A catalog seen by somebody who knows what each thing is for: the questions that rules ask. */
export class Subject {
  readonly catalog: Catalog;
  readonly manifest: Manifest;
  /** Roles that act for tenants. */
  readonly applications: readonly Role[];
  /** PUBLIC and everything that the application's roles have rights through, except roles that a rule of their own is about. */
  readonly grantees: ReadonlySet<Oid>;
  readonly platform: ReadonlySet<Oid>;
  readonly tenantTables: readonly Relation[];
  readonly #roles: ReadonlyMap<Oid, Role>;
  readonly #columns: ReadonlyMap<Oid, readonly Column[]>;
  readonly #grants: ReadonlyMap<string, readonly Grant[]>;
  readonly #relations: ReadonlyMap<Oid, Relation>;

  constructor(catalog: Catalog, manifest: Manifest) {
    this.catalog = catalog;
    this.manifest = manifest;
    this.#roles = new Map(catalog.roles.map((role) => [role.id, role]));
    const { application, platform } = manifest.roles;
    this.platform = new Set(catalog.roles.filter(({ name }) => isNamed(platform, name)).map(({ id }) => id));
    this.applications = catalog.roles.filter((role) =>
      application.length > 0 ? isNamed(application, role.name) : role.login && !role.superuser && !this.platform.has(role.id),
    );
    this.#relations = new Map(catalog.relations.map((each) => [each.id, each]));
    this.#columns = Map.groupBy(catalog.columns, ({ relation }) => relation);
    this.#grants = Map.groupBy(catalog.grants, ({ kind, object }) => `${kind} ${object}`);
    this.grantees = this.#granteesOf();
    this.tenantTables = this.tables().filter((table) => this.kindOf(table) === "tenant");
  }

  role(id: Oid): Role | undefined {
    return this.#roles.get(id);
  }

  /** The role's name as SQL says it. */
  roleName(id: Oid): string {
    if (id === PUBLIC) return "public";
    const name = this.#roles.get(id)?.name ?? id;
    return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
  }

  relation(id: Oid): Relation | undefined {
    return this.#relations.get(id);
  }

  /** Ordinary and partitioned tables that no extension brought. */
  tables(): readonly Relation[] {
    return this.catalog.relations.filter(({ kind, extension }) => (kind === "r" || kind === "p") && !extension);
  }

  columns(relation: Oid): readonly Column[] {
    return this.#columns.get(relation) ?? [];
  }

  tenantColumn(relation: Oid): Column | undefined {
    return this.columns(relation).find(({ name }) => name === this.manifest.tenantColumn);
  }

  /** A partition is whose its parent is. */
  kindOf(table: Relation): TableKind {
    const { tenant, shared, platform } = this.manifest.tables;
    if (isNamed(platform, table.plain)) return "platform";
    if (isNamed(shared, table.plain)) return "shared";
    if (isNamed(tenant, table.plain)) return "tenant";
    for (const id of table.parents) {
      const parent = this.#relations.get(id);
      if (parent) return this.kindOf(parent);
    }
    return tenant.length === 0 && this.tenantColumn(table.id) ? "tenant" : "unlisted";
  }

  /** Whether the role can do everything: what follows from that is not reported over again. */
  isPowerful(id: Oid): boolean {
    const role = this.#roles.get(id);
    return role !== undefined && (role.superuser || role.bypass);
  }

  /** The rights on an object that tenants' roles have, by these names or any. */
  granted(kind: Grant["kind"], object: string, privileges?: readonly string[]): readonly Grant[] {
    const grants = this.#grants.get(`${kind} ${object}`) ?? [];
    return grants.filter(
      ({ grantee, privilege }) => this.grantees.has(grantee) && (privileges === undefined || privileges.includes(privilege)),
    );
  }

  /** All rights on an object, whoever has them. */
  grants(kind: Grant["kind"], object: string): readonly Grant[] {
    return this.#grants.get(`${kind} ${object}`) ?? [];
  }

  /** The rights by which tenants' roles reach rows of a relation, whole or by column. */
  reach(relation: Pick<Relation, "id" | "schema">, privileges?: readonly string[]): readonly Grant[] {
    if (!this.mayEnter(relation.schema)) return [];
    return [...this.granted("relation", relation.id, privileges), ...this.granted("column", relation.id, privileges)];
  }

  /** Columns that are to hold sealed values only, also those of the same table in a schema of one tenant. */
  sealedColumns(): readonly { readonly table: Relation; readonly column: Column }[] {
    return this.tables().flatMap((table) => {
      const place = table.plain.replace(OWN_SCHEMA, `${SHARED_SCHEMA}.`);
      const columns = this.columns(table.id).filter(({ name }) => isNamed(this.manifest.tables.sealed, `${place}.${name}`));
      return columns.map((column) => ({ table, column }));
    });
  }

  /** The check constraints of a table. */
  checksOf(table: Oid): readonly string[] {
    return this.catalog.checks.filter(({ relation }) => relation === table).map(({ definition }) => definition);
  }

  /** Whether tenants' roles can call it. */
  calls(routine: Routine): readonly Grant[] {
    return routine.builtIn || this.mayEnter(routine.schema) ? this.granted("routine", routine.id, ["EXECUTE"]) : [];
  }

  mayEnter(schema: Oid): boolean {
    const owner = this.catalog.schemas.find(({ id }) => id === schema)?.owner;
    return (owner !== undefined && this.grantees.has(owner)) || this.granted("schema", schema, ["USAGE"]).length > 0;
  }

  /** Engine functions of this list that tenants' roles can call. */
  callable(names: readonly string[]): readonly Routine[] {
    return this.catalog.routines.filter(({ builtIn, plain, id }) => {
      const isListed = builtIn && names.includes(plain.slice("pg_catalog.".length));
      return isListed && this.granted("routine", id, ["EXECUTE"]).length > 0;
    });
  }

  /** Policies that apply to a tenant's role on a table. */
  policies(table: Oid): Catalog["policies"] {
    return this.catalog.policies.filter(({ relation, roles }) => relation === table && roles.some((role) => this.grantees.has(role)));
  }

  /** Everything that a view reads in the end. */
  readBy(view: Oid, seen = new Set<Oid>()): ReadonlySet<Oid> {
    for (const { view: from, relation } of this.catalog.reads) {
      if (from !== view || seen.has(relation)) continue;
      seen.add(relation);
      this.readBy(relation, seen);
    }
    return seen;
  }

  /** Whether rows of tenants, or the platform's own, are among what a view reads. */
  readsOthers(view: Oid): boolean {
    return [...this.readBy(view)].some((id) => {
      const relation = this.#relations.get(id);
      return relation !== undefined && (relation.kind === "r" || relation.kind === "p") && this.kindOf(relation) !== "shared";
    });
  }

  #granteesOf(): Set<Oid> {
    const found = new Set<Oid>([PUBLIC, ...this.applications.map(({ id }) => id)]);
    for (let before = 0; before !== found.size;) {
      before = found.size;
      for (const { member, of } of this.catalog.memberships) {
        if (found.has(member) && !this.isMembershipFault(of)) found.add(of);
      }
    }
    return found;
  }

  /** Whether a rule of its own speaks of being a member of this role. */
  isMembershipFault(id: Oid): boolean {
    const role = this.#roles.get(id);
    if (role === undefined) return false;
    return this.isPowerful(id) || this.platform.has(id) || role.name.startsWith("pg_") || this.ownsTables(id);
  }

  ownsTables(id: Oid): boolean {
    return this.catalog.relations.some(({ owner, extension }) => owner === id && !extension);
  }
}
