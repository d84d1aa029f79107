import type { Clock } from "../kernel/index.ts";
import type { CacheKey, TenantCache } from "../stores/cache/index.ts";
import type { Question } from "./similar-question.ts";

/** Questions that are compared with one; the newest are kept. */
const QUESTIONS_MAX = 128;
const DIMENSIONS_MAX = 4_096;
/** A number of a vector is kept in a byte: that moves a likeness by less than a thousandth. */
const LARGEST = 127;

/** One question that has an answer, as it is kept: the digest that the answer is kept under, and what the question means. */
type Entry = Readonly<Record<"digest" | "vector", string> & Record<"untilMs", number>>;

/** What is compared with what. */
export interface SimilarPlace {
  readonly cache: TenantCache;
  readonly clock: Clock;
  /** Besides the question's rest: what must be the same as well. */
  readonly name: readonly string[];
  readonly question: Question;
  /** What the question means, as the tenant's model of embeddings says. */
  readonly vector: readonly number[];
  /** How like two questions are at least, at most 1 (cosine). */
  readonly threshold: number;
}

/**
 * The questions of a tenant that have an answer and differ from this one in their text alone, with what each of them means. They are one value of
 * the tenant's own cache, named by everything that has to be the same: what differs in any of it, or is another tenant's, is not there to be compared.
 */
export class SimilarAnswers {
  readonly #place: SimilarPlace;
  readonly #key: CacheKey;
  readonly #vector: Int8Array;

  constructor(place: SimilarPlace) {
    this.#place = place;
    this.#key = ["model-similar", ...place.name, place.question.rest];
    this.#vector = toBytes(place.vector);
  }

  /** Digests of answers to questions like this one, the likest first. */
  async digests(): Promise<readonly string[]> {
    const { threshold } = this.#place;
    return (await this.#entries())
      .map(({ digest, vector }) => ({ digest, likeness: cosine(this.#vector, fromText(vector)) }))
      .filter(({ likeness }) => likeness >= threshold)
      .toSorted((one, other) => other.likeness - one.likeness)
      .map(({ digest }) => digest);
  }

  /** The question has got an answer, which is kept for so long. Of two that are added at the same time one can be forgotten. */
  async add(digest: string, ttlMs: number): Promise<void> {
    const { cache, clock } = this.#place;
    const vector = Buffer.from(this.#vector.buffer).toString("base64");
    const others = (await this.#entries()).filter((entry) => entry.digest !== digest && entry.untilMs > clock.now());
    const entries = [...others.slice(1 - QUESTIONS_MAX), { digest, vector, untilMs: clock.now() + ttlMs }];
    await cache.set(this.#key, entries, ttlMs);
  }

  async #entries(): Promise<readonly Entry[]> {
    const kept = await this.#place.cache.get(this.#key);
    return Array.isArray(kept) ? (kept as Entry[]) : []; // sealed by us, from entries
  }
}

/** Whether these numbers can be compared with others. */
export function isVector(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= DIMENSIONS_MAX &&
    value.every((each) => Number.isFinite(each)) &&
    value.some((each) => each !== 0)
  );
}

function toBytes(vector: readonly number[]): Int8Array {
  const largest = vector.reduce((max, each) => Math.max(max, Math.abs(each)), 0);
  return Int8Array.from(vector, (each) => Math.round((each / largest) * LARGEST));
}

function fromText(text: string): Int8Array {
  return new Int8Array(Buffer.from(text, "base64"));
}

/** -1 for vectors of different lengths, which another model has made. */
function cosine(one: Int8Array, other: Int8Array): number {
  if (one.length !== other.length) return -1;
  let [product, ofOne, ofOther] = [0, 0, 0];
  for (let at = 0; at < one.length; at++) {
    const [left, right] = [one[at] ?? 0, other[at] ?? 0];
    product += left * right;
    ofOne += left * left;
    ofOther += right * right;
  }
  return product / Math.sqrt(ofOne * ofOther);
}
