export { ALL_RULES, lint, type LintInput } from "./lint.ts";
export { type Manifest, parseManifest } from "./manifest.ts";
export { toFixes, toPlain, toText } from "./report/plain.ts";
export { toSarif } from "./report/sarif.ts";
export type { Finding, LintReport, Rule } from "./rule.ts";
