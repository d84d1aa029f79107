import type { Finding, Layer, LintReport, Rule } from "../rule.ts";

const SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/** The report as SARIF 2.1.0 (OASIS), which code hosts and editors read. Ignored findings are in it, suppressed with their reason. */
export function toSarif(
  report: LintReport,
  rules: readonly (Rule & { readonly layer: Layer })[],
  version: string,
): Record<string, unknown> {
  const indexOf = new Map(rules.map(({ id }, at) => [id, at]));
  const resultOf = (finding: Finding): Record<string, unknown> => ({
    ruleId: finding.rule.id,
    ruleIndex: indexOf.get(finding.rule.id) ?? -1,
    level: finding.rule.severity,
    message: { text: `${finding.object}: ${finding.rule.means} ${finding.detail}` },
    locations: [
      {
        physicalLocation: { artifactLocation: { uri: encodeURI(finding.file ?? finding.layer) } },
        logicalLocations: [{ fullyQualifiedName: finding.object, kind: "resource" }],
      },
    ],
    // the same fault in the next run is the same result
    partialFingerprints: { "freehold/v1": `${finding.rule.id} ${finding.object}` },
    properties: { layer: finding.layer, fix: finding.fix },
  });
  return {
    $schema: SCHEMA,
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "freehold lint",
            version,
            rules: rules.map(({ id, name, severity, means, layer }) => ({
              id,
              name,
              shortDescription: { text: means },
              defaultConfiguration: { level: severity },
              properties: { layer },
            })),
          },
        },
        invocations: [
          {
            executionSuccessful: true,
            toolExecutionNotifications: report.notes.map((text) => ({ level: "note", message: { text } })),
          },
        ],
        results: [
          ...report.findings.map(resultOf),
          ...report.ignored.map((finding) => ({
            ...resultOf(finding),
            suppressions: [{ kind: "external", status: "accepted", justification: finding.reason }],
          })),
        ],
      },
    ],
  };
}
