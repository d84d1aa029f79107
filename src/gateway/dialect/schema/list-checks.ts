import type { Compiler, Keywords, SchemaCheck } from "./compiler.ts";
import { isSame } from "./scalar-checks.ts";

type ListCheck = (list: readonly unknown[]) => string | undefined;

/** `minItems`, `maxItems`, `items`, `additionalItems`, `uniqueItems` and `contains`. */
export function checksOfList(schema: Keywords, compiler: Compiler): SchemaCheck[] {
  const checks: ListCheck[] = [
    ...sizeChecks(schema),
    ...itemChecks(schema, compiler),
    ...(schema["uniqueItems"] === true ? [uniqueProblem] : []),
    ...containsChecks(schema, compiler),
  ];
  if (checks.length === 0) return [];
  return [
    (value) => {
      const list = asList(value, compiler.emptyIsEither && schema["type"] === "array");
      if (!list) return undefined;
      for (const check of checks) {
        const wrong = check(list);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    },
  ];
}

function asList(value: unknown, emptyIsEither: boolean): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value as readonly unknown[]; // Array.isArray gives any[]
  return emptyIsEither && typeof value === "object" && value !== null && Object.keys(value).length === 0 ? [] : undefined;
}

function sizeChecks({ minItems, maxItems }: Keywords): ListCheck[] {
  const checks: ListCheck[] = [];
  if (typeof minItems === "number") {
    checks.push((list) => (list.length < minItems ? `expect array to have at least ${minItems} items` : undefined));
  }
  if (typeof maxItems === "number") {
    checks.push((list) => (list.length > maxItems ? `expect array to have at most ${maxItems} items` : undefined));
  }
  return checks;
}

function itemChecks(schema: Keywords, compiler: Compiler): ListCheck[] {
  const { items, additionalItems } = schema;
  if (Array.isArray(items)) {
    const each = items.map((item) => compiler.compile(item));
    const rest = additionalItems === undefined || additionalItems === true ? undefined : additionalItems;
    const restCheck = rest === undefined || rest === false ? undefined : compiler.compile(rest);
    return [(list) => tupleProblem(list, each, rest === false, restCheck)];
  }
  if (items === undefined || items === true) return [];
  const check = compiler.compile(items);
  return [
    (list) => {
      for (let i = 0; i < list.length; i++) {
        const wrong = check(list[i]);
        if (wrong !== undefined) return `failed to validate item ${i + 1}: ${wrong}`;
      }
      return undefined;
    },
  ];
}

function tupleProblem(
  list: readonly unknown[],
  each: readonly SchemaCheck[],
  closed: boolean,
  rest: SchemaCheck | undefined,
): string | undefined {
  for (const [i, item] of list.entries()) {
    const check = each[i];
    if (!check && closed) return "found unexpected extra items in array";
    const wrong = (check ?? rest)?.(item);
    if (wrong !== undefined)
      return check ? `failed to validate item ${i + 1}: ${wrong}` : `failed to validate additional item ${i + 1}: ${wrong}`;
  }
  return undefined;
}

/** Scalars by a set: a list may be as long as a body. Objects and lists pair by pair. */
function uniqueProblem(list: readonly unknown[]): string | undefined {
  const scalars = new Map<unknown, number>();
  const tables: number[] = [];
  for (const [i, item] of list.entries()) {
    if (typeof item === "object" && item !== null) {
      const equal = tables.find((at) => isSame(list[at], item));
      if (equal !== undefined) return `expected unique items but items ${equal + 1} and ${i + 1} are equal`;
      tables.push(i);
      continue;
    }
    const equal = scalars.get(item);
    if (equal !== undefined) return `expected unique items but items ${equal + 1} and ${i + 1} are equal`;
    scalars.set(item, i);
  }
  return undefined;
}

function containsChecks({ contains }: Keywords, compiler: Compiler): ListCheck[] {
  if (contains === undefined) return [];
  const check = compiler.compile(contains);
  return [
    (list) => {
      if (list.length === 0) return "check contains: empty array is invalid";
      return list.some((item) => check(item) === undefined) ? undefined : "failed to check contains";
    },
  ];
}
