import type { WindowDecision, WindowLimit } from "../../../tenancy/limits/index.ts";
import type { Call, PluginInstance, PluginOwner, PluginPorts, ResponseDraft, Verdict } from "../../proxy/plugin.ts";
import { type Amount, amountUnknown, compileAmount } from "../shared/limit-amount.ts";
import { compileKeyValue, CounterKeys, type KeyType, type KeyValue, valueOfNobody } from "../shared/limit-key.ts";
import { refuseOverLimit } from "../shared/limit-refusal.ts";
import { scopeOf } from "../shared/limit-settings.ts";
import { isTakenOver } from "../shared/taken-over.ts";
import { type FieldNames, fieldNames, type Settings } from "./settings.ts";

const NAME = "limit-count";

/** One limit, compiled. */
interface Rule {
  readonly key: string;
  readonly value: KeyValue;
  readonly count: Amount;
  readonly windowS: Amount;
  readonly keys: CounterKeys;
  readonly fields: FieldNames;
  /** The names of its fields in lower case: those that take the place of others, and all. */
  readonly replaced: ReadonlySet<string>;
  readonly appended: ReadonlySet<string>;
  /** The name of the limit, for the caller. */
  readonly policy: string;
}

/** What a limit has said about a call, for the fields of its answer. */
interface Outcome {
  readonly rule: Rule;
  readonly count: number;
  readonly windowS: number;
  readonly decision: WindowDecision;
}

/** Counts calls by one limit, or by each rule in turn until one says no. */
export class WindowLimiter implements PluginInstance {
  readonly #settings: Settings;
  readonly #ports: PluginPorts;
  readonly #rules: readonly Rule[];
  readonly #scope: WindowLimit["scope"];
  /** Whether a shared counter is asked to the unit; with an interval it may be behind by what others have counted meanwhile. */
  readonly #exact: boolean;
  readonly #strict: boolean;

  constructor(settings: Settings, owner: PluginOwner, ports: PluginPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#strict = owner.profile === "strict";
    this.#scope = scopeOf(settings, ports.limits);
    this.#exact = this.#scope === "shared" && (settings.sync_interval ?? -1) === -1;
    const { count = 1, time_window: windowS = 1, key, key_type: type, rules } = settings;
    this.#rules = rules
      ? rules.map((rule, index) => this.#compile(rule, "var_combination", rule.header_prefix ?? String(index + 1), owner))
      : [this.#compile({ count, time_window: windowS, key }, type, undefined, owner)];
  }

  access(call: Call): Verdict | Promise<Verdict> {
    if (this.#settings.workflow_rule === undefined && isTakenOver(call, NAME)) return undefined;
    return this.#run(call, 0, 0);
  }

  header(call: Call, response: ResponseDraft): void {
    const outcomes = call.note<Outcome[]>(this);
    if (!outcomes) return;
    const { headers } = response;
    for (const { rule, count, windowS, decision } of outcomes) {
      const { fields, policy } = rule;
      headers.removeAll(rule.replaced);
      // the names are checked with the settings, the values are numbers
      let lines = `${fields.limit_header}: ${count}\r\n${fields.remaining_header}: ${decision.remaining}\r\n`;
      lines += `${fields.reset_header}: ${Math.floor(decision.resetMs / 10) / 100}\r\n`;
      // IETF draft-ietf-httpapi-ratelimit-headers-10
      if (this.#strict) {
        lines += `RateLimit-Policy: "${policy}";q=${count};w=${windowS}\r\n`;
        lines += `RateLimit: "${policy}";r=${decision.remaining};t=${Math.ceil(decision.resetMs / 1000)}\r\n`;
      }
      headers.append(lines, rule.appended);
    }
  }

  #compile(rule: NonNullable<Settings["rules"]>[number], type: KeyType, prefix: string | undefined, owner: PluginOwner): Rule {
    const { group, per_tenant: perTenant, window_type: kind, workflow_rule: variant } = this.#settings;
    // in strict a changed limit holds for what was counted before; in the dialect changed settings begin anew
    const identity = this.#strict ? [rule.key, type, kind, rule.time_window, variant] : this.#settings;
    const fields = fieldNames(owner.metadata, prefix);
    const replaced = new Set([fields.limit_header, fields.remaining_header, fields.reset_header].map((name) => name.toLowerCase()));
    return {
      key: rule.key,
      replaced,
      appended: new Set([...replaced, "ratelimit-policy", "ratelimit"]),
      value: compileKeyValue(rule.key, type, owner.profile),
      count: compileAmount(rule.count, 1),
      windowS: compileAmount(rule.time_window, 1),
      keys: new CounterKeys(owner, NAME, { identity, group, perTenant }),
      fields,
      policy: prefix === undefined ? NAME : `${NAME}-${prefix.replaceAll(/[^\w-]/g, "")}`,
    };
  }

  /** The rules from `index` on; `before` of those before it had a value. */
  #run(call: Call, index: number, before: number): Verdict | Promise<Verdict> {
    let applied = before;
    for (let i = index; i < this.#rules.length; i++) {
      const rule = this.#rules[i];
      if (!rule) continue;
      let value = rule.value(call);
      // in the dialect a rule whose key has no value is left out
      if (value === undefined && this.#settings.rules && !this.#strict) continue;
      value ??= valueOfNobody(rule.key, call);
      applied++;
      const count = rule.count(call);
      const windowS = rule.windowS(call);
      if (count === undefined || windowS === undefined) return this.#unknown(call);
      const limit: WindowLimit = { count, windowMs: windowS * 1000, kind: this.#settings.window_type, scope: this.#scope };
      const key = rule.keys.of(call, value);
      const decision = this.#exact ? this.#ports.limits.exact.window(key, limit) : this.#ports.limits.window(key, limit);
      if (decision instanceof Promise) return this.#wait(decision, { rule, count, windowS }, { call, next: i + 1, applied });
      const verdict = this.#settle(call, { rule, count, windowS, decision });
      if (verdict) return verdict;
    }
    return applied === 0 ? this.#unknown(call) : undefined;
  }

  async #wait(
    pending: Promise<WindowDecision>,
    outcome: Omit<Outcome, "decision">,
    { call, next, applied }: { readonly call: Call; readonly next: number; readonly applied: number },
  ): Promise<Verdict> {
    const verdict = this.#settle(call, { ...outcome, decision: await pending });
    return verdict ?? this.#run(call, next, applied);
  }

  #settle(call: Call, outcome: Outcome): Verdict {
    const { decision, rule } = outcome;
    if (this.#settings.show_limit_quota_header) {
      const outcomes = call.note<Outcome[]>(this);
      if (outcomes) outcomes.push(outcome);
      else call.setNote(this, [outcome]);
    }
    if (decision.allow) return undefined;
    return refuseOverLimit(call, this.#settings, { code: "rate_limited", policy: rule.policy, retryAfterMs: decision.resetMs });
  }

  #unknown(call: Call): Verdict {
    return this.#settings.allow_degradation && !this.#strict ? undefined : amountUnknown(NAME, call);
  }
}
