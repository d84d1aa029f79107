import type { LimitKey, Slot } from "../../../tenancy/limits/index.ts";
import type { Call, PluginInstance, PluginOwner, PluginPorts, Verdict } from "../../proxy/plugin.ts";
import { type Amount, amountUnknown, compileAmount } from "../shared/limit-amount.ts";
import { compileKeyValue, CounterKeys, type KeyType, type KeyValue, valueOfNobody } from "../shared/limit-key.ts";
import { refuseOverLimit } from "../shared/limit-refusal.ts";
import { type LimitSettings, scopeOf } from "../shared/limit-settings.ts";
import { isTakenOver } from "../shared/taken-over.ts";

interface RuleSettings {
  readonly conn: number | string;
  readonly burst: number | string;
  readonly key: string;
}

/** The settings of limit-conn: one limit, or rules. */
export interface Settings extends LimitSettings, Partial<RuleSettings> {
  readonly key_type: KeyType;
  /** Seconds that a request over `conn` waits, times how often `conn` fits in what is under way. */
  readonly default_conn_delay: number;
  readonly rules?: readonly RuleSettings[];
  /** Which rule of a workflow it is part of; set by the plugin workflow. */
  readonly workflow_rule?: number;
}

interface Rule {
  readonly key: string;
  readonly value: KeyValue;
  readonly conn: Amount;
  readonly burst: Amount;
  readonly keys: CounterKeys;
}

const NAME = "limit-conn";
const DELAY_MIN_MS = 1;

/** Takes a place for each call at each of its limits, and gives it back when the exchange is over, however it ended. */
export class SlotLimiter implements PluginInstance {
  readonly #settings: Settings;
  readonly #ports: PluginPorts;
  readonly #rules: readonly Rule[];
  readonly #strict: boolean;

  constructor(settings: Settings, owner: PluginOwner, ports: PluginPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#strict = owner.profile === "strict";
    const { conn = 1, burst = 0, key = "remote_addr", key_type: type, rules } = settings;
    this.#rules = rules
      ? rules.map((rule) => this.#compile(rule, "var_combination", owner))
      : [this.#compile({ conn, burst, key }, type, owner)];
  }

  access(call: Call): Verdict | Promise<Verdict> {
    if (this.#settings.workflow_rule === undefined && isTakenOver(call, NAME)) return undefined;
    return this.#run(call, 0, 0);
  }

  #compile(rule: RuleSettings, type: KeyType, owner: PluginOwner): Rule {
    const { per_tenant: perTenant, workflow_rule: variant } = this.#settings;
    const identity = this.#strict ? [rule.key, type, variant] : this.#settings;
    return {
      key: rule.key,
      value: compileKeyValue(rule.key, type, owner.profile),
      conn: compileAmount(rule.conn, 1),
      burst: compileAmount(rule.burst, 0),
      keys: new CounterKeys(owner, NAME, { identity, perTenant }),
    };
  }

  #run(call: Call, index: number, before: number): Verdict | Promise<Verdict> {
    let applied = before;
    for (let i = index; i < this.#rules.length; i++) {
      const rule = this.#rules[i];
      if (!rule) continue;
      let value = rule.value(call);
      // in the dialect a rule whose key or amounts have no value is left out
      const mayBeLeftOut = this.#settings.rules !== undefined && !this.#strict;
      if (value === undefined && mayBeLeftOut) continue;
      value ??= valueOfNobody(rule.key, call);
      const conn = rule.conn(call);
      const burst = rule.burst(call);
      if (conn === undefined || burst === undefined) {
        if (mayBeLeftOut) continue;
        return this.#unknown(call);
      }
      applied++;
      const verdict = this.#take(call, rule.keys.of(call, value), conn, burst);
      if (verdict instanceof Promise) {
        const now = applied;
        return verdict.then((settled) => settled ?? this.#run(call, i + 1, now));
      }
      if (verdict) return verdict;
    }
    return applied === 0 ? this.#unknown(call) : undefined;
  }

  #take(call: Call, key: LimitKey, conn: number, burst: number): Verdict | Promise<Verdict> {
    const scope = scopeOf(this.#settings, this.#ports.limits);
    const { limits } = this.#ports;
    const slot = scope === "shared" ? limits.exact.slot(key, conn + burst, scope) : limits.slot(key, conn + burst);
    return slot instanceof Promise ? slot.then((settled) => this.#hold(call, settled, conn)) : this.#hold(call, slot, conn);
  }

  #hold(call: Call, slot: Slot | undefined, conn: number): Verdict | Promise<Verdict> {
    const delayMs = this.#settings.default_conn_delay * 1000;
    if (!slot) return refuseOverLimit(call, this.#settings, { code: "concurrency_exceeded", policy: NAME, retryAfterMs: delayMs });
    // before anything waits: a caller who is gone already gets its place back at once
    call.onEnd(() => slot.release());
    const waitMs = delayMs * Math.floor((slot.position - 1) / conn);
    return waitMs < DELAY_MIN_MS ? undefined : this.#ports.delay(waitMs, call).then(() => undefined);
  }

  #unknown(call: Call): Verdict {
    return this.#settings.allow_degradation && !this.#strict ? undefined : amountUnknown(NAME, call);
  }
}
