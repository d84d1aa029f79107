import { Fault } from "../../../kernel/index.ts";
import type { Answer } from "../../../wire/index.ts";
import type { Call } from "../../proxy/plugin.ts";
import { compileTemplate } from "../../routing/template.ts";

/** A whole number of a limit, for one call; undefined when it has no usable value. */
export type Amount = (call: Call) => number | undefined;

/** Compiles a number, or a template whose text is one. */
export function compileAmount(source: number | string, min: 0 | 1): Amount {
  if (typeof source === "number") return () => source;
  const template = compileTemplate(source);
  return (call) => {
    const text = template.render(call).trim();
    const value = text === "" ? Number.NaN : Number(text);
    return Number.isSafeInteger(value) && value >= min ? value : undefined;
  };
}

/** The end of a call whose limit cannot be told. */
export function amountUnknown(plugin: string, call: Call): Answer {
  if (call.profile === "apisix") return { status: 500, headers: {}, body: undefined };
  throw new Fault("malformed_request", `${plugin} cannot tell its limit for this request`);
}
