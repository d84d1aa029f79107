import type { HomeModel } from "../home.ts";
import type { Checksum } from "./copy-tables.ts";

/** What a move has done so far. Up to `fenced` it can be taken back at any time; from `switched` on the new home is the tenant's. */
export const MOVE_STEPS = [
  "begun",
  "built",
  "logging",
  "copied",
  "caught-up",
  "verified",
  "fenced",
  "applied",
  "closing",
  "refused",
  "switched",
] as const;
export type MoveStep = (typeof MOVE_STEPS)[number];

/** What a move may be told. */
export interface MoveOptions {
  /** Called after each step has been done. */
  readonly onStep?: (step: MoveStep) => Promise<void> | void;
}

/** What a move did. */
export interface MoveReport {
  readonly source: HomeModel;
  readonly target: HomeModel;
  /** Rows and checksum of each table, which were the same in both homes. */
  readonly tables: readonly ({ readonly table: string } & Checksum)[];
  /** Changes that were made while the rows were being copied, and that came after them. */
  readonly changes: number;
  /** For how long writes of the tenant waited. */
  readonly fenceMs: number;
  readonly elapsedMs: number;
}

/** A move that is under way, or whose old home is still kept. */
export interface MoveState {
  readonly tenant: string;
  readonly source: HomeModel;
  readonly target: HomeModel;
  readonly step: string;
  readonly startedAt: Date;
  readonly switchedAt: Date | null;
}
