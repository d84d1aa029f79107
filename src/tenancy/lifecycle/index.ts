export { type ErasureClaims, type PublicJwk, verifyCertificate } from "./certificate.ts";
export { createLifecycle, type EraseRequest, type ImportRequest, type Lifecycle } from "./lifecycle.ts";
export type { LifecyclePorts } from "./ports.ts";
export type { BroughtBack } from "./replay.ts";
export { createRevocationJournal, type RevocationJournal, type RevocationJournalPorts } from "./revocation-journal.ts";
export type { RequestedBy, Run } from "./run-store.ts";
export { writeWholeFile } from "./whole-file.ts";
