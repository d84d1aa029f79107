import type { Tenant } from "../../kernel/index.ts";

/**
 * Notes outside the database of what a backup from before must not bring back. Each call returns when the note is kept for good, and
 * throws `dependency_unavailable` when it cannot be: what was to be noted has then been done all the same, and can be asked for again.
 */
export interface RevocationNotes {
  keyRevoked(id: string): Promise<void>;
  suspended(tenant: Pick<Tenant, "id" | "uuid">): Promise<void>;
  resumed(tenant: Pick<Tenant, "id" | "uuid">): Promise<void>;
}
