import type { VariableSource } from "./variable-source.ts";

/** A text with variables in it: `$name`, `${name}`, `${name ?? default}`; `\$` is no variable. */
export interface Template {
  /** The text when it has no variables, which is known ahead. */
  readonly constant: string | undefined;
  /** The names of its variables. */
  readonly variables: readonly string[];
  /** The text; a variable without value or default is empty. */
  render(source: VariableSource): string;
  /** The text, or undefined when none of its variables had a value or a default. Of a constant it is undefined. */
  resolve(source: VariableSource): string | undefined;
}

interface Part {
  readonly literal: string;
  readonly name: string | undefined;
  readonly fallback: string | undefined;
}

const VARIABLE = /(?<!\\)\$(?:\{\s*([^}]+?)\s*\}|([\w.]+))/g;

/** Reads a template once. `escape` is laid over each value, for example to encode it for an address. */
export function compileTemplate(text: string, escape?: (value: string) => string): Template {
  const parts: Part[] = [];
  let from = 0;
  for (const found of text.matchAll(VARIABLE)) {
    const [whole, braced, bare] = found;
    const [name = "", fallback] = (braced ?? bare ?? "").split(/\s*\?\?\s*/, 2);
    if (found.index > from) parts.push({ literal: text.slice(from, found.index), name: undefined, fallback: undefined });
    parts.push({ literal: "", name, fallback });
    from = found.index + whole.length;
  }
  if (from < text.length) parts.push({ literal: text.slice(from), name: undefined, fallback: undefined });
  return new CompiledTemplate(text, parts, escape);
}

class CompiledTemplate implements Template {
  readonly constant: string | undefined;
  readonly variables: readonly string[];
  readonly #parts: readonly Part[];
  readonly #escape: ((value: string) => string) | undefined;

  constructor(text: string, parts: readonly Part[], escape: ((value: string) => string) | undefined) {
    this.variables = parts.flatMap(({ name }) => (name === undefined ? [] : [name]));
    this.constant = this.variables.length === 0 ? text : undefined;
    this.#parts = parts;
    this.#escape = escape;
  }

  render(source: VariableSource): string {
    return this.constant ?? this.#join(source).text;
  }

  resolve(source: VariableSource): string | undefined {
    if (this.constant !== undefined) return undefined;
    const { text, resolved } = this.#join(source);
    return resolved === 0 ? undefined : text;
  }

  #join(source: VariableSource): { readonly text: string; readonly resolved: number } {
    let text = "";
    let resolved = 0;
    for (const { literal, name, fallback } of this.#parts) {
      if (name === undefined) {
        text += literal;
        continue;
      }
      const value = source.variable(name) ?? fallback;
      if (value === undefined) continue;
      resolved++;
      text += this.#escape ? this.#escape(String(value)) : String(value);
    }
    return { text, resolved };
  }
}
