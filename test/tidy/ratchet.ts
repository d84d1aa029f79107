import type { Finding } from "./source.ts";

/** What was there before its rule: key -> size. */
export type Ratchet = Readonly<Record<string, number>>;

/** Something with a size that a rule bounds. */
export interface Sized extends Finding {
  /** Its name in the ratchet. */
  readonly key: string;
  readonly size: number;
}

/**
 * What is larger than `max` and is not let pass by the ratchet. An entry of the ratchet lets pass exactly the size it names: when the
 * thing gets smaller its entry has to follow, so that it cannot grow back.
 */
export function checkRatchet(things: readonly Sized[], ratchet: Ratchet, max: number): Finding[] {
  const keys = new Set(things.map(({ key }) => key));
  const gone = Object.keys(ratchet).filter((key) => !keys.has(key));
  return [
    ...things.flatMap((sized) => {
      const message = problemOf(sized, ratchet[sized.key], max);
      return message === undefined ? [] : [{ path: sized.path, line: sized.line, message }];
    }),
    ...gone.map((key) => ({ path: key, line: 1, message: "is no longer there: take it out of test/tidy/house.ts" })),
  ];
}

function problemOf({ size, message }: Sized, known: number | undefined, max: number): string | undefined {
  if (known === undefined) return size > max ? message : undefined;
  if (size > known) return `${message} (it was ${known})`;
  if (size === known && size > max) return undefined;
  const entry = size > max ? `set it to ${size}` : "take it out";
  return `is better than its entry in test/tidy/house.ts, which says ${known}: ${entry}`;
}
