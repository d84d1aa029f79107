import type { CheckedRule } from "../../rule.ts";
import type { Oid, Role } from "../catalog.ts";
import { PUBLIC } from "../catalog.ts";
import { giveAway, objectOf } from "../sql-text.ts";
import type { Subject } from "../subject.ts";

/** A rule about what a tenant's role is. */
function attributeRule(
  id: CheckedRule<Subject>["id"],
  name: string,
  means: string,
  has: (role: Role) => boolean,
  attribute: (role: Role) => string,
): CheckedRule<Subject> {
  return {
    id,
    name,
    severity: "error",
    means,
    *find(subject) {
      for (const role of subject.applications) {
        if (!has(role)) continue;
        const object = `role ${subject.roleName(role.id)}`;
        yield {
          object,
          detail: `It is ${attribute(role)}.`,
          fix: [`alter role ${subject.roleName(role.id)} ${opposite(attribute(role))}`],
        };
      }
    },
  };
}

function opposite(attributes: string): string {
  return attributes
    .split(" ")
    .map((attribute) => `no${attribute.toLowerCase()}`)
    .join(" ");
}

/** Roles that an application's role is in, directly or through others, and the one it is in directly. */
function* memberships(subject: Subject): Iterable<{ readonly member: Oid; readonly of: Role }> {
  for (const { member, of } of subject.catalog.memberships) {
    const role = subject.role(of);
    if (role && subject.grantees.has(member) && member !== PUBLIC && subject.isMembershipFault(of)) yield { member, of: role };
  }
}

function membershipRule(
  id: CheckedRule<Subject>["id"],
  name: string,
  means: string,
  isAbout: (role: Role) => boolean,
): CheckedRule<Subject> {
  return {
    id,
    name,
    severity: "error",
    means,
    *find(subject) {
      for (const { member, of } of memberships(subject)) {
        if (!isAbout(of)) continue;
        const [who, role] = [subject.roleName(member), subject.roleName(of.id)];
        yield { object: `role ${who}`, detail: `It is a member of ${role}.`, fix: [`revoke ${role} from ${who}`] };
      }
    },
  };
}

const isPredefined = ({ name }: Role): boolean => name.startsWith("pg_");

/** Who reads a setting when it connects: a tenant's role, or everybody. */
function isForApplication(subject: Subject, role: Oid): boolean {
  return role === PUBLIC || subject.grantees.has(role);
}

/** A rule about a setting that comes with the role or the database. */
function settingRule(
  id: CheckedRule<Subject>["id"],
  name: string,
  means: string,
  isFault: (setting: { readonly name: string; readonly value: string }) => boolean,
): CheckedRule<Subject> {
  return {
    id,
    name,
    severity: "error",
    means,
    *find(subject) {
      for (const setting of subject.catalog.settings) {
        if (!isForApplication(subject, setting.role) || !isFault(setting)) continue;
        yield {
          object: settingObject(subject, setting.role),
          detail: `It brings ${setting.name} = ${setting.value}.`,
          fix: [resetSetting(subject, setting)],
        };
      }
    },
  };
}

function settingObject(subject: Subject, role: Oid): string {
  return role === PUBLIC ? `database ${subject.catalog.database.name}` : `role ${subject.roleName(role)}`;
}

function resetSetting(
  subject: Subject,
  { role, everywhere, name }: { readonly role: Oid; readonly everywhere: boolean; readonly name: string },
): string {
  const database = subject.catalog.database.name;
  if (role === PUBLIC) return everywhere ? `alter role all reset ${name}` : `alter database ${database} reset ${name}`;
  return `alter role ${subject.roleName(role)}${everywhere ? "" : ` in database ${database}`} reset ${name}`;
}

const ON = /^(?:on|true|yes|1)$/i;

/** Rules about the roles that act for tenants, and the settings that come with them. */
export const ROLE_RULES: readonly CheckedRule<Subject>[] = [
  attributeRule(
    "FH148",
    "role-superuser",
    "A tenant's role is superuser: no policy holds it.",
    ({ superuser }) => superuser,
    () => "SUPERUSER",
  ),
  attributeRule(
    "FH149",
    "role-bypasses",
    "A tenant's role has BYPASSRLS: no policy holds it.",
    ({ bypass, superuser }) => bypass && !superuser,
    () => "BYPASSRLS",
  ),
  {
    id: "FH150",
    name: "role-owns",
    severity: "error",
    means: "A tenant's role owns something: an owner can switch row security off, grant, and drop.",
    *find(subject) {
      for (const role of subject.applications) {
        const name = subject.roleName(role.id);
        for (const relation of subject.catalog.relations) {
          if (relation.owner !== role.id || relation.extension) continue;
          // what an owner could do with rows it still has to
          const rights = relation.kind === "S" ? [] : [`grant select, insert, update, delete on table ${relation.name} to ${name}`];
          const fix = [...giveAway(subject, `table ${relation.name}`), ...rights];
          yield { object: objectOf(relation), detail: `It belongs to ${name}.`, fix };
        }
        for (const schema of subject.catalog.schemas) {
          if (schema.owner !== role.id) continue;
          const fix = [...giveAway(subject, `schema ${schema.name}`), `grant usage on schema ${schema.name} to ${name}`];
          yield { object: `schema ${schema.name}`, detail: `It belongs to ${name}.`, fix };
        }
      }
    },
  },
  membershipRule(
    "FH151",
    "role-in-powerful-role",
    "A tenant's role is a member of an owner, a platform role or a role that bypasses row security: SET ROLE makes it that one.",
    (role) => !isPredefined(role),
  ),
  attributeRule(
    "FH152",
    "role-makes-roles",
    "A tenant's role may make roles or databases, or replicate: replication reads every row as it is written.",
    ({ createRole, createDatabase, replication, superuser }) => (createRole || createDatabase || replication) && !superuser,
    ({ createRole, createDatabase, replication }) =>
      [createRole && "CREATEROLE", createDatabase && "CREATEDB", replication && "REPLICATION"].filter(Boolean).join(" "),
  ),
  membershipRule(
    "FH153",
    "role-in-predefined-role",
    "A tenant's role is in a predefined role of the engine (pg_read_all_data, pg_signal_backend, pg_read_server_files and the like).",
    isPredefined,
  ),
  settingRule(
    "FH154",
    "row-security-set-off",
    "A connection begins with row_security off: what policies would hide is an error instead, and dumps and restores go round them.",
    ({ name, value }) => name === "row_security" && !ON.test(value),
  ),
  settingRule(
    "FH155",
    "tenant-set-by-default",
    "A connection begins with a tenant's setting already set: whoever forgets to name a tenant is that one.",
    ({ name, value }) => name.includes(".") && /tenant|org|account|customer/i.test(name) && value !== "",
  ),
  {
    id: "FH156",
    name: "search-path-writable",
    severity: "error",
    means: "The search path of a tenant's role goes through a schema that another role can put things in: its function is called instead.",
    *find(subject) {
      for (const { object, path } of searchPaths(subject)) {
        for (const part of path) {
          const schema = subject.catalog.schemas.find(({ plain }) => plain === part);
          const writers = schema ? strangers(subject, schema.id) : [];
          if (!schema || writers.length === 0) continue;
          yield {
            object,
            detail: `Its search path has ${schema.name}, in which ${writers.map((id) => subject.roleName(id)).join(", ")} may create.`,
            fix: writers.map((id) => `revoke create on schema ${schema.name} from ${subject.roleName(id)}`),
          };
        }
      }
    },
  },
];

/** The search paths that tenants' roles begin with, and whose they are: those that are set, and the engine's own where none is. */
function* searchPaths(subject: Subject): Iterable<{ readonly object: string; readonly path: readonly string[] }> {
  const settings = subject.catalog.settings.filter(({ name, role }) => name === "search_path" && isForApplication(subject, role));
  for (const { role, value } of settings) {
    const path = value.split(",").map((each) => each.trim().replaceAll(/^"|"$/g, ""));
    yield { object: settingObject(subject, role), path };
  }
  for (const { id } of subject.applications) {
    const isSet = settings.some(({ role }) => role === id || role === PUBLIC);
    if (!isSet) yield { object: settingObject(subject, id), path: ["public"] };
  }
}

/** Who may make things in a schema besides its owner, the platform and superusers. That tenants' roles may is a rule of its own. */
function strangers(subject: Subject, schema: Oid): readonly Oid[] {
  const grants = subject.grants("schema", schema).filter(({ privilege }) => privilege === "CREATE");
  return grants
    .map(({ grantee }) => grantee)
    .filter((id) => !subject.grantees.has(id) && !subject.platform.has(id) && !subject.isPowerful(id));
}
