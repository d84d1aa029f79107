/** Turns texts into vectors whose closeness stands for the likeness of the texts. */
export interface Embedder {
  /** Kept with each point: vectors are compared only among those of one name. It changes whenever the vectors would. */
  readonly name: string;
  readonly dimensions: number;
  /**
   * One vector per text, in the order of the texts: of unit length, or all zeros where a text has nothing to go by.
   * What a text gives depends on that text alone. Throws `upstream_invalid`, `upstream_unreachable`, `upstream_timeout`, or the signal's reason.
   */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<readonly Float32Array[]>;
}

/** The most dimensions a vector may have. */
export const DIMENSIONS_MAX = 4_096;

/** The vector brought to unit length; all zeros stay all zeros. */
export function toUnitLength(values: ArrayLike<number>): Float32Array {
  const unit = new Float32Array(values.length);
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i] ?? 0));
  if (largest === 0) return unit;
  // divided by the largest first: the square of a very large or small number would leave the doubles
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += ((values[i] ?? 0) / largest) ** 2;
  const length = Math.sqrt(squares);
  for (let i = 0; i < values.length; i++) unit[i] = (values[i] ?? 0) / largest / length;
  return unit;
}
