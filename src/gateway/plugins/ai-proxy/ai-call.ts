import type { Call, Verdict } from "../../proxy/plugin.ts";
import type { Instance } from "./instance.ts";
import type { TokenCounts } from "./token-usage.ts";

const KEY = {};

/** A call on its way to a model: where it goes, what others have to say about that, and what it has used. */
export class AiCall {
  readonly call: Call;
  /** Whether another instance may be taken when one is over its limit. */
  readonly fallsBack: boolean;
  readonly #choose: (excluded: ReadonlySet<Instance>) => Instance | undefined;
  readonly #use: (instance: Instance) => Verdict;
  readonly #excluded = new Set<Instance>();
  readonly #listeners: ((counts: TokenCounts, instance: Instance) => void)[] = [];
  #counts: TokenCounts | undefined;
  instance: Instance | undefined;

  constructor(
    call: Call,
    rules: {
      readonly fallsBack: boolean;
      choose(excluded: ReadonlySet<Instance>): Instance | undefined;
      use(instance: Instance): Verdict;
    },
  ) {
    this.call = call;
    this.fallsBack = rules.fallsBack;
    this.#choose = (excluded) => rules.choose(excluded);
    this.#use = (instance) => rules.use(instance);
    call.setNote(KEY, this);
  }

  /** The call to a model that this call is, if it is one. */
  static of(call: Call): AiCall | undefined {
    return call.note<AiCall>(KEY);
  }

  /** Goes on to the next instance; false when none is left. */
  next(): Verdict | "none" {
    if (this.instance) this.#excluded.add(this.instance);
    this.instance = this.#choose(this.#excluded);
    return this.instance ? this.#use(this.instance) : "none";
  }

  /** Instances that were taken before. */
  get tried(): number {
    return this.#excluded.size;
  }

  /** Called once with what was used, when the answer is over. */
  onUsage(listener: (counts: TokenCounts, instance: Instance) => void): void {
    this.#listeners.push(listener);
  }

  /** The answer is over. Only the first call counts. */
  finish(counts: TokenCounts): void {
    if (this.#counts || !this.instance) return;
    this.#counts = counts;
    for (const listener of this.#listeners) listener(counts, this.instance);
  }
}
