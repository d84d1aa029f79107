import { createHash } from "node:crypto";
import { Fault } from "../../../kernel/index.ts";
import type { LimitKey } from "../../../tenancy/limits/index.ts";
import type { Call, PluginOwner, Profile } from "../../proxy/plugin.ts";
import { compileTemplate } from "../../routing/template.ts";

/** The value that a call is counted by; undefined when it has none. */
export type KeyValue = (call: Call) => string | undefined;

/** A variable by its name, a text with variables in it, or a text as it is. */
export type KeyType = "var" | "var_combination" | "constant";

/** Compiles what a limit counts by. A combination in strict tells `ab` with `c` from `a` with `bc`. */
export function compileKeyValue(key: string, type: KeyType, profile: Profile): KeyValue {
  if (type === "constant") return () => key;
  const isStrict = profile === "strict";
  if (type === "var") {
    return (call) => {
      const value = call.variable(key);
      return value === undefined || (isStrict && value === "") ? undefined : String(value);
    };
  }
  const template = compileTemplate(key);
  const { variables } = template;
  if (!isStrict || variables.length < 2) return (call) => template.resolve(call);
  return (call) => {
    const text = template.resolve(call);
    if (text === undefined) return undefined;
    let lengths = "";
    for (const name of variables) lengths += `${String(call.variable(name) ?? "").length} `;
    return `${lengths}${text}`;
  };
}

/** What a call without a value is counted by: the dialect takes its address, strict refuses it, since whoever leaves the value out would choose the counter. */
export function valueOfNobody(key: string, call: Call): string {
  if (call.profile === "apisix") return String(call.variable("remote_addr") ?? "");
  const detail = `Requests to this address are limited by ${key}, which this request does not have.`;
  throw new Fault("malformed_request", detail, { public: { detail } });
}

/** Makes the keys of one limit at one place. */
export class CounterKeys {
  /** One text, made once: a key of three parts is found in a fifth of the time of one of five. As JSON, no two lists are the same text. */
  readonly #place: string;
  readonly #perTenant: boolean;

  /** `identity` is what of the settings makes another counter of it; `group` counts for every place that names it. */
  constructor(
    owner: PluginOwner,
    plugin: string,
    {
      identity,
      group,
      perTenant,
    }: { readonly identity: unknown; readonly group?: string | undefined; readonly perTenant: boolean | undefined },
  ) {
    this.#place = JSON.stringify(group === undefined ? [plugin, owner.id, digest(identity)] : [plugin, group]);
    this.#perTenant = perTenant ?? owner.profile === "strict";
  }

  /** The proved tenant always leads, so that no value of a caller can reach another tenant's counter. */
  of(call: Call, value: string): LimitKey {
    return [this.#perTenant ? (call.context?.tenant.uuid ?? "") : "", this.#place, value];
  }
}

function digest(identity: unknown): string {
  return createHash("sha256").update(JSON.stringify(identity)).digest("base64url").slice(0, 22);
}
