import { type Outcome, PROOF_LAYERS, type ProofLayer } from "./attempt.ts";

/** What the JWS of a report says it is. */
export const PROOF_TYPE = "freehold-isolation-proof+json";

/** What was attacked, how often, and what came of it: the payload that is signed. */
export interface ProofReport {
  readonly iss: string;
  readonly product: string;
  readonly version: string;
  readonly url: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly tenants: { readonly attacker: string; readonly victim: string };
  /** The word that every value of the victim carried. */
  readonly canary: string;
  readonly attempts: readonly Outcome[];
  readonly totals: {
    readonly attempts: number;
    readonly held: number;
    readonly failed: number;
    readonly foreignBytes: number;
    readonly bytesRead: number;
  };
  /** What became of the two tenants. */
  readonly cleanup: readonly string[];
  /** What could not be attacked, and why. */
  readonly notes: readonly string[];
}

const VERDICTS = {
  held: "held",
  leaked: "bytes of the other tenant were in the answer",
  told: "the answer differs from that about something nobody has",
  answered: "the answer is none that keeps the promise",
  unanswered: "no whole answer came",
} as const;

/** Adds up. */
export function totalsOf(attempts: readonly Outcome[]): ProofReport["totals"] {
  const held = attempts.filter(({ verdict }) => verdict === "held").length;
  return {
    attempts: attempts.length,
    held,
    failed: attempts.length - held,
    foreignBytes: attempts.reduce((sum, { foreignBytes }) => sum + foreignBytes, 0),
    bytesRead: attempts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** The report for people, as an operator shows it to a customer. `signedBy` is the key's name, once its signature was made or checked. */
export function toProofText(report: ProofReport, signedBy: string, bold: (text: string) => string): string {
  const { tenants, totals } = report;
  const rows = PROOF_LAYERS.map((layer) => rowOf(layer, report.attempts));
  const failures = report.attempts.filter(({ verdict }) => verdict !== "held");
  return [
    bold("Proof of tenant isolation"),
    "",
    fact("Installation", `${report.url}  (${report.product} ${report.version})`),
    fact("Carried out", `${report.startedAt} to ${report.endedAt}`),
    fact("Attacker", `${tenants.attacker}, with every right that a tenant can have`),
    fact("Victim", `${tenants.victim}, every value of which carries the word`),
    fact("", report.canary),
    "",
    line("layer", "attempts", "held", "foreign bytes"),
    line("-".repeat(16), "-".repeat(8), "-".repeat(8), "-".repeat(13)),
    ...rows.map(({ layer, attempts, held, foreignBytes }) => line(layer, ...[attempts, held, foreignBytes].map(String))),
    line("-".repeat(16), "-".repeat(8), "-".repeat(8), "-".repeat(13)),
    bold(line("all", ...[totals.attempts, totals.held, totals.foreignBytes].map(String))),
    "",
    ...failures.flatMap(failureLines),
    bold(verdictOf(report)),
    "",
    ...report.cleanup.map((text) => fact("Afterwards", text)),
    ...report.notes.map((text) => fact("Note", text)),
    fact("Signed by", signedBy),
  ].join("\n");
}

function rowOf(
  layer: ProofLayer,
  attempts: readonly Outcome[],
): { readonly layer: string; attempts: number; held: number; foreignBytes: number } {
  const of = totalsOf(attempts.filter((each) => each.layer === layer));
  return { layer, attempts: of.attempts, held: of.held, foreignBytes: of.foreignBytes };
}

function failureLines({ layer, name, verdict, status, expected, foreignBytes }: Outcome): readonly string[] {
  const wanted = expected.length === 0 ? "" : `, expected ${expected.join(" or ")}`;
  const foreign = foreignBytes === 0 ? "" : `, ${foreignBytes} foreign bytes`;
  return [`FAILED  ${layer}: ${name}`, `        ${VERDICTS[verdict]} (status ${status}${wanted}${foreign})`, ""];
}

function verdictOf({ totals }: ProofReport): string {
  const read = `${totals.bytesRead.toLocaleString("en")} bytes were read`;
  return totals.failed === 0
    ? `Isolation held in all ${totals.attempts} attempts: ${read}, and none of them was the other tenant's.`
    : `Isolation did not hold in ${totals.failed} of ${totals.attempts} attempts: ${read}, ${totals.foreignBytes} of them the other tenant's.`;
}

function fact(name: string, value: string): string {
  return `${name.padEnd(14)}${value}`;
}

function line(layer: string, ...numbers: readonly string[]): string {
  const [attempts = "", held = "", foreign = ""] = numbers;
  return `${layer.padEnd(16)}  ${attempts.padStart(8)}  ${held.padStart(8)}  ${foreign.padStart(13)}`;
}
