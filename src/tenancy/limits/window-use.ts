import type { WindowDecision, WindowLimit } from "./limits.ts";

/** What was used of a window and of the one before it. Counts for both kinds, so that a limit may change its kind. */
export interface WindowUse {
  /** Monotonic milliseconds. */
  startMs: number;
  used: number;
  before: number;
}

/** How long and how many; what both kinds of counting need to know. */
export type WindowShape = Pick<WindowLimit, "count" | "windowMs" | "kind">;

/** In requests. Sums of fractions drift by far less. */
const ROUNDING = 1e-9;

/** Goes on to the window of this time. A fixed one begins with its first hit, sliding ones follow each other without a gap. */
export function turnWindow(use: WindowUse, { kind, windowMs }: WindowShape, nowMs: number): void {
  const elapsedMs = nowMs - use.startMs;
  if (elapsedMs < windowMs) return;
  const next = kind === "sliding" && elapsedMs < 2 * windowMs;
  use.before = next ? use.used : 0;
  use.used = 0;
  use.startMs = next ? use.startMs + windowMs : nowMs;
}

/** What is in view of the window and, for a sliding one, of the one before it. */
function inView(use: WindowUse, { kind, windowMs }: WindowShape, nowMs: number): number {
  if (kind === "fixed") return use.used;
  return use.used + use.before * (1 - (nowMs - use.startMs) / windowMs);
}

/** Whole units that could be taken now; never negative, also when the limit was lowered under what is used. */
export function unitsLeft(use: WindowUse, shape: WindowShape, nowMs: number): number {
  return Math.max(0, Math.floor(shape.count - inView(use, shape, nowMs) + ROUNDING));
}

/** Milliseconds until the window ends (fixed), or until one more unit could be taken (sliding; 0 when one could be now). */
export function resetMsOf(use: WindowUse, { count, kind, windowMs }: WindowShape, nowMs: number): number {
  const elapsedMs = nowMs - use.startMs;
  if (kind === "fixed") return windowMs - elapsedMs;
  if (use.used + 1 <= count) {
    const room = count - use.used - 1;
    return use.before <= room ? 0 : Math.max(0, windowMs * (1 - room / use.before) - elapsedMs);
  }
  // not in this window any more: the next one sees it as the one before
  return windowMs - elapsedMs + (use.used < count ? 0 : windowMs * (1 - Math.max(0, count - 1) / use.used));
}

/** Takes `cost` units if there are so many. What is refused is not counted. */
export function spend(use: WindowUse, shape: WindowShape, cost: number, nowMs: number): WindowDecision {
  turnWindow(use, shape, nowMs);
  const allow = inView(use, shape, nowMs) + cost <= shape.count + ROUNDING;
  if (allow) use.used += cost;
  return { allow, remaining: unitsLeft(use, shape, nowMs), resetMs: resetMsOf(use, shape, nowMs) };
}
