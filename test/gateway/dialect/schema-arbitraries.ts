import fc, { type GeneratorValue } from "fast-check";

/** Names of properties, one of which every object inherits. */
const NAMES = ["a", "b", "c", "hasOwnProperty"] as const;
const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"] as const;
/** Of which RE2 and JavaScript have the same opinion. */
const PATTERNS = ["^a", "b$", "^[a-c]+$", "^(?:a|bc)?$", "\\d", "^\\w{2,3}$", "[^x]"] as const;

const name = fc.constantFrom(...NAMES);
const text = fc.constantFrom("a", "", "$host", "/a", "^/a", "GET", "http://a.example/x", "127.0.0.1", "a-b_c", "x y", "é");
const size = fc.nat({ max: 3 });
const some = <T>(values: readonly T[], max = values.length): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: max });

/** Small values of JSON, so that different schemas often have an opinion on them. */
export const jsonValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, false, 0, -0, 1, 2, 3, 1.5, -1, "", "a", "b", "bc", "ab1", "x", "\u{1F600}", "é\n"),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(name, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

/** One schema of several; without what Ajv reads in a way of its own: see the differences. */
function joined(parts: readonly object[]): object {
  const { contains, ...keywords } = Object.assign({}, ...parts) as { contains?: unknown; items?: unknown; minItems?: number }; // objects all of them
  if (contains === undefined || Array.isArray(keywords.items)) return keywords;
  return { ...keywords, contains, minItems: Math.max(1, keywords.minItems ?? 1) };
}

/** Schemas of draft-07 made of every keyword that the checker has, but for `default` and `format`. */
export const jsonSchema: fc.Arbitrary<unknown> = fc
  .letrec<{ schema: unknown; keywords: object }>((tie) => {
    const schema = tie("schema");
    const list = fc.array(schema, { minLength: 1, maxLength: 3 });
    const named = fc.dictionary(name, schema, { minKeys: 1, maxKeys: 3, noNullPrototype: true });
    const patterned = fc.dictionary(fc.constantFrom(...PATTERNS), schema, { minKeys: 1, maxKeys: 2, noNullPrototype: true });
    const parts: Record<string, fc.Arbitrary<unknown>> = {
      type: fc.oneof(fc.constantFrom(...TYPES), some(TYPES, 4)),
      properties: named,
      required: some(NAMES, 2),
      dependencies: fc.dictionary(name, fc.oneof(some(NAMES, 2), schema), { minKeys: 1, maxKeys: 2, noNullPrototype: true }),
      patternProperties: patterned,
      additionalProperties: schema,
      propertyNames: schema,
      minProperties: size,
      maxProperties: size,
      items: fc.oneof(schema, list),
      additionalItems: schema,
      minItems: size,
      maxItems: size,
      uniqueItems: fc.boolean(),
      contains: schema,
      minLength: size,
      maxLength: size,
      pattern: fc.constantFrom(...PATTERNS),
      minimum: size,
      maximum: size,
      exclusiveMinimum: size,
      exclusiveMaximum: size,
      multipleOf: fc.constantFrom(1, 2, 3),
      enum: fc.uniqueArray(jsonValue, { minLength: 1, maxLength: 4, selector: (value) => JSON.stringify(value) }),
      const: jsonValue,
      allOf: list,
      anyOf: list,
      oneOf: list,
      not: schema,
      if: schema,
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: schema,
      else: schema,
    };
    const one = fc.oneof(...Object.entries(parts).map(([keyword, value]) => fc.record({ [keyword]: value })));
    return {
      keywords: fc.array(one, { minLength: 1, maxLength: 4 }).map(joined),
      schema: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc.boolean(),
        fc.constantFrom(...TYPES).map((type) => ({ type })),
        fc.constantFrom("#/definitions/a", "#/definitions/b~1c", "#/definitions/tree").map(($ref) => ({ $ref })),
        tie("keywords"),
      ),
    };
  })
  .keywords.chain((root) =>
    fc.tuple(fc.constantFrom(...TYPES), fc.constantFrom(...PATTERNS)).map(([type, pattern]) => ({
      ...root,
      definitions: {
        a: { type },
        "b/c": { pattern },
        tree: { properties: { a: { $ref: "#/definitions/tree" }, b: { type } }, items: { $ref: "#/definitions/tree" } },
      },
    })),
  );

type Schema = Readonly<Record<string, unknown>>;

/** A value made after the schema, mostly right and often wrong in a place. */
export function valueFor(schema: unknown, draw: GeneratorValue, depth = 0): unknown {
  if (typeof schema !== "object" || schema === null || depth > 6 || draw(fc.nat, { max: 39 }) === 0) return draw(() => jsonValue);
  const keywords = schema as Schema; // no array: a schema
  for (const choice of ["oneOf", "anyOf"])
    if (Array.isArray(keywords[choice]) && keywords["properties"] === undefined) {
      const of: readonly unknown[] = keywords[choice];
      return valueFor(of[draw(fc.nat, { max: of.length - 1 })], draw, depth + 1);
    }
  if (Object.hasOwn(keywords, "const")) return keywords["const"];
  if (Array.isArray(keywords["enum"])) return (keywords["enum"] as unknown[])[draw(fc.nat, { max: keywords["enum"].length - 1 })]; // within
  const types: readonly unknown[] = Array.isArray(keywords["type"]) ? keywords["type"] : [keywords["type"]];
  const type = types[draw(fc.nat, { max: types.length - 1 })];
  if (type === "object" || keywords["properties"] !== undefined) return objectFor(keywords, draw, depth);
  if (type === "array") return listFor(keywords, draw, depth);
  if (type === "string") return stringFor(keywords, draw);
  if (type === "boolean") return draw(fc.boolean);
  if (type === "integer" || type === "number") return numberFor(keywords, draw);
  return draw(() => jsonValue);
}

function objectFor(schema: Schema, draw: GeneratorValue, depth: number): unknown {
  const [required, elsewhere] = requiredOf(schema, draw);
  const object: Record<string, unknown> = {};
  for (const [key, part] of Object.entries((schema["properties"] ?? {}) as Schema))
    // properties are an object
    if (draw(fc.nat, { max: 39 }) < (required.includes(key) ? 39 : elsewhere.includes(key) ? 1 : 10))
      object[key] = valueFor(part, draw, depth + 1);
  if (draw(fc.nat, { max: 9 }) === 0) object[draw(() => name)] = draw(() => jsonValue);
  const [pattern] = Object.entries((schema["patternProperties"] ?? {}) as Schema); // as above
  if (pattern) object[draw(() => fc.constantFrom("a", "b1", "X"))] = valueFor(pattern[1], draw, depth + 1);
  return object;
}

/** What the schema and one of its branches require, and what its other branches do. */
function requiredOf(schema: Schema, draw: GeneratorValue): readonly [required: readonly unknown[], elsewhere: readonly unknown[]] {
  const namesOf = (part: unknown): unknown[] => {
    const names: unknown = typeof part === "object" && part !== null && Reflect.get(part, "required");
    return Array.isArray(names) ? names : [];
  };
  const branches: unknown = schema["oneOf"] ?? schema["anyOf"];
  if (!Array.isArray(branches)) return [namesOf(schema), []];
  const chosen = draw(fc.nat, { max: branches.length - 1 });
  return [[...namesOf(schema), ...namesOf(branches[chosen])], branches.flatMap(namesOf)];
}

function listFor({ items, minItems }: Schema, draw: GeneratorValue, depth: number): unknown {
  const length = (typeof minItems === "number" ? minItems : 0) + draw(fc.nat, { max: 2 });
  return Array.from({ length }, (_, i) => valueFor(Array.isArray(items) ? items[i] : items, draw, depth + 1));
}

function stringFor({ minLength }: Schema, draw: GeneratorValue): string {
  const drawn = draw(() => text);
  return typeof minLength === "number" ? drawn.padEnd(minLength, "a") : drawn;
}

function numberFor({ minimum, maximum, exclusiveMinimum }: Schema, draw: GeneratorValue): number {
  const bounds = [minimum, maximum, exclusiveMinimum].filter((bound) => typeof bound === "number");
  const near = bounds.flatMap((bound) => [bound - 1, bound, bound + 1, bound + 0.5]);
  if (draw(fc.nat, { max: 19 }) === 0) return draw(() => fc.constantFrom(0, 1, 200, 503, ...near));
  const least = Math.max(typeof minimum === "number" ? minimum : 1, typeof exclusiveMinimum === "number" ? exclusiveMinimum + 1 : 1);
  return least + draw(fc.nat, { max: typeof maximum === "number" ? Math.max(0, maximum - least) : 3 });
}
