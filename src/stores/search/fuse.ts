/** The k of reciprocal rank fusion: how little the very first places weigh more than the next (Cormack et al. 2009 use 60). */
const RANK_CONSTANT = 60;
const LISTS = 2;

/** A place in a list: what it is of, and what stands there. */
export interface Ranked<T> {
  readonly key: string;
  readonly value: T;
}

/**
 * Joins two lists, each best first and without repetition, by reciprocal rank fusion: 1 / (60 + rank) from each list that has the entry,
 * brought to the scale on which first in both lists is 1. Best first; equal scores keep the order of their keys.
 */
export function fuse<T>(lists: readonly [readonly Ranked<T>[], readonly Ranked<T>[]]): { readonly value: T; readonly score: number }[] {
  const sums = new Map<string, { value: T; sum: number }>();
  for (const list of lists) {
    list.forEach(({ key, value }, at) => {
      const sum = 1 / (RANK_CONSTANT + at + 1) + (sums.get(key)?.sum ?? 0);
      sums.set(key, { value, sum });
    });
  }
  const scored = [...sums].map(([key, { value, sum }]) => ({ key, value, score: round((sum * (RANK_CONSTANT + 1)) / LISTS) }));
  scored.sort((a, b) => b.score - a.score || (a.key < b.key ? -1 : 1));
  return scored.map(({ value, score }) => ({ value, score }));
}

function round(score: number): number {
  return Math.round(score * 1e6) / 1e6;
}
