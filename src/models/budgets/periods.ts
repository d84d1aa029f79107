import type { BudgetPeriod } from "../settings/schema.ts";

const LENGTH_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** The period (UTC) in which this time is: when it began and when the next one does, in milliseconds since 1970. */
export function periodAt(per: BudgetPeriod, nowMs: number): { readonly startMs: number; readonly endMs: number } {
  if (per === "month") {
    const now = new Date(nowMs);
    const [year, month] = [now.getUTCFullYear(), now.getUTCMonth()];
    return { startMs: Date.UTC(year, month, 1), endMs: Date.UTC(year, month + 1, 1) };
  }
  const startMs = Math.floor(nowMs / LENGTH_MS[per]) * LENGTH_MS[per];
  return { startMs, endMs: startMs + LENGTH_MS[per] };
}
