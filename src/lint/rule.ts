/** How bad it is: a way across a boundary, a way that needs something else as well, or something to know. */
export type Severity = "error" | "warning" | "note";

/** The parts of an installation that are looked at. */
export const LAYERS = ["database", "gateway", "events", "vectors", "cache", "kubernetes"] as const;
export type Layer = (typeof LAYERS)[number];

/** One rule. Its id never changes and is never given to another. */
export interface Rule {
  readonly id: `FH${number}`;
  readonly name: string;
  readonly severity: Severity;
  /** What is wrong, and what it lets happen: one sentence. */
  readonly means: string;
}

/** One place where a rule is broken. */
export interface Found {
  /** What is at fault, as it is named where it stands: `table public.orders`. */
  readonly object: string;
  readonly detail: string;
  /** SQL statements that mend it, or for other layers what to change. */
  readonly fix: readonly string[];
}

/** A rule over one kind of subject. */
export interface CheckedRule<Subject> extends Rule {
  find(subject: Subject): Iterable<Found>;
}

/** A found place with its rule. */
export interface Finding extends Found {
  readonly rule: Rule;
  readonly layer: Layer;
  /** The file it was read from; the database has none. */
  readonly file?: string;
}

/** Everything that one run found. */
export interface LintReport {
  readonly findings: readonly Finding[];
  /** Findings that the manifest ignores, with its reasons. */
  readonly ignored: readonly (Finding & { readonly reason: string })[];
  /** What could not be seen or was guessed, and entries of the manifest that fit nothing any more. */
  readonly notes: readonly string[];
  /** What was looked at, in words. */
  readonly looked: readonly string[];
}

/** Applies rules to a subject. */
export function applyRules<Subject>(
  rules: readonly CheckedRule<Subject>[],
  subject: Subject,
  place: { readonly layer: Layer; readonly file?: string },
): Finding[] {
  return rules.flatMap((rule) => {
    const { id, name, severity, means } = rule;
    return [...rule.find(subject)].map((found) => ({ ...found, ...place, rule: { id, name, severity, means } }));
  });
}
