import { parseTenantId } from "../../kernel/index.ts";
import type { Findings } from "./findings.ts";
import { copyOf } from "./references.ts";
import { lineOf, partOf } from "./place.ts";
import { isRecord, type SchemaCheck } from "./schema/compiler.ts";
import { createSchemaCheck } from "./schema/schema-check.ts";
import { PLAN_LINE, TENANT_LINE } from "./schemas/kinds.ts";
import type { PlanLine, TenantLine } from "./objects.ts";

/** Tenants and plans of a document, and the objects of the dialect that say the same. */
export interface CompiledLines {
  readonly tenants: ReadonlyMap<string, TenantLine>;
  readonly plans: ReadonlyMap<string, PlanLine>;
  readonly consumers: readonly Readonly<Record<string, unknown>>[];
  readonly consumerGroups: readonly Readonly<Record<string, unknown>>[];
}

/** Reads `tenants` and `plans`. A tenant becomes a consumer of its name that is bound to it, with its credentials; a plan a consumer group. */
export function readTenantLines(tenants: unknown, plans: unknown, findings: Findings): CompiledLines {
  const planLines = readLines<PlanLine>("plans", plans, PLAN_LINE, findings);
  const tenantLines = readLines<TenantLine>("tenants", tenants, TENANT_LINE, findings);
  for (const [id, { plan }] of tenantLines) {
    if (parseTenantId(id) === undefined) drop(tenantLines, id, findings, "is no tenant id");
    else if (plan !== undefined && !planLines.has(plan)) drop(tenantLines, id, findings, `there is no plan ${plan}`);
  }
  return {
    tenants: tenantLines,
    plans: planLines,
    consumers: [...tenantLines].flatMap(([id, line]) => toConsumers(id, line)),
    consumerGroups: [...planLines].map(([id, line]) => ({ id, plugins: line.plugins ?? {} })),
  };
}

function drop(lines: Map<string, unknown>, id: string, findings: Findings, text: string): void {
  findings.refuse(lineOf("tenants", id), text);
  lines.delete(id);
}

function readLines<Line>(name: string, value: unknown, schema: unknown, findings: Findings): Map<string, Line> {
  const lines = new Map<string, Line>();
  if (value === undefined || value === null) return lines;
  if (!isRecord(value)) {
    findings.refuse(partOf(name), "must be a mapping of names to settings");
    return lines;
  }
  const check: SchemaCheck = createSchemaCheck(schema, { emptyIsEither: true });
  for (const [id, given] of Object.entries(value)) {
    const line = copyOf(given ?? {}); // `acme:` alone is a tenant without settings
    const wrong = check(line);
    if (wrong === undefined) lines.set(id, line as Line); // the schema says the same as the type
    else findings.refuse(lineOf(name, id), `invalid configuration: ${wrong}`);
  }
  return lines;
}

/** The consumer and its credentials, in the form in which a list of consumers has them. */
function toConsumers(id: string, { plan, keys = [], jwt, plugins }: TenantLine): Record<string, unknown>[] {
  const consumer = {
    username: id,
    ...(plan !== undefined && { group_id: plan }),
    plugins: { ...plugins, "tenant-context": { ...(isRecord(plugins?.["tenant-context"]) && plugins["tenant-context"]), tenant_id: id } },
  };
  const credentials = keys.map((key, i) => ({ id: `${id}/credentials/key-${i + 1}`, plugins: { "key-auth": { key } } }));
  const token = jwt ? [{ id: `${id}/credentials/jwt`, plugins: { "jwt-auth": jwt } }] : [];
  return [consumer, ...credentials, ...token];
}
