import type { Random } from "../../../kernel/index.ts";
import type { VariableSource } from "../../routing/variable-source.ts";
import type { Node } from "../node.ts";

/** What a choice may depend on. */
export interface Choice {
  readonly source: VariableSource;
  readonly random: Random;
  /** Monotonic milliseconds. */
  readonly nowMs: number;
  /** Whether the node may be taken at all: not tried before in this request, and usable. */
  allows(node: Node): boolean;
}

/** Chooses among the nodes of one priority. Nodes of weight 0 are not among them. */
export interface Balancer {
  pick(choice: Choice): Node | undefined;
  /** The head of an answer came after `ms`. */
  answered?(node: Node, ms: number, nowMs: number): void;
}
