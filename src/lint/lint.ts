import type { DatabaseAddress } from "../stores/data/index.ts";
import { DATABASE_RULES, lintDatabase } from "./database/lint-database.ts";
import { CACHE_RULES, EVENT_RULES, VECTOR_RULES } from "./layers/declared.ts";
import { GATEWAY_RULES, GatewaySubject } from "./layers/gateway.ts";
import { KUBERNETES_RULES, KubernetesSubject } from "./layers/kubernetes.ts";
import { isNamed, type Manifest } from "./manifest.ts";
import { applyRules, type CheckedRule, type Finding, type Layer, type LintReport, type Rule } from "./rule.ts";

/** What is to be looked at. What is left out is not, and the report does not speak of it. */
export interface LintInput {
  readonly database?: DatabaseAddress;
  readonly manifest?: { readonly file: string; readonly value: Manifest };
  /** Columns (`schema.table.column`) that an application's tables mark as sealed. */
  readonly sealed?: readonly string[];
  readonly gateways: readonly { readonly file: string; readonly value: Readonly<Record<string, unknown>> }[];
  readonly kubernetes: readonly { readonly file: string; readonly value: readonly Readonly<Record<string, unknown>>[] }[];
}

/** Every rule there is with its layer, by id: what the documentation and SARIF list. */
export const ALL_RULES: readonly (Rule & { readonly layer: Layer })[] = [
  ...named("database", DATABASE_RULES),
  ...named("gateway", GATEWAY_RULES),
  ...named("events", EVENT_RULES),
  ...named("vectors", VECTOR_RULES),
  ...named("cache", CACHE_RULES),
  ...named("kubernetes", KUBERNETES_RULES),
];

function named<Subject>(layer: Layer, rules: readonly CheckedRule<Subject>[]): readonly (Rule & { readonly layer: Layer })[] {
  return rules.map(({ id, name, severity, means }) => ({ id, name, severity, means, layer }));
}

/** Looks at everything that is given, changes nothing, and reports every way across a tenant's boundary that a rule knows. */
export async function lint(input: LintInput): Promise<LintReport> {
  const found: Finding[] = [];
  const notes: string[] = [];
  const looked: string[] = [];
  if (input.database) {
    const database = await lintDatabase(input.database, input.manifest?.value, input.sealed ?? []);
    found.push(...database.findings);
    notes.push(...database.notes);
    looked.push(database.looked);
  }
  if (input.manifest) {
    const { file, value } = input.manifest;
    const lists = [
      ["events", value.events.length],
      ["vectors", value.vectors.length],
      ["cache", value.cache.length],
    ] as const;
    found.push(...applyRules(EVENT_RULES, value.events, { layer: "events", file }));
    found.push(...applyRules(VECTOR_RULES, value.vectors, { layer: "vectors", file }));
    found.push(...applyRules(CACHE_RULES, value.cache, { layer: "cache", file }));
    for (const [layer, entries] of lists) if (entries > 0) looked.push(`${layer}: ${entries} declared in ${file}`);
  }
  for (const { file, value } of input.gateways) {
    const subject = new GatewaySubject(value);
    found.push(...applyRules(GATEWAY_RULES, subject, { layer: "gateway", file }));
    looked.push(`gateway document ${file}: ${subject.places.length} places with plugins`);
  }
  for (const { file, value } of input.kubernetes) {
    const subject = new KubernetesSubject(value);
    found.push(...applyRules(KUBERNETES_RULES, subject, { layer: "kubernetes", file }));
    looked.push(`Kubernetes documents ${file}: ${subject.objects.length} objects, ${subject.namespaces.length} namespaces`);
  }
  const sifted = sift(found, input.manifest?.value);
  return { ...sifted, notes: [...notes, ...staleEntries(sifted.ignored, input.manifest?.value)], looked };
}

/** Puts aside what the manifest ignores. */
function sift(found: readonly Finding[], manifest: Manifest | undefined): Pick<LintReport, "findings" | "ignored"> {
  const findings: Finding[] = [];
  const ignored: (Finding & { readonly reason: string })[] = [];
  for (const finding of found) {
    const entry = manifest?.ignore.find(({ rule, object }) => rule === finding.rule.id && isNamed([object], finding.object));
    if (entry) ignored.push({ ...finding, reason: entry.reason });
    else findings.push(finding);
  }
  return { findings, ignored };
}

/** An entry that fits nothing must not stay when its reason has gone: it would hide the next fault there. */
function staleEntries(ignored: LintReport["ignored"], manifest: Manifest | undefined): readonly string[] {
  const entries = manifest?.ignore ?? [];
  return entries
    .filter(({ rule, object }) => !ignored.some((finding) => finding.rule.id === rule && isNamed([object], finding.object)))
    .map(({ rule, object }) => `The manifest ignores ${rule} of ${object}, which is not found: take the entry out.`);
}
