import type { Call, Profile } from "../../proxy/plugin.ts";
import { compileTemplate, type Template } from "../../routing/template.ts";
import { type HeaderSettings, type HeaderValues, toEdits, toValues } from "./settings.ts";

/** What a pattern of `regex_uri` has found: the whole match and its groups. */
export type Captures = readonly (string | undefined)[] | undefined;

type Render = (call: Call, captures: Captures) => string;
type Field = { readonly name: string; readonly values: readonly Render[] };

/**
 * Compiles the changes of header fields; undefined when there are none. Added first, then set, then removed. In the apisix profile the
 * variables `http_x` of what runs later have the new values, as there.
 */
export function compileHeaderRewrite(
  headers: HeaderSettings | undefined,
  profile: Profile,
): ((call: Call, captures: Captures) => void) | undefined {
  if (!headers) return undefined;
  const edit = toEdits(headers);
  const added = toFields(edit.add);
  const replaced = toFields(edit.set);
  const removed = edit.remove ?? [];
  const variables = profile === "apisix" ? [...added, ...replaced].map(({ name }) => toVariable(name)) : [];
  return (call, captures) => {
    const target = call.upstream.headers;
    for (const { name, values } of added) for (const render of values) addUnlessEmpty(target, name, render(call, captures));
    for (const { name, values } of replaced) {
      const rendered = values.map((render) => render(call, captures));
      target.remove(name);
      for (const value of rendered) addUnlessEmpty(target, name, value);
    }
    for (const name of removed) target.remove(name);
    for (const { name, variable } of variables) call.define(variable, target.get(name) ?? "");
  };
}

function toVariable(name: string): { readonly name: string; readonly variable: string } {
  return { name, variable: `http_${name.toLowerCase().replaceAll("-", "_")}` };
}

function addUnlessEmpty(target: Call["upstream"]["headers"], name: string, value: string): void {
  if (value !== "") target.add(name, value);
}

function toFields(headers: Readonly<Record<string, HeaderValues>> | undefined): readonly Field[] {
  return Object.entries(headers ?? {}).map(([name, values]) => ({
    name,
    values: toValues(values).map((value) => compileValue(String(value))),
  }));
}

const CAPTURE = /(?<!\\)\$\{?(\d+)\}?/g;

/**
 * Captures and variables are filled in at once: a capture is text of the caller's, and a `$name` in it must not be read as a variable.
 */
function compileValue(text: string): Render {
  const parts: (number | Template)[] = [];
  let from = 0;
  for (const found of text.matchAll(CAPTURE)) {
    if (found.index > from) parts.push(compileTemplate(text.slice(from, found.index)));
    parts.push(Number(found[1]));
    from = found.index + found[0].length;
  }
  if (from < text.length) parts.push(compileTemplate(text.slice(from)));
  const [only] = parts;
  if (parts.length === 1 && typeof only === "object") return (call) => only.render(call);
  return (call, captures) => {
    let value = "";
    for (const part of parts) value += typeof part === "number" ? (captures?.[part] ?? "") : part.render(call);
    return value;
  };
}
