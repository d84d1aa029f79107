import { Fault } from "../../kernel/index.ts";
import type { ExpressionSource } from "../dialect/objects.ts";
import { compileAddresses } from "./addresses.ts";
import type { Equality } from "./candidates.ts";
import type { PatternCompiler } from "./pattern.ts";
import type { VariableSource } from "./variable-source.ts";

/** A compiled condition. */
export interface Expression {
  /** The names of its variables. */
  readonly variables: readonly string[];
  /** Conditions without which it does not hold. */
  readonly equalities: readonly Equality[];
  holds(source: VariableSource): boolean;
}

type Value = string | number | undefined;
type Test = (source: VariableSource) => boolean;
type Compare = (left: Value) => boolean;

/** Compiles a condition in the language of lua-resty-expr. Throws `invalid_settings` for what is none; patterns as `pattern` says. */
export function compileExpression(source: ExpressionSource, pattern: PatternCompiler): Expression {
  const variables: string[] = [];
  if (source.length === 0) return { variables, equalities: [], holds: () => true };
  if (!isList(source[0]) && !isLogic(source[0])) throw invalid("rule should be wrapped inside brackets");
  const test = compileRule(source, pattern, variables);
  return { variables, equalities: equalitiesOf(source), holds: test };
}

/** Of a list that is joined by AND, which a list without a head is. */
function equalitiesOf(source: ExpressionSource): readonly Equality[] {
  const [head, ...rest] = source;
  if (typeof head === "string" && head.toUpperCase() !== "AND") return [];
  return (typeof head === "string" ? rest : source).flatMap((part) => {
    const [variable, operator, value, ...more] = Array.isArray(part) ? (part as readonly unknown[]) : [];
    const isEquality = typeof variable === "string" && operator === "==" && typeof value === "string" && more.length === 0;
    return isEquality ? [{ variable, value }] : [];
  });
}

/** An empty object is as good as an empty list: Lua does not tell them apart. */
function isList(value: unknown): boolean {
  return Array.isArray(value) || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
}

function isLogic(head: unknown): head is string {
  return typeof head === "string" && ["AND", "OR", "!AND", "!OR"].includes(head.toUpperCase());
}

function compileRule(rule: unknown, pattern: PatternCompiler, variables: string[]): Test {
  if (!Array.isArray(rule) || rule.length === 0) throw invalid("rule too short");
  const [head, ...rest] = rule as readonly unknown[]; // Array.isArray gives any[]
  if (isList(head)) return every(rule.map((part) => compileRule(part, pattern, variables)));
  if (!isLogic(head)) return compileComparison(rule, pattern, variables);
  if (rest.length < 2) throw invalid("rule too short");
  const parts = rest.map((part) => compileRule(part, pattern, variables));
  const joined = head.toUpperCase().endsWith("AND") ? every(parts) : some(parts);
  return head.startsWith("!") ? (source) => !joined(source) : joined;
}

function every(parts: readonly Test[]): Test {
  const [only] = parts;
  if (only && parts.length === 1) return only;
  return (source) => parts.every((part) => part(source));
}

function some(parts: readonly Test[]): Test {
  return (source) => parts.some((part) => part(source));
}

function compileComparison(rule: readonly unknown[], pattern: PatternCompiler, variables: string[]): Test {
  const negated = rule.length === 4;
  if (negated && rule[1] !== "!") throw invalid("bad 'not' expression");
  const [name, operator, right] = negated ? [rule[0], rule[2], rule[3]] : rule;
  if (typeof name !== "string" || (typeof operator !== "string" && typeof operator !== "number") || rule.length > 4)
    throw invalid("invalid expression");
  const folded = String(operator).toLowerCase();
  variables.push(name);
  if (!isBodyPath(name)) throw invalid(`invalid expression: ${name} is no path into a body`);
  if (folded === "has") return hasElement(name, right, negated);
  // two parts mean equality, unless the second is an operator, which then compares with nothing
  const compare = rule.length === 2 && !OPERATORS.has(folded) ? equals(operator) : comparison(folded, right ?? undefined, pattern);
  return negated ? (source) => !compare(source.variable(name)) : (source) => compare(source.variable(name));
}

const OPERATORS: ReadonlySet<string> = new Set(["==", "~=", ">", ">=", "<", "<=", "~~", "~*", "in", "has", "ipmatch"]);

function comparison(operator: string, right: unknown, pattern: PatternCompiler): Compare {
  switch (operator) {
    case "==":
      return equals(right);
    case "~=": {
      const same = equals(right);
      return (left) => !same(left);
    }
    case ">":
      return ordered(right, (a, b) => a > b);
    case ">=":
      return ordered(right, (a, b) => a >= b);
    case "<":
      return ordered(right, (a, b) => a < b);
    case "<=":
      return ordered(right, (a, b) => a <= b);
    case "~~":
      return matches(right, "", pattern);
    case "~*":
      return matches(right, "i", pattern);
    case "in":
      return isIn(right);
    case "ipmatch":
      return inRange(right);
    default:
      throw invalid(`invalid operator '${operator}'`);
  }
}

/** `has` looks at the variable as a list; whatever is none has nothing. */
function hasElement(name: string, right: unknown, negated: boolean): Test {
  return (source) => (source.list?.(name)?.includes(right) ?? false) !== negated;
}

const BODY_PATH = /^post_arg\.(?:[^.[\]]*(?:\[(?:\*|\d+|'[^']*'|"[^"]*"|[\d:,-]+|\??\([^)]*\))\])*(?:\.|$))*$/;

/** Paths into a body are in the language of JSONPath. */
function isBodyPath(name: string): boolean {
  return !name.startsWith("post_arg.") || BODY_PATH.test(name);
}

function equals(right: unknown): Compare {
  if (typeof right === "number") return (left) => toNumber(left) === right;
  return (left) => left === right;
}

function ordered(right: unknown, compare: (left: number, right: number) => boolean): Compare {
  const bound = toNumber(right);
  if (bound === undefined) return () => false;
  return (left) => {
    const value = toNumber(left);
    return value !== undefined && compare(value, bound);
  };
}

function matches(right: unknown, flags: string, pattern: PatternCompiler): Compare {
  const compiled = pattern(String(right), flags);
  return (left) => left !== undefined && compiled.test(String(left));
}

function isIn(right: unknown): Compare {
  const values = new Set<unknown>(Array.isArray(right) ? right : []);
  return (left) => left !== undefined && values.has(left);
}

function inRange(right: unknown): Compare {
  const matcher = compileAddresses((Array.isArray(right) ? right : [right]).map(String));
  return (left) => left !== undefined && matcher(String(left));
}

const LUA_NUMBER = /^\s*[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*$/;

/** What Lua's `tonumber` makes of a value. */
function toNumber(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !LUA_NUMBER.test(value)) return undefined;
  const text = value.trim();
  return /^[+-]/.test(text) ? (text.startsWith("-") ? -1 : 1) * Number(text.slice(1)) : Number(text);
}

function invalid(detail: string): Fault {
  return new Fault("invalid_settings", detail, { public: { detail } });
}
