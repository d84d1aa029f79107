export type { Operator } from "./parties.ts";
export { type ProofPorts, proveIsolationOf } from "./prove.ts";
export { PROOF_TYPE, type ProofReport, toProofText } from "./report.ts";
