/** The oid of a catalog row, as text. `0` among grantees is PUBLIC. */
export type Oid = string;

/** PUBLIC among grantees and among the roles of a policy. */
export const PUBLIC: Oid = "0";

/** A role of the server. */
export interface Role {
  readonly id: Oid;
  readonly name: string;
  readonly superuser: boolean;
  readonly bypass: boolean;
  readonly login: boolean;
  readonly createRole: boolean;
  readonly createDatabase: boolean;
  readonly replication: boolean;
}

/** Something with a schema and an owner. Its `name` is qualified and quoted, ready to stand in SQL. */
export interface Owned {
  readonly id: Oid;
  readonly name: string;
  readonly owner: Oid;
  readonly schema: Oid;
  /** Whether an extension brought it. */
  readonly extension: boolean;
}

/** A table, view, sequence or the like: `kind` as in pg_class.relkind. */
export interface Relation extends Owned {
  /** Unquoted: `schema.name`, as the manifest names it. */
  readonly plain: string;
  readonly kind: "r" | "p" | "v" | "m" | "f" | "S";
  readonly rowSecurity: boolean;
  readonly forced: boolean;
  readonly invoker: boolean;
  /** What it is a partition or child of. */
  readonly parents: readonly Oid[];
}

/** A column of a table. */
export interface Column {
  readonly relation: Oid;
  readonly position: number;
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly default: string | null;
}

/** A row security policy; `command` as in pg_policy.polcmd, `*` for all. */
export interface Policy {
  readonly relation: Oid;
  readonly name: string;
  readonly permissive: boolean;
  readonly command: "*" | "r" | "a" | "w" | "d";
  readonly roles: readonly Oid[];
  readonly using: string | null;
  readonly check: string | null;
}

/** A unique, primary or exclusion index. `keys` are column positions, 0 for an expression. */
export interface UniqueIndex {
  readonly relation: Oid;
  readonly name: string;
  readonly primary: boolean;
  readonly exclusion: boolean;
  readonly keys: readonly number[];
  readonly definition: string;
  /** The constraint it serves, quoted. */
  readonly constraint: string | null;
  readonly constraintDefinition: string | null;
}

/** A foreign key. */
export interface ForeignKey {
  readonly relation: Oid;
  readonly name: string;
  readonly keys: readonly number[];
  readonly target: Oid;
  readonly targetKeys: readonly number[];
  readonly definition: string;
}

/** A function or procedure. `name` is its signature. */
export interface Routine extends Owned {
  readonly plain: string;
  readonly definer: boolean;
  readonly leakproof: boolean;
  readonly trigger: boolean;
  readonly settings: readonly string[];
  readonly language: string;
  readonly trusted: boolean;
  readonly source: string;
  readonly builtIn: boolean;
}

/** A trigger that fires on a table. */
export interface Trigger {
  readonly relation: Oid;
  readonly name: string;
  readonly routine: Oid;
}

/** A right on an object, or on one column of it. */
export interface Grant {
  readonly kind: "relation" | "column" | "schema" | "routine" | "database" | "server" | "parameter" | "default";
  /** The object; for a parameter its name, for a default privilege the role and schema it is for. */
  readonly object: string;
  readonly grantee: Oid;
  readonly privilege: string;
  readonly column: string | null;
}

/** A setting that a role or the database brings along. */
export interface Setting {
  readonly role: Oid;
  readonly everywhere: boolean;
  readonly name: string;
  readonly value: string;
}

/** What a publication sends out. */
export interface Publication {
  readonly name: string;
  readonly all: boolean;
  readonly tables: readonly { readonly relation: Oid; readonly filtered: boolean }[];
  readonly schemas: readonly Oid[];
}

/** Something that has just a name. */
export interface Named {
  readonly id: Oid;
  readonly name: string;
}

/** Everything of one database's catalog that the rules look at. */
export interface Catalog {
  readonly database: Named & { readonly version: number; readonly owner: Oid; readonly plain: string };
  readonly roles: readonly Role[];
  readonly memberships: readonly { readonly member: Oid; readonly of: Oid }[];
  readonly schemas: readonly (Named & { readonly owner: Oid; readonly plain: string })[];
  readonly relations: readonly Relation[];
  readonly columns: readonly Column[];
  readonly policies: readonly Policy[];
  readonly indexes: readonly UniqueIndex[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly reads: readonly { readonly view: Oid; readonly relation: Oid }[];
  readonly rewrites: readonly { readonly relation: Oid; readonly name: string }[];
  readonly routines: readonly Routine[];
  readonly triggers: readonly Trigger[];
  readonly eventTriggers: readonly Named[];
  readonly grants: readonly Grant[];
  readonly settings: readonly Setting[];
  readonly publications: readonly Publication[];
  readonly servers: readonly (Named & { readonly owner: Oid })[];
  readonly statistics: readonly (Named & { readonly relation: Oid })[];
  readonly checks: readonly { readonly relation: Oid; readonly definition: string }[];
  /** Who was given the planner's row estimates to read. */
  readonly estimateReaders: readonly Oid[];
  readonly largeObjects: number;
  /** What the role that reads was refused. */
  readonly unseen: readonly string[];
}
