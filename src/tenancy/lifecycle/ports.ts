import type { Clock, Fault, Random, StoreLifecycle, Tenant } from "../../kernel/index.ts";
import type { DataStore } from "../../stores/data/index.ts";
import type { Audit } from "../audit/index.ts";
import type { SigningKey } from "../identity/index.ts";
import type { Registry } from "../registry/index.ts";
import type { RevocationJournal } from "./revocation-journal.ts";

/** What the life of tenants is built over. */
export interface LifecyclePorts {
  readonly data: DataStore;
  readonly registry: Registry;
  /**
   * Every store that keeps something of tenants. What they are exported and put back in is this order; erased they are in the opposite one,
   * but the keys (`vault`) first, so that what is still to go is unreadable, and the registry last.
   */
  readonly stores: readonly StoreLifecycle[];
  readonly audit: Pick<Audit, "record" | "flush">;
  readonly journal: RevocationJournal;
  readonly signingKey: SigningKey;
  /** Handles the events that waited for the tenant (by internal id) to be served again. */
  readonly unpark: (tenantUuid: string) => Promise<void>;
  /** Counts anew what is counted of a tenant: an archive's word is not taken for it. */
  readonly recount: (tenant: Tenant) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: (fault: Fault) => void;
  /** Where archives are kept: those that an erasure leaves, and those to be imported. */
  readonly folder: string;
  readonly program: string;
  /**
   * How long after the last refusal began something may still be written: the time in which every process has seen that the tenant is no
   * longer served, and the longest transaction.
   */
  readonly settleMs: number;
  /** Called where a step has had its effect (`erase:data`), and where that was noted (`erase:data:noted`). */
  readonly reached?: (point: string) => Promise<void> | void;
}
