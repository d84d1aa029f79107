export { type Audit, type AuditEntry, type AuditEvent, createAudit } from "./audit.ts";
