/** One line of figures. `name` says what was measured; the other names say what and in which unit. */
export type Row = Record<string, string | number>;

/** What holds for a whole run. */
export interface BenchOptions {
  /** Fewer and shorter rounds: shows that a bench works, its figures are rough. */
  readonly quick: boolean;
}

/** Something that can be measured. */
export interface Bench {
  readonly name: string;
  /** Measures and gives the figures. Every process it started has ended and every folder is removed, also when it throws. */
  run(options: BenchOptions): Promise<readonly Row[]>;
}

/** A figure with as many digits as it is worth. */
export function rounded(value: number): number {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return Number(value.toFixed(digits));
}
