import { fractionOf, type Random } from "../../kernel/index.ts";

const FIRST_MS = 200;
/** The longest pause between two attempts. */
export const BACKOFF_MS_MAX = 5 * 60 * 1000;

/**
 * The pause in milliseconds after so many attempts: anything from 0 to a ceiling that begins at 200 ms and doubles up to 5 minutes, so
 * that what failed together does not come back together ("full jitter").
 */
export function backoffMs(attempts: number, random: Random): number {
  const ceiling = Math.min(BACKOFF_MS_MAX, FIRST_MS * 2 ** (attempts - 1));
  return Math.floor(fractionOf(random) * (ceiling + 1));
}
