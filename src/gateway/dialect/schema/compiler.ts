import type { PatternCompiler } from "../../routing/pattern.ts";

/** What is wrong with a value, or undefined. Fills in the schema's defaults where the value leaves something out. */
export type SchemaCheck = (value: unknown) => string | undefined;

/** How a schema is read. */
export interface SchemaOptions {
  /** Compiles the patterns of the schema; without it only those are taken that run in linear time. */
  readonly pattern?: PatternCompiler;
  /** Whether `{}` may stand for an empty list and `[]` for an empty object, as documents written by Lua have it; they are put right. */
  readonly emptyIsEither?: boolean;
  /** Whether `table` and `function` are types too, as the dialect's own checker has it: any object or list, and nothing at all. */
  readonly luaTypes?: boolean;
}

/** What the parts of one schema are compiled with. */
export interface Compiler {
  readonly emptyIsEither: boolean;
  readonly pattern: (source: string) => { test(text: string): boolean };
  compile(schema: unknown): SchemaCheck;
}

/** The keywords of a schema that is an object. */
export type Keywords = Readonly<Record<string, unknown>>;

/** Whether this is an object of JSON. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
