import type { VariableSource } from "./variable-source.ts";

/** A condition that a variable has exactly this value, as part of a longer one. */
export interface Equality {
  readonly variable: string;
  readonly value: string;
}

/** Something to be tried at its turn. */
export interface Candidate<T> {
  readonly value: T;
  /** Higher goes first. */
  readonly priority: number;
  /** Decides among equal priorities: higher says more. */
  readonly weight: number;
  /** Decides then: lower came first. */
  readonly order: number;
  /** Without these it need not be tried. */
  readonly equalities: readonly Equality[];
}

/** Shorter lists are gone through as they are. */
const INDEXED_FROM = 16;

/**
 * Candidates in the order in which they are tried. Where many of them ask for different values of one variable (a route for each tenant under
 * one path), only those that ask for the request's value are looked at, so that the work does not grow with their number.
 */
export class Candidates<T> {
  #sorted: Candidate<T>[] = [];
  #ready = true;
  #variable: string | undefined;
  readonly #byValue = new Map<string, Candidate<T>[]>();
  #others: Candidate<T>[] = [];

  get isEmpty(): boolean {
    return this.#sorted.length === 0;
  }

  add(candidate: Candidate<T>): void {
    this.#sorted.push(candidate);
    this.#ready = false;
  }

  /** The first one that is taken. */
  find(take: (value: T) => boolean, source: VariableSource): T | undefined {
    if (!this.#ready) this.#prepare();
    if (this.#variable === undefined) return first(this.#sorted, take);
    const value = source.variable(this.#variable);
    const asking = value === undefined ? undefined : this.#byValue.get(String(value));
    return asking ? firstOfBoth(asking, this.#others, take) : first(this.#others, take);
  }

  #prepare(): void {
    this.#sorted.sort(compare);
    this.#ready = true;
    this.#byValue.clear();
    this.#variable = this.#sorted.length < INDEXED_FROM ? undefined : mostAsked(this.#sorted);
    const variable = this.#variable;
    if (variable === undefined) return;
    this.#others = [];
    for (const candidate of this.#sorted) {
      const equality = candidate.equalities.find((each) => each.variable === variable);
      if (!equality) this.#others.push(candidate);
      else if (!this.#byValue.get(equality.value)?.push(candidate)) this.#byValue.set(equality.value, [candidate]);
    }
  }
}

function compare<T>(a: Candidate<T>, b: Candidate<T>): number {
  return b.priority - a.priority || b.weight - a.weight || a.order - b.order;
}

/** The variable that most of them ask about, if at least half do. */
function mostAsked(candidates: readonly Candidate<unknown>[]): string | undefined {
  const counts = new Map<string, number>();
  for (const { equalities } of candidates) {
    for (const { variable } of equalities) counts.set(variable, (counts.get(variable) ?? 0) + 1);
  }
  const [best] = [...counts].toSorted((a, b) => b[1] - a[1]);
  return best && best[1] * 2 >= candidates.length ? best[0] : undefined;
}

function first<T>(candidates: readonly Candidate<T>[], take: (value: T) => boolean): T | undefined {
  for (const { value } of candidates) if (take(value)) return value;
  return undefined;
}

/** Through two sorted lists as if they were one. */
function firstOfBoth<T>(a: readonly Candidate<T>[], b: readonly Candidate<T>[], take: (value: T) => boolean): T | undefined {
  let [i, j] = [0, 0];
  for (;;) {
    const [left, right] = [a[i], b[j]];
    if (!left && !right) return undefined;
    const isLeft = left !== undefined && (right === undefined || compare(left, right) < 0);
    const next = isLeft ? left : right;
    if (isLeft) i++;
    else j++;
    if (next && take(next.value)) return next.value;
  }
}
