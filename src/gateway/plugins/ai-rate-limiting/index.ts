import type { LimitKey, WindowDecision, WindowLimit } from "../../../tenancy/limits/index.ts";
import { toFault } from "../../../kernel/index.ts";
import type { Call, Plugin, PluginInstance, PluginOwner, PluginPorts, Profile, ResponseDraft, Verdict } from "../../proxy/plugin.ts";
import { AiCall } from "../ai-proxy/ai-call.ts";
import { noneLeft } from "../ai-proxy/index.ts";
import type { Instance } from "../ai-proxy/instance.ts";
import type { TokenCounts } from "../ai-proxy/token-usage.ts";
import { type Amount, amountUnknown, compileAmount } from "../shared/limit-amount.ts";
import { compileKeyValue, CounterKeys, type KeyValue } from "../shared/limit-key.ts";
import { refuseOverLimit } from "../shared/limit-refusal.ts";
import { callersVariable, limitHazards, scopeOf } from "../shared/limit-settings.ts";
import { compileCost, type CostExpression } from "./cost-expression.ts";
import { SCHEMA, type Settings } from "./settings.ts";

const NAME = "ai-rate-limiting";

/**
 * Limits tokens that requests to models use. That one token is left is asked before; what was used is counted when the answer is over, so that one
 * request can pass the limit.
 */
export const aiRateLimiting: Plugin<Settings> = {
  name: NAME,
  priority: 1030,
  schema: SCHEMA,
  check,
  hazards: (settings, profile, place) => [
    ...limitHazards(settings, profile, place),
    ...(profile === "strict" ? [`${NAME} counts when an answer is over: requests that come together can pass the limit`] : []),
  ],
  create: (settings, owner, ports) => new TokenLimiter(settings, owner, ports),
};

function check(
  { limit_strategy: strategy, cost_expr: formula, limit, rules = [], instances = [] }: Settings,
  profile: Profile,
): string | undefined {
  if (strategy === "expression" && formula === undefined) return "cost_expr is required when limit_strategy is 'expression'";
  try {
    if (formula !== undefined) compileCost(formula);
  } catch (error) {
    return `invalid cost_expr: ${toFault(error).message}`;
  }
  if (profile !== "strict") return undefined;
  const callers = callersVariable([limit, ...rules.map(({ count }) => count), ...instances.map((each) => each.limit)]);
  return callers === undefined ? undefined : `a limit of $${callers} is the caller's own`;
}

/** One limit, compiled. */
interface Rule {
  readonly limit: Amount;
  readonly windowS: Amount;
  readonly keys: CounterKeys;
  /** Between the words of the answer's fields, and behind them. */
  readonly prefix: string;
  readonly suffix: string;
}

interface Outcome {
  readonly rule: Rule;
  readonly key: LimitKey;
  readonly window: WindowLimit;
  readonly decision: WindowDecision;
}

class TokenLimiter implements PluginInstance {
  readonly #settings: Settings;
  readonly #ports: PluginPorts;
  readonly #cost: CostExpression;
  readonly #rules: readonly (Rule & { readonly value: KeyValue })[] | undefined;
  readonly #ruleFor: (instance: string) => Rule | undefined;

  constructor(settings: Settings, owner: PluginOwner, ports: PluginPorts) {
    this.#settings = settings;
    this.#ports = ports;
    const { limit_strategy: strategy, cost_expr: formula, instances = [], rules, limit, time_window: windowS } = settings;
    this.#cost = strategy === "expression" && formula !== undefined ? compileCost(formula) : (counts) => counts.get(strategy) ?? 0;
    const own = new Map(instances.map((each) => [each.name, this.#compile(each, owner, ["instance", each.name])]));
    const shared = new Map<string, Rule>();
    this.#ruleFor = (name) => {
      const known = own.get(name) ?? shared.get(name);
      if (known || limit === undefined || windowS === undefined) return known;
      // instances without a limit of their own have the common one, each for itself
      const made = this.#compile({ name, limit, time_window: windowS }, owner, ["common", name]);
      shared.set(name, made);
      return made;
    };
    this.#rules = rules?.map(({ count, time_window: time, key, header_prefix: prefix }, at) => ({
      ...this.#compile({ name: "", limit: count, time_window: time }, owner, ["rule", key]),
      prefix: `${prefix === undefined ? String(at + 1) : capitalised(prefix)}-`,
      suffix: "",
      value: compileKeyValue(key, "var_combination", owner.profile),
    }));
  }

  access(call: Call): Verdict {
    const ai = AiCall.of(call);
    if (!ai) return undefined;
    ai.onUsage((counts, instance) => this.#charge(call, counts, instance));
    return this.#rules ? this.#checkRules(call, this.#rules) : this.#checkInstances(call, ai);
  }

  header(call: Call, response: ResponseDraft): void {
    if (!this.#settings.show_limit_quota_header) return;
    for (const { rule, window, decision } of call.note<Outcome[]>(this) ?? []) {
      const name = (word: string): string => `X-AI-${rule.prefix}RateLimit-${word}${rule.suffix}`;
      response.headers.set(name("Limit"), String(window.count));
      response.headers.set(name("Remaining"), String(decision.remaining));
      response.headers.set(name("Reset"), String(Math.floor(decision.resetMs / 10) / 100));
    }
  }

  #compile(
    { name, limit, time_window: windowS }: { name: string; limit: number | string; time_window: number | string },
    owner: PluginOwner,
    identity: unknown,
  ): Rule {
    const { per_tenant: perTenant } = this.#settings;
    const counted = owner.profile === "strict" ? [identity, windowS] : [identity, this.#settings];
    return {
      limit: compileAmount(limit, 1),
      windowS: compileAmount(windowS, 1),
      keys: new CounterKeys(owner, NAME, { identity: counted, group: undefined, perTenant }),
      prefix: "",
      suffix: name === "" ? "" : `-${name.replaceAll(/[^\w.-]/g, "")}`,
    };
  }

  /** The call's instance, or where it may be another, the next one that has a token left. */
  #checkInstances(call: Call, ai: AiCall): Verdict {
    for (;;) {
      const rule = ai.instance && this.#ruleFor(ai.instance.name);
      const outcome = rule && this.#look(call, rule, "");
      if (rule && !outcome) return amountUnknown(NAME, call);
      if (!outcome || outcome.decision.remaining >= 1) return undefined;
      if (!ai.fallsBack) return this.#refuse(call, outcome);
      const verdict = ai.next();
      if (verdict === "none") return noneLeft(call);
      if (verdict) return verdict;
    }
  }

  #checkRules(call: Call, rules: readonly (Rule & { readonly value: KeyValue })[]): Verdict {
    let applied = 0;
    for (const rule of rules) {
      const value = rule.value(call);
      if (value === undefined) continue;
      applied++;
      const outcome = this.#look(call, rule, value);
      if (!outcome) return amountUnknown(NAME, call);
      if (outcome.decision.remaining < 1) return this.#refuse(call, outcome);
    }
    return applied > 0 || this.#settings.allow_degradation ? undefined : amountUnknown(NAME, call);
  }

  /** What is left of a limit, without taking anything. */
  #look(call: Call, rule: Rule, value: string): Outcome | undefined {
    const [count, windowS] = [rule.limit(call), rule.windowS(call)];
    if (count === undefined || windowS === undefined) return undefined;
    const window: WindowLimit = { count, windowMs: windowS * 1000, kind: "fixed", scope: scopeOf(this.#settings, this.#ports.limits) };
    const key = rule.keys.of(call, value);
    const outcome = { rule, key, window, decision: this.#ports.limits.window(key, window, 0) };
    const outcomes = call.note<Outcome[]>(this);
    if (outcomes) outcomes.push(outcome);
    else call.setNote(this, [outcome]);
    return outcome;
  }

  #refuse(call: Call, { decision, rule }: Outcome): Verdict {
    const policy = `${NAME}${rule.suffix}`;
    return refuseOverLimit(call, this.#settings, { code: "rate_limited", policy, retryAfterMs: decision.resetMs });
  }

  /** Counts what was used, where it was looked at: of what is over the limit, as much as there is. */
  #charge(call: Call, counts: TokenCounts, instance: Instance): void {
    const cost = this.#cost(counts);
    const rule = this.#rules ? undefined : this.#ruleFor(instance.name);
    for (const outcome of call.note<Outcome[]>(this) ?? []) {
      if (!this.#rules && outcome.rule !== rule) continue;
      const { limits } = this.#ports;
      const left = limits.window(outcome.key, outcome.window, 0).remaining;
      if (cost > 0 && left > 0) limits.window(outcome.key, outcome.window, Math.min(cost, left));
    }
  }
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
