import type { Json, TenantContext } from "../../kernel/index.ts";
import type { Citation } from "../message.ts";

/** What the agent's model is told of a tool. */
export interface ToolOffer {
  /** Unique among the tools of one answer: letters, digits, underscores and hyphens. */
  readonly name: string;
  readonly description: string;
  /** A JSON schema of an object. */
  readonly parameters: Json;
}

/** What a tool has given. */
export interface ToolResult {
  /** Whether the tool itself says that it has failed. */
  readonly failed: boolean;
  readonly text: string;
  /** Places in the tenant's documents that it has found. */
  readonly citations: readonly Citation[];
}

/** Something that the agent's model may have done. */
export interface Tool {
  readonly offer: ToolOffer;
  /** Where it is and what it is called there, for the audit trail. */
  readonly server: string;
  readonly tool: string;
  /** Throws a fault when there is no result. */
  run(input: { readonly [name: string]: Json }): Promise<ToolResult>;
}

/** How one call of a tool ended; `refused` where it was not made, `failed` where the tool says so, otherwise a code of the error table. */
export interface ToolCallNote {
  readonly context: TenantContext;
  readonly server: string;
  readonly tool: string;
  readonly outcome: string;
  readonly bytes: number;
}

/** Counts and writes down the calls of tools, and servers that have none to give at the moment. */
export type NoteToolCall = (note: ToolCallNote) => void;
