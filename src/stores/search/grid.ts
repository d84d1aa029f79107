import { Fault } from "../../kernel/index.ts";

/**
 * Vectors are stored with whole numbers from -4096 to 4096: a unit vector times 4,063, rounded. Every product and every sum of two such
 * vectors then is a whole number of at most 2^24, which 32-bit floats hold exactly: in whatever order and on whatever engine it is added
 * up, the similarity is the same number. At 1,024 dimensions the rounding moves a similarity by about 0.0001.
 */
const STEPS = 4_063; // 4096 less half a step for each of at most 4,096 dimensions, and less one for the length not being exactly 1
const SQUARES_MAX = 2 ** 24;

/** A vector of whole numbers, as it is stored. */
export type GridVector = Int16Array;

/** The unit vector on the grid. Throws `upstream_invalid` when it is no unit vector of these dimensions. */
export function toGrid(vector: Float32Array, dimensions: number): GridVector {
  if (vector.length !== dimensions) throw new Fault("upstream_invalid", `a vector of ${vector.length} dimensions instead of ${dimensions}`);
  const grid = new Int16Array(dimensions);
  let squares = 0;
  for (let i = 0; i < dimensions; i++) {
    const steps = Math.round((vector[i] ?? 0) * STEPS);
    squares += steps ** 2;
    grid[i] = steps;
  }
  // also refuses what is not a number
  if (!(squares <= SQUARES_MAX)) throw new Fault("upstream_invalid", "a vector that is longer than 1");
  return grid;
}
