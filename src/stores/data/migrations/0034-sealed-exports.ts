import { readRowsSql, tenantTablesSql } from "./0006-lifecycle.ts";
import type { Migration } from "./migration.ts";

/** An application's sealed column: the check that the platform made with it says so. */
const UNLESS_SEALED = `
        and not (k.space = to_regnamespace('freehold_app') and exists (select from pg_constraint s where s.conrelid = k.oid and s.contype = 'c'
          and s.convalidated and s.conname = 'sealed_' || b.attname))`;

/** Numbers that JSON's readers round, each as text. */
const EXACT = `(select coalesce(string_agg(%s, ', '), '') from pg_attribute n where n.attrelid = named::regclass and n.attnum > 0
      and not n.attisdropped and n.atttypid in ('bigint'::regtype, 'numeric'::regtype))`;
const EXACT_NAMES = EXACT.replace("%s", "quote_literal(n.attname)");
const EXACT_VALUES = EXACT.replace("%s", "format('x.%I::text', n.attname)");

/** Tables with sealed columns take part in exports and imports, and numbers of more than 53 bits leave as what they are. */
export const sealedExports: Migration = {
  version: 34,
  name: "sealed-exports",
  sql: () => `${tenantTablesSql("create or replace", UNLESS_SEALED)}
${readRowsSql("create or replace", {
  value: "(to_jsonb(x) || jsonb_object(array[%s]::text[], array[%s]::text[])) - %L",
  parts: `${EXACT_NAMES}, ${EXACT_VALUES}, t.keyed`,
})}`,
};
