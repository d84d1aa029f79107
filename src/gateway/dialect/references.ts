import { isRecord } from "./schema/compiler.ts";

const ENVIRONMENT = /^\$env:\/\/([A-Za-z_][A-Za-z0-9_]*)(?:\/(.+))?$/i;
const SECRET = /^\$secret:\/\//i;

/** What a value holds besides itself: variables that have no value, and secrets of managers that there are not. */
export interface Resolved {
  readonly value: unknown;
  readonly unresolved: readonly string[];
}

/**
 * The value with each text `$env://NAME` and `$env://NAME/key` (a key of a JSON object in that variable) replaced. What has no value
 * stays as it is and is named, and so does `$secret://…`.
 */
export function resolveReferences(value: unknown, variable: (name: string) => string | undefined): Resolved {
  const unresolved: string[] = [];
  const resolve = (each: unknown): unknown => {
    if (typeof each === "string") {
      const found = resolveText(each, variable);
      if (found === undefined) unresolved.push(each);
      return found ?? each;
    }
    if (Array.isArray(each)) return each.map(resolve);
    return isRecord(each) ? Object.fromEntries(Object.entries(each).map(([name, part]) => [name, resolve(part)])) : each;
  };
  return { value: resolve(value), unresolved };
}

function resolveText(text: string, variable: (name: string) => string | undefined): string | undefined {
  if (!text.startsWith("$")) return text;
  if (SECRET.test(text)) return undefined;
  const found = ENVIRONMENT.exec(text);
  if (!found) return text;
  const [, name = "", key] = found;
  const value = variable(name);
  return value === undefined || key === undefined ? value : keyOf(value, key);
}

function keyOf(text: string, key: string): string | undefined {
  try {
    const object: unknown = JSON.parse(text);
    const value = isRecord(object) && Object.hasOwn(object, key) ? object[key] : undefined;
    return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
  } catch {
    return undefined; // a variable that is no JSON object has no keys
  }
}
