import ipaddr from "ipaddr.js";
import { RE2JS } from "re2js";
import type { Compiler, Keywords, SchemaCheck } from "./compiler.ts";

/** The type of JSON Schema that a value has; a number without a fraction is an `integer`. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** Whether two values of JSON are equal. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.entries(a), b as Readonly<Record<string, unknown>>]; // read by own names only
  return left.length === Object.keys(b).length && left.every(([name, value]) => Object.hasOwn(right, name) && isSame(value, right[name]));
}

/** A value as the texts show it: strings in quotes, with Lua's escapes. */
export function show(value: unknown): string {
  if (typeof value !== "string") return String(value);
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\\n")}"`;
}

/** `minLength`, `maxLength` and `pattern`. */
export function checksOfString(schema: Keywords, compiler: Compiler): SchemaCheck[] {
  const { minLength, maxLength, pattern } = schema;
  const checks: ((text: string) => string | undefined)[] = [];
  if (typeof minLength === "number") {
    checks.push((text) => lengthProblem(lengthOf(text), minLength, Infinity));
  }
  if (typeof maxLength === "number") {
    checks.push((text) => lengthProblem(lengthOf(text), 0, maxLength));
  }
  if (typeof pattern === "string") {
    const compiled = compiler.pattern(pattern);
    checks.push((text) => (compiled.test(text) ? undefined : `failed to match pattern ${show(pattern)} with ${show(text)}`));
  }
  return checks.map((check) => (value) => (typeof value === "string" ? check(value) : undefined));
}

function lengthProblem(length: number, min: number, max: number): string | undefined {
  if (length < min) return `string too short, expected at least ${min}, got ${length}`;
  return length > max ? `string too long, expected at most ${max}, got ${length}` : undefined;
}

/** In characters, not in UTF-16 units. */
function lengthOf(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0xd800 && code <= 0xdbff && i + 1 < text.length) i++;
    length++;
  }
  return length;
}

/** Both spellings of each bound: draft-04 has exclusive bounds as flags. */
function boundsOf(schema: Keywords): Readonly<Record<"minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum", unknown>> {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = schema;
  return {
    minimum: exclusiveMinimum === true ? undefined : minimum,
    exclusiveMinimum: exclusiveMinimum === true ? minimum : exclusiveMinimum,
    maximum: exclusiveMaximum === true ? undefined : maximum,
    exclusiveMaximum: exclusiveMaximum === true ? maximum : exclusiveMaximum,
  };
}

/** `minimum`, `maximum`, their exclusive forms, and `multipleOf`. */
export function checksOfNumber(schema: Keywords): SchemaCheck[] {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = boundsOf(schema);
  const { multipleOf } = schema;
  const checks: ((value: number) => string | undefined)[] = [];
  const add = (bound: unknown, words: string, isOver: (value: number, bound: number) => boolean): void => {
    if (typeof bound !== "number") return;
    checks.push((value) => (isOver(value, bound) ? `expected ${value} to be ${words} ${bound}` : undefined));
  };
  add(minimum, "at least", (value, bound) => value < bound);
  add(exclusiveMinimum, "greater than", (value, bound) => value <= bound);
  add(maximum, "at most", (value, bound) => value > bound);
  add(exclusiveMaximum, "smaller than", (value, bound) => value >= bound);
  add(multipleOf, "a multiple of", (value, bound) => !isMultiple(value, bound));
  return checks.map((check) => (value) => (typeof value === "number" ? check(value) : undefined));
}

/** 1.13 is a multiple of 0.01, although the quotient of the two floating-point numbers has a rest. */
function isMultiple(value: number, of: number): boolean {
  const quotient = value / of;
  const rounded = Math.round(quotient);
  return Math.abs(quotient - rounded) <= 1e-12 * Math.max(1, Math.abs(rounded));
}

function matching(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern);
  return (text) => compiled.test(text);
}

const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  email: matching("^[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+\\.[A-Za-z]{2,4}$"),
  ipv4: (text) => ipaddr.IPv4.isValidFourPartDecimal(text),
  ipv6: (text) => ipaddr.IPv6.isValid(text),
  hostname: matching("^[a-zA-Z0-9.-]+$"),
  uuid: matching("^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"),
  date: matching("^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])$"),
  "date-time": matching(
    "^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$",
  ),
  uri: matching("^[a-zA-Z][a-zA-Z0-9+.-]*:[^\\s]*$"),
};

/** `format`, for the formats that are known; another is a remark. */
export function formatCheck(format: unknown): SchemaCheck[] {
  if (typeof format !== "string" || !Object.hasOwn(FORMATS, format)) return [];
  const fits = FORMATS[format];
  return [(value) => (typeof value !== "string" || fits?.(value) ? undefined : `expect valid ${format} format but got: ${value}`)];
}
