import type { LiteralRequest } from "../wire/index.ts";

/** The parts of an installation that are attacked, in the order of the report. */
export const PROOF_LAYERS = [
  "credentials",
  "carriers",
  "header folding",
  "paths",
  "body fields",
  "users",
  "documents",
  "search",
  "sessions",
  "chat",
  "sockets",
  "events",
  "keys",
  "cursors and ids",
  "gateway routes",
  "platform",
  "limits",
  "integrity",
  "lifecycle",
] as const;
export type ProofLayer = (typeof PROOF_LAYERS)[number];

/** One try at reaching something of the other tenant. */
export interface Attempt {
  readonly layer: ProofLayer;
  /** What is tried, for people. Names of ids stand for the ids, so that two reports can be compared. */
  readonly name: string;
  readonly request: LiteralRequest;
  /** The statuses that keep the promise; without it any does, as long as nothing foreign is in the answer. */
  readonly expect?: readonly number[];
  /** The same about something that nobody has: both answers must be the same, byte for byte. */
  readonly twin?: LiteralRequest;
}

/**
 * How it went. `leaked`: bytes of the other tenant were in the answer. `told`: the answer differs from that about something nobody has.
 * `answered`: the status is none that keeps the promise. `unanswered`: no whole answer came.
 */
export type Verdict = "held" | "leaked" | "told" | "answered" | "unanswered";

/** One attempt with what came of it. */
export interface Outcome {
  readonly layer: ProofLayer;
  readonly name: string;
  readonly verdict: Verdict;
  /** 0 where no answer came. */
  readonly status: number;
  readonly expected: readonly number[];
  readonly bytes: number;
  readonly foreignBytes: number;
}
