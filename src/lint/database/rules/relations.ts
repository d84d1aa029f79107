import type { CheckedRule } from "../../rule.ts";
import { PUBLIC } from "../catalog.ts";
import { holders, objectOf, revoke } from "../sql-text.ts";
import type { Subject } from "../subject.ts";

/** A rule about relations of one kind that a tenant's role reaches. */
function kindRule(id: CheckedRule<Subject>["id"], name: string, kind: "m" | "f", means: string): CheckedRule<Subject> {
  return {
    id,
    name,
    severity: "error",
    means,
    *find(subject) {
      for (const relation of subject.catalog.relations) {
        const grants = relation.kind === kind && !relation.extension ? subject.reach(relation) : [];
        if (grants.length === 0) continue;
        const detail = `${holders(subject, grants)} can reach it, and no policy can be made for it.`;
        yield { object: objectOf(relation), detail, fix: revoke(subject, `table ${relation.name}`, grants) };
      }
    },
  };
}

/** Rules about what stands beside tables, and about the server. */
export const RELATION_RULES: readonly CheckedRule<Subject>[] = [
  kindRule("FH124", "foreign-table-reachable", "f", "A tenant's role reaches a foreign table, which row security cannot cover."),
  kindRule("FH125", "materialized-view-reachable", "m", "A tenant's role reaches a materialised view: the rows of whoever refreshed it."),
  {
    id: "FH126",
    name: "view-not-invoker",
    severity: "error",
    means: "A view reads tenants' rows as its owner: whoever may read the view is not held to the policies underneath.",
    *find(subject) {
      for (const view of subject.catalog.relations) {
        if (view.kind !== "v" || view.invoker || view.extension) continue;
        const grants = subject.reach(view);
        if (grants.length === 0 || !subject.readsOthers(view.id)) continue;
        yield {
          object: objectOf(view),
          detail: `${holders(subject, grants)} can reach it, and it reads as ${subject.roleName(view.owner)}.`,
          fix: [`alter view ${view.name} set (security_invoker = true)`],
        };
      }
    },
  },
  {
    id: "FH127",
    name: "rule-on-tenant-table",
    severity: "error",
    means: "A rewrite rule on a tenant table: what it adds runs with the rights of the table's owner.",
    *find(subject) {
      for (const { relation, name } of subject.catalog.rewrites) {
        const table = subject.relation(relation);
        if (!table || subject.kindOf(table) !== "tenant") continue;
        yield {
          object: `rule ${name} on ${table.name}`,
          detail: "A trigger says the same and runs as the caller.",
          fix: [`drop rule ${name} on ${table.name}`],
        };
      }
    },
  },
  {
    id: "FH145",
    name: "foreign-server-usable",
    severity: "error",
    means: "A tenant's role may use a foreign server: it can map itself to a user there and read what that one may.",
    *find(subject) {
      for (const server of subject.catalog.servers) {
        const grants = subject.granted("server", server.id, ["USAGE"]);
        if (grants.length === 0) continue;
        const fix = revoke(subject, `foreign server ${server.name}`, grants);
        yield { object: `foreign server ${server.name}`, detail: `${holders(subject, grants)} may use it.`, fix };
      }
    },
  },
  {
    id: "FH157",
    name: "event-trigger",
    severity: "warning",
    means: "An event trigger runs its function inside every change of the schema, with the rights of whoever makes it.",
    *find(subject) {
      for (const { name } of subject.catalog.eventTriggers)
        yield { object: `event trigger ${name}`, detail: "It is enabled.", fix: [`alter event trigger ${name} disable`] };
    },
  },
  {
    id: "FH159",
    name: "publication-unfiltered",
    severity: "error",
    means: "A publication sends out a tenant table without a row filter: whoever subscribes gets the rows of all tenants.",
    *find(subject) {
      for (const publication of subject.catalog.publications) {
        const sent = subject.tenantTables.filter(
          ({ id, schema }) =>
            publication.all ||
            publication.schemas.includes(schema) ||
            publication.tables.some(({ relation, filtered }) => relation === id && !filtered),
        );
        if (sent.length === 0) continue;
        const drops = publication.all
          ? [`drop publication ${publication.name}`]
          : [
              ...sent
                .filter(({ id }) => publication.tables.some(({ relation }) => relation === id))
                .map(({ name }) => `alter publication ${publication.name} drop table ${name}`),
              ...subject.catalog.schemas
                .filter(({ id }) => publication.schemas.includes(id) && sent.some(({ schema }) => schema === id))
                .map(({ name }) => `alter publication ${publication.name} drop tables in schema ${name}`),
            ];
        yield { object: `publication ${publication.name}`, detail: `It sends ${sent.map(({ name }) => name).join(", ")}.`, fix: drops };
      }
    },
  },
  {
    id: "FH160",
    name: "row-estimates-readable",
    severity: "note",
    means: "A tenant's role can read how many rows tables have: with few tenants, that is how many the other has.",
    *find(subject) {
      const readers = subject.catalog.estimateReaders.filter((id) => subject.grantees.has(id));
      if (readers.length === 0) return;
      yield {
        object: "table pg_catalog.pg_class",
        detail: `${readers.map((id) => (id === PUBLIC ? "PUBLIC" : subject.roleName(id))).join(", ")} can read reltuples and relpages.`,
        fix: [CLOSE_ESTIMATES],
      };
    },
  },
  {
    id: "FH161",
    name: "statistics-over-tenants",
    severity: "note",
    means:
      "Extended statistics of a tenant table are over all tenants: the plan that EXPLAIN shows tells how the others' values go together.",
    *find(subject) {
      for (const { name, relation } of subject.catalog.statistics) {
        const table = subject.relation(relation);
        if (!table || subject.kindOf(table) !== "tenant") continue;
        yield { object: `statistics ${name}`, detail: `They are of ${table.name}.`, fix: [`drop statistics ${name}`] };
      }
    },
  },
  {
    id: "FH170",
    name: "large-objects-present",
    severity: "warning",
    means: "The database holds large objects: they belong to no tenant, so no erase and no export takes them along.",
    *find(subject) {
      const { largeObjects, database } = subject.catalog;
      if (largeObjects === 0) return;
      yield {
        object: `database ${database.name}`,
        detail: `There are ${largeObjects}. Move them into a table of tenants first.`,
        fix: ["select lo_unlink(oid) from pg_catalog.pg_largeobject_metadata"],
      };
    },
  },
  {
    id: "FH171",
    name: "statements-readable",
    severity: "error",
    means:
      "A tenant's role can read the statements that were run under it (pg_stat_statements): those of all tenants, with what stood in them.",
    *find(subject) {
      for (const view of subject.catalog.relations) {
        const grants = view.extension && view.plain.endsWith(".pg_stat_statements") ? subject.reach(view) : [];
        if (grants.length === 0) continue;
        const routines = subject.catalog.routines.filter(({ extension, plain }) => extension && plain.endsWith(".pg_stat_statements"));
        yield {
          object: objectOf(view),
          detail: `${holders(subject, grants)} can read it.`,
          fix: [
            ...revoke(subject, `table ${view.name}`, grants),
            ...routines.flatMap((routine) => revoke(subject, `routine ${routine.name}`, subject.calls(routine))),
          ],
        };
      }
    },
  },
];

/** Everything of pg_class but the estimates stays readable: tools need it. */
const CLOSE_ESTIMATES = `do $$ declare shown text; begin
  select string_agg(quote_ident(attname), ', ') into shown from pg_catalog.pg_attribute where attrelid = 'pg_catalog.pg_class'::regclass
    and not attisdropped and attname not in ('reltuples', 'relpages', 'relallvisible', 'relallfrozen');
  revoke select on pg_catalog.pg_class from public;
  execute 'grant select (' || shown || ') on pg_catalog.pg_class to public';
end $$`;
