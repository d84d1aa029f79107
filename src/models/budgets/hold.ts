import { Fault } from "../../kernel/index.ts";
import type { TokenUsage } from "../meter/usage.ts";
import { outputFor, worstCostOf } from "../settings/prices.ts";
import type { OpenBudget, Owner } from "../settings/catalogue.ts";
import type { PriceSettings } from "../settings/schema.ts";
import type { UnitsWanted } from "./account.ts";
import type { DueBudget } from "./budget-book.ts";

/** What a request can use, and what such requests have used lately. In tokens. */
export interface Expected {
  /** Of the prompt: the most that it can be, and what is likely. */
  readonly inputMax: number;
  readonly input: number;
  /** Of all its answers together: the most, and what is likely. 0 for what has no answer. */
  readonly outputMax: number;
  readonly output: number;
  readonly stream: boolean;
  /** All targets that it may go to: whose provider each is, and its price of today. */
  readonly targets: readonly { readonly owner: Owner; readonly price: PriceSettings | undefined }[];
}

/** What was used, over all tries. */
export interface Used {
  readonly requests: number;
  readonly usage: Pick<TokenUsage, "input" | "output">;
  /** In billionths of the currency's unit: of all, and of what the platform's providers cost. */
  readonly cost: number;
  readonly platformCost: number;
}

/** With so many times the most that a request can use left, the most is held: nothing is scarce. */
const PLENTY = 8;
/** Of what is left, the part that one whole answer may take when it is scarce. */
const SCARCE_PART = 4;
/** The shortest answer that is worth beginning, in tokens. */
const OUTPUT_MIN = 16;
/** A stream asks for more when so much of what it has is used. */
const ASK_AT = 0.5;
/** Longer waits are not told: clients would sleep through them. */
const RETRY_MS_MAX = 60_000;

/** One budget's part of a hold. */
class Part {
  readonly due: DueBudget;
  readonly #expected: Expected;
  readonly #prices: readonly PriceSettings[];
  granted = 0;
  /** Tokens of the prompt that are held. */
  input: number;
  #asking = false;
  #isEmpty = false;
  #isOver = false;

  constructor(due: DueBudget, expected: Expected) {
    this.due = due;
    this.#expected = expected;
    this.input = expected.inputMax;
    this.#prices = targetsOf(due.budget, expected).flatMap(({ price }) => price ?? []);
  }

  /** Units of the budget for so many tokens. */
  unitsFor(input: number, output: number): number {
    switch (this.due.budget.unit) {
      case "requests":
        return 1;
      case "tokens":
        return input + output;
      case "money":
        return Math.max(0, ...this.#prices.map((price) => worstCostOf(price, input, output)));
      default:
        return this.due.budget.unit satisfies never;
    }
  }

  /** Tokens of the answer that the granted units pay for. */
  get outputMax(): number {
    switch (this.due.budget.unit) {
      case "requests":
        return Number.POSITIVE_INFINITY;
      case "tokens":
        return Math.max(0, this.granted - this.input);
      case "money":
        return Math.min(...this.#prices.map((price) => outputFor(price, this.input, this.granted)));
      default:
        return this.due.budget.unit satisfies never;
    }
  }

  get wanted(): UnitsWanted {
    const { inputMax, input, outputMax, output, stream } = this.#expected;
    const { strict } = this.due.budget;
    const shortest = Math.min(outputMax, OUTPUT_MIN);
    const most = this.unitsFor(inputMax, outputMax);
    return {
      need: this.unitsFor(strict ? inputMax : input, shortest),
      want: (total) => {
        const isPlenty = strict || total >= PLENTY * most;
        this.input = isPlenty ? inputMax : input;
        if (isPlenty) return most;
        const likely = this.unitsFor(input, Math.min(outputMax, output));
        // a stream can ask for more while it goes on; a whole answer has to be bounded before it begins
        return stream ? likely : Math.min(most, Math.max(likely, Math.floor(total / SCARCE_PART)));
      },
    };
  }

  /** Takes its units; undefined when they were there at once. Rejects when the ledger cannot be asked. */
  take(): Promise<void> | undefined {
    const taken = this.due.account.take(this.wanted);
    if (typeof taken !== "number") return taken.then((units) => void (this.granted = units));
    this.granted = taken;
    return undefined;
  }

  /** False when so many tokens of the answer are not paid for and nothing more is left. Asks for more in time. */
  covers(output: number): boolean {
    if (this.due.budget.unit === "requests") return true;
    const needed = this.unitsFor(this.input, output);
    if (needed >= this.granted * ASK_AT && !this.#isEmpty) this.#askForMore(needed);
    return needed <= this.granted || !this.#isEmpty;
  }

  settle(used: number): void {
    this.#isOver = true;
    this.due.account.settle(this.granted, used);
  }

  #askForMore(needed: number): void {
    if (this.#asking) return;
    const more = Math.max(1, needed);
    const taken = this.due.account.take({ need: 1, want: () => more });
    if (typeof taken === "number") return this.#add(taken);
    this.#asking = true;
    taken.then(
      (units) => {
        this.#asking = false;
        this.#add(units);
      },
      () => {
        // the ledger cannot be asked: what is there has to do
        this.#asking = false;
        this.#isEmpty = true;
      },
    );
  }

  #add(units: number): void {
    if (units === 0) this.#isEmpty = true;
    else if (this.#isOver) this.due.account.settle(units, 0);
    else this.granted += units;
  }
}

/** Units of all budgets that a request counts for, taken before it is sent. It is settled exactly once. */
export class Hold {
  readonly #parts: readonly Part[];
  readonly #expected: Expected;
  #isSettled = false;

  private constructor(parts: readonly Part[], expected: Expected) {
    this.#parts = parts;
    this.#expected = expected;
  }

  /** Takes from every budget or from none. Throws `insufficient_quota` or `rate_limited` with the budget's name, `invalid_settings` without a price. */
  static async take(due: readonly DueBudget[], expected: Expected): Promise<Hold> {
    assertPriced(due, expected);
    // what costs nothing needs nothing
    const parts = due.map((each) => new Part(each, expected)).filter((part) => part.unitsFor(expected.inputMax, expected.outputMax) > 0);
    // most leases have enough, and nobody is waited for then
    const waits = parts.flatMap((part) => part.take() ?? []);
    const settled = waits.length === 0 ? [] : await Promise.allSettled(waits);
    const failed = settled.find((each) => each.status === "rejected");
    const empty = parts.find(({ granted }) => granted === 0);
    if (!failed && !empty) return new Hold(parts, expected);
    for (const part of parts) part.settle(0);
    if (failed) throw new Fault("dependency_unavailable", "budgets cannot be asked", { cause: failed.reason });
    throw empty ? refusal(empty.due) : new Fault("internal", "a budget has refused that is not there");
  }

  /** The longest answer that is paid for, in tokens, where that is less than the request may have; otherwise undefined. */
  get outputMax(): number | undefined {
    const { outputMax, stream, output } = this.#expected;
    const paid = Math.min(...this.#parts.map((part) => part.outputMax));
    if (paid >= outputMax) return undefined;
    // a stream that has what is likely can get more
    return stream && paid >= Math.min(outputMax, output) ? undefined : Math.max(1, paid);
  }

  /** Why a stream may not go on after so many tokens, or undefined. */
  stop(outputTokens: number): Fault | undefined {
    const empty = this.#parts.find((part) => !part.covers(outputTokens));
    return empty && refusal(empty.due);
  }

  /** What was really used, over all tries. */
  settle(used: Used): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    for (const part of this.#parts) part.settle(usedOf(part.due.budget, used));
  }
}

/** The targets that a budget is about. */
function targetsOf({ owner, unit }: OpenBudget, { targets }: Expected): Expected["targets"] {
  return unit === "money" && owner === "platform" ? targets.filter((target) => target.owner === "platform") : targets;
}

function usedOf({ unit, owner }: OpenBudget, { requests, usage, cost, platformCost }: Used): number {
  switch (unit) {
    case "requests":
      return requests;
    case "tokens":
      return usage.input + usage.output;
    case "money":
      return owner === "platform" ? platformCost : cost;
    default:
      return unit satisfies never;
  }
}

function assertPriced(due: readonly DueBudget[], expected: Expected): void {
  const money = due.find(({ budget }) => budget.unit === "money" && targetsOf(budget, expected).some(({ price }) => !price));
  if (!money) return;
  const detail = `The model has no price today, so that nothing can be held of the budget ${money.budget.name}. ${money.budget.owner === "platform" ? "Ask the operator to set one." : "Set one."}`;
  throw new Fault("invalid_settings", detail, { public: { detail, policy: money.budget.name } });
}

function refusal({ budget, endMs, nowMs }: DueBudget): Fault {
  const detail = `The budget ${budget.name} of ${budget.limit} (${budget.unit}, per ${budget.per}) is used up. It begins anew at ${new Date(endMs).toISOString()}.`;
  const waitMs = endMs - nowMs;
  if (waitMs > RETRY_MS_MAX) return new Fault("insufficient_quota", detail, { public: { detail, policy: budget.name } });
  return new Fault("rate_limited", detail, { public: { detail, policy: budget.name, retryAfterMs: Math.max(1, waitMs) } });
}
