import type { Finding, LintReport } from "../rule.ts";

/** The report as a value for JSON: the same words as everywhere else. */
export function toPlain(report: LintReport): Record<string, unknown> {
  const plain = ({ rule, layer, file, object, detail, fix }: Finding): Record<string, unknown> => ({
    rule: rule.id,
    name: rule.name,
    severity: rule.severity,
    layer,
    ...(file !== undefined && { file }),
    object,
    means: rule.means,
    detail,
    fix,
  });
  return {
    findings: report.findings.map(plain),
    ignored: report.ignored.map((finding) => ({ ...plain(finding), reason: finding.reason })),
    notes: report.notes,
    looked: report.looked,
  };
}

/** The report for people: findings under their rule, then what was looked at and what could not be. */
export function toText(report: LintReport, bold: (text: string) => string): string {
  const lines: string[] = [];
  const byRule = Map.groupBy(report.findings, ({ rule }) => rule.id);
  for (const [id, found] of [...byRule].toSorted(([a], [b]) => a.localeCompare(b))) {
    const [first] = found;
    if (!first) continue;
    lines.push(`${bold(id)} ${first.rule.severity.padEnd(7)} ${first.rule.name}`, `  ${first.rule.means}`);
    for (const { object, detail, file } of found) lines.push(`    ${object}${file === undefined ? "" : ` (${file})`}: ${detail}`);
    lines.push("");
  }
  for (const text of report.looked) lines.push(`looked at  ${text}`);
  for (const text of report.notes) lines.push(`note       ${text}`);
  lines.push("", bold(verdict(report)));
  return lines.join("\n");
}

function verdict({ findings, ignored }: LintReport): string {
  const aside = ignored.length === 0 ? "" : `, ${ignored.length} ignored with a reason`;
  if (findings.length === 0) return `No way across a tenant's boundary was found${aside}.`;
  const count = (severity: string): number => findings.filter(({ rule }) => rule.severity === severity).length;
  return `${findings.length} ${findings.length === 1 ? "finding" : "findings"}: ${count("error")} errors, ${count("warning")} warnings, ${count("note")} notes${aside}.`;
}

/** What mends the findings: SQL to read and run by hand, in one transaction; for other layers comments that say what to change. */
export function toFixes(report: LintReport): string {
  const [database, others] = [
    report.findings.filter(({ layer }) => layer === "database"),
    report.findings.filter(({ layer }) => layer !== "database"),
  ];
  const lines = others.map(({ rule, object, file, fix }) => `-- ${rule.id} ${file ?? ""} ${object}: ${fix.join("; ")}`);
  if (database.length === 0) return lines.join("\n");
  const said = new Set<string>();
  const statements = database.flatMap(({ rule, object, fix }) => {
    const fresh = fix.filter((statement) => !said.has(statement));
    for (const statement of fresh) said.add(statement);
    return fresh.length === 0 ? [] : ["", `-- ${rule.id} ${rule.name}: ${object}`, ...fresh.map((statement) => `${statement};`)];
  });
  return [
    ...lines,
    "-- Nothing of this was run. Read it, and run it as the owner of the objects or as a superuser.",
    "begin;",
    ...statements,
    "",
    "commit;",
  ].join("\n");
}
