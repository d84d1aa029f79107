import type pg from "pg";
import type { ProtocolConnection } from "./prepared-query.ts";

/** What a client of node-postgres is doing, and its connection. */
export interface ClientState {
  readonly readyForQuery: boolean;
  /** False from the moment when the connection was lost: what it said last may still look as if it were ready. */
  readonly _queryable: boolean;
  readonly connection: ProtocolConnection & {
    readonly stream: { readonly destroyed: boolean; destroy(): void };
    once(event: string, listener: () => void): void;
    off(event: string, listener: () => void): void;
  };
  /** The server's process, as the greeting told it (BackendKeyData). */
  readonly processID: number | null;
  getTransactionStatus(): string | null;
}

/** The client as it is at this moment. */
export function stateOf(client: pg.ClientBase): ClientState {
  return client as unknown as ClientState; // public behaviour of node-postgres 8.23 that its types leave out
}
