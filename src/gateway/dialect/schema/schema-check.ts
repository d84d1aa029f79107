import { createPatternCompiler } from "../../routing/pattern.ts";
import { type Compiler, isRecord, type Keywords, type SchemaCheck, type SchemaOptions } from "./compiler.ts";
import { checksOfList } from "./list-checks.ts";
import { checksOfObject } from "./object-checks.ts";
import { checksOfNumber, checksOfString, formatCheck, isSame, kindOf, show } from "./scalar-checks.ts";

const DEPTH_MAX = 100;

/**
 * Compiles a JSON Schema (draft-07) to a check whose texts are those of Lua's jsonschema library, since clients of the dialect read them.
 * Keywords run in that library's order: an object's properties, with their defaults, before `if`, `anyOf` and the like see it. Nothing is
 * evaluated as code and patterns run in linear time. Throws an Error for a schema that cannot be used: a reference that leads nowhere or
 * out of the document, an unknown type, a pattern that does not compile.
 */
export function createSchemaCheck(schema: unknown, options: SchemaOptions = {}): SchemaCheck {
  return new SchemaCompiler(schema, options).compile(schema);
}

class SchemaCompiler implements Compiler {
  readonly emptyIsEither: boolean;
  readonly pattern: Compiler["pattern"];
  readonly #types: ReadonlySet<unknown>;
  readonly #root: unknown;
  readonly #referenced = new Map<string, SchemaCheck>();
  #depth = 0;

  constructor(root: unknown, options: SchemaOptions) {
    this.#root = root;
    this.emptyIsEither = options.emptyIsEither ?? false;
    this.#types = options.luaTypes ? LUA_TYPES : TYPES;
    const pattern = options.pattern ?? createPatternCompiler("strict", () => undefined);
    this.pattern = (source) => pattern(source, "");
  }

  compile(schema: unknown): SchemaCheck {
    if (schema === true) return () => undefined;
    if (schema === false) return () => "expect false always";
    if (!isRecord(schema)) throw new Error("a schema is an object or a boolean");
    if (typeof schema["$ref"] === "string") return this.#reference(schema["$ref"]);
    if (++this.#depth > DEPTH_MAX) throw new Error("the schema is nested too deeply");
    const checks = this.#checksOf(schema);
    this.#depth--;
    const [only] = checks;
    return checks.length === 1 && only ? only : allOf(checks);
  }

  #checksOf(schema: Keywords): SchemaCheck[] {
    return [
      ...typeCheck(schema["type"], this.#types, this.emptyIsEither),
      ...checksOfObject(schema, this),
      ...checksOfList(schema, this),
      ...checksOfString(schema, this),
      ...checksOfNumber(schema),
      ...enumCheck(schema["enum"]),
      ...this.#compounds(schema),
      ...formatCheck(schema["format"]),
      ...constCheck(schema),
    ];
  }

  #compounds(schema: Keywords): SchemaCheck[] {
    const checks: SchemaCheck[] = [];
    if (Array.isArray(schema["allOf"])) checks.push(...schema["allOf"].map((part, i) => this.#part(part, i)));
    if (Array.isArray(schema["anyOf"])) checks.push(this.#anyOf(schema["anyOf"]));
    if (Array.isArray(schema["oneOf"])) checks.push(this.#oneOf(schema["oneOf"]));
    if (schema["if"] !== undefined) checks.push(this.#condition(schema));
    if (schema["not"] !== undefined) {
      const refused = this.compile(schema["not"]);
      checks.push((value) => (refused(value) === undefined ? "value wasn't supposed to match schema" : undefined));
    }
    return checks;
  }

  #part(schema: unknown, at: number): SchemaCheck {
    const check = this.compile(schema);
    return (value) => {
      const wrong = check(value);
      return wrong === undefined ? undefined : `allOf ${at + 1} failed: ${wrong}`;
    };
  }

  #anyOf(schemas: readonly unknown[]): SchemaCheck {
    const checks = schemas.map((each) => this.compile(each));
    const required = schemas.flatMap((each) =>
      isRecord(each) && Array.isArray(each["required"]) ? [JSON.stringify(each["required"])] : [],
    );
    const text = `object matches none of the required${required.length > 0 ? `: ${required.join(" or ")}` : ""}`;
    return (value) => (checks.some((check) => check(value) === undefined) ? undefined : text);
  }

  #oneOf(schemas: readonly unknown[]): SchemaCheck {
    const checks = schemas.map((each) => this.compile(each));
    return (value) => {
      let matched = 0;
      for (const [i, check] of checks.entries()) {
        if (check(value) !== undefined) continue;
        if (matched > 0) return `value should match only one schema, but matches both schemas ${matched} and ${i + 1}`;
        matched = i + 1;
      }
      return matched > 0 ? undefined : "value should match only one schema, but matches none";
    };
  }

  #condition(schema: Keywords): SchemaCheck {
    const condition = this.compile(schema["if"]);
    const then = this.compile(schema["then"] ?? true);
    const otherwise = this.compile(schema["else"] ?? true);
    return (value) => {
      if (condition(value) === undefined) return then(value) === undefined ? undefined : "then clause did not match";
      return otherwise(value) === undefined ? undefined : "else clause did not match";
    };
  }

  #reference(pointer: string): SchemaCheck {
    const known = this.#referenced.get(pointer);
    if (known) return known;
    // a schema may lead back to itself: what is asked for while it is being compiled is there when a value comes
    const place: { check?: SchemaCheck } = {};
    this.#referenced.set(pointer, (value) => place.check?.(value));
    place.check = this.compile(resolvePointer(this.#root, pointer));
    return place.check;
  }
}

/** The first thing that is wrong. */
function allOf(checks: readonly SchemaCheck[]): SchemaCheck {
  return (value) => {
    for (const check of checks) {
      const wrong = check(value);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

const TYPES: ReadonlySet<unknown> = new Set(["object", "array", "string", "number", "integer", "boolean", "null"]);

const LUA_TYPES: ReadonlySet<unknown> = new Set([...TYPES, "table", "function"]);

function typeCheck(type: unknown, known: ReadonlySet<unknown>, emptyIsEither: boolean): SchemaCheck[] {
  if (type === undefined) return [];
  const types: readonly unknown[] = Array.isArray(type) ? type : [type];
  const unknown = types.find((each) => !known.has(each));
  if (unknown !== undefined || types.length === 0) throw new Error(`invalid JSON type: ${String(unknown)}`);
  const expected = Array.isArray(type) ? `one of ${types.join(", ")}` : show(types[0]).replaceAll('"', "");
  const fits = (value: unknown, each: unknown): boolean => {
    const kind = kindOf(value);
    if (each === "number") return kind === "number" || kind === "integer";
    if (each === "table") return kind === "object" || kind === "array";
    return kind === each || (emptyIsEither && (each === "object" || each === "array") && isEmpty(value));
  };
  return [(value) => (types.some((each) => fits(value, each)) ? undefined : `wrong type: expected ${expected}, got ${luaType(value)}`)];
}

/** The name that Lua has for the type, which is what the texts say. */
function luaType(value: unknown): string {
  const kind = kindOf(value);
  if (kind === "object" || kind === "array") return "table";
  if (kind === "null") return "userdata";
  return kind === "integer" ? "number" : kind;
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function enumCheck(values: unknown): SchemaCheck[] {
  if (values === undefined) return [];
  if (!Array.isArray(values)) throw new Error(`invalid enum: table expected, got ${luaType(values)}`);
  const allowed: readonly unknown[] = values;
  return [(value) => (allowed.some((each) => isSame(each, value)) ? undefined : "matches none of the enum values")];
}

function constCheck(schema: Keywords): SchemaCheck[] {
  if (!Object.hasOwn(schema, "const")) return [];
  return [(value) => (isSame(schema["const"], value) ? undefined : "failed to check const value")];
}

function resolvePointer(root: unknown, pointer: string): unknown {
  if (pointer !== "#" && !pointer.startsWith("#/")) throw new Error(`the reference ${pointer} leads out of the schema`);
  let place: unknown = root;
  for (const part of pointer.split("/").slice(1)) {
    const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof place !== "object" || place === null || !Object.hasOwn(place, name))
      throw new Error(`the reference ${pointer} leads nowhere`);
    place = (place as Readonly<Record<string, unknown>>)[name]; // an own property, as was just seen
  }
  return place;
}
