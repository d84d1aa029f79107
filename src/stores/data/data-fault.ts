import pg from "pg";
import { Fault, type FaultCode } from "../../kernel/index.ts";
import { MOVED_STATE } from "./tenant-context.ts";

/** SQLSTATE (or its class) to what the caller is told. Texts of the engine stay in the log: they can hold other people's values. */
const BY_STATE: Readonly<Record<string, FaultCode>> = {
  "23505": "conflict", // unique_violation
  "23503": "conflict", // foreign_key_violation
  "42501": "forbidden", // insufficient_privilege, also a row outside the tenant
  [MOVED_STATE]: "tenant_moving",
  "53100": "storage_full", // disk_full
  "25P03": "overloaded", // idle_in_transaction_session_timeout
  "55P03": "overloaded", // lock_not_available
  "57014": "overloaded", // query_canceled: the statement's time limit
  "08": "dependency_unavailable",
  "40": "overloaded", // lost a race more often than it was run again
  "53": "overloaded", // insufficient resources
  "57": "dependency_unavailable", // shutdown
  "58": "dependency_unavailable", // system error
};

/** The constraint of every table in a schema of one tenant that holds its rows to this tenant. */
export const TENANT_CONSTRAINT = "tenant_only";

const RETRY_STATES: ReadonlySet<string> = new Set(["40001", "40P01"]);

/** The SQLSTATE of an error of the engine, or of a Fault made from one; undefined for any other (`EPIPE` only looks like one). */
export function sqlState(error: unknown): string | undefined {
  if (error instanceof Fault) return sqlState(error.cause);
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/**
 * The tenant could not be entered, so nothing was done. The connection carries something that it should not (with a server on which
 * set_config is open, whoever can write SQL can leave a setting behind): it is ended, and the work is done on another one.
 */
export class NotEntered extends Error {
  override readonly name = "NotEntered";
}

/** Whether the transaction lost a race and can simply be run again. */
export function isRetryable(error: unknown): boolean {
  return wasNotEntered(error) || RETRY_STATES.has(sqlState(error) ?? "");
}

/** Whether the statement came to a home that its tenant has left. Nothing of it happened. */
export function hasLeftHome(error: unknown): boolean {
  return error instanceof Fault && error.code === "tenant_moving";
}

/** Whether this comes from a tenant that could not be entered although the engine answers. */
export function wasNotEntered(error: unknown): boolean {
  return error instanceof Fault && error.code === "internal" && error.cause instanceof NotEntered;
}

/** Any error of the engine or its connection as a Fault. */
export function toDataFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (error instanceof NotEntered) {
    const fault = toDataFault(error.cause);
    if (hasLeftHome(fault)) return fault;
    return new Fault(fault.code === "forbidden" ? "internal" : fault.code, `no tenant entered: ${fault.message}`, { cause: error });
  }
  const state = sqlState(error);
  const message = error instanceof Error ? error.message : String(error);
  if (isForeignRow(error)) return new Fault("forbidden", `database: ${message}`, { cause: error });
  if (state !== undefined) {
    const code = BY_STATE[state] ?? BY_STATE[state.slice(0, 2)] ?? "internal";
    return new Fault(code, `database: ${state} ${message}`, { cause: error });
  }
  if (error instanceof Error && "errno" in error) return unavailable(error, message); // a socket error
  if (/connection|timeout exceeded|Client (?:was closed|has encountered)/i.test(message)) return unavailable(error, message);
  return new Fault("internal", `database: ${message}`, { cause: error });
}

/** A row of another tenant in a schema of one tenant: there it is a constraint that refuses it, which elsewhere is a policy. */
function isForeignRow(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === "23514" && error.constraint === TENANT_CONSTRAINT;
}

function unavailable(cause: unknown, message: string): Fault {
  return new Fault("dependency_unavailable", `database: ${message}`, { cause, public: { retryAfterMs: 1000 } });
}
