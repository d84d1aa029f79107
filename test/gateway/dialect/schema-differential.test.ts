import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Ajv, type ValidateFunction } from "ajv";
import fc from "fast-check";
import { createSchemaCheck } from "../../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";
import { jsonSchema, jsonValue, valueFor } from "./schema-arbitraries.ts";

const SEED = Number(process.env["FREEHOLD_TEST_SEED"] ?? Date.now() % 2_147_483_647);
const SCHEMAS = 2_000;
const VALUES_EACH = 10;
const SETTINGS_EACH = 500;
/** A failure is made smaller for a minute, not for ever. */
const SHRINKING = { interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true };

/*
 * The two differ on purpose in these, and each is left out of the comparison exactly here and has a test of its own below or elsewhere:
 * - `default`: ours fills it in while it checks, and a required property must be there before; Ajv is told to fill in nothing.
 * - `format`: Ajv has none without another package. Ours has eight (test/gateway/dialect/validation.test.ts).
 * - `exclusiveMinimum: true`: the flag of draft-04, which Ajv does not read. It is written as draft-07 has it before Ajv sees it.
 * - Keywords beside `$ref`: nothing to ours, as in draft-07; Ajv looks at them.
 * - Patterns: RE2's and JavaScript's dot and Unicode classes differ; the patterns here have neither.
 * - `multipleOf` with fractions: ours allows for the error of floating-point numbers. With 1e21 and more: Ajv takes the number's text apart.
 * - `contains` and an empty list: ours refuses it always, Ajv not after another list that fitted. Beside a list in `items` Ajv does not look.
 * - A property declared as `__proto__`: Ajv leaves it out, ours checks it as any other.
 * - A schema that refers to itself in place, without going into the value: neither comes to an end.
 * - `emptyIsEither`: Ajv has no such thing. It changes nothing for a value without an empty list or object.
 */
/** The members of these are schemas by names, which are no keywords. */
const MAPS: ReadonlySet<string> = new Set(["properties", "patternProperties", "dependencies", "definitions"]);

/** The schema with each object of keywords in it changed. */
function rewrite(schema: unknown, change: (keywords: Record<string, unknown>) => void): unknown {
  if (Array.isArray(schema)) return schema.map((part) => rewrite(part, change));
  if (typeof schema !== "object" || schema === null) return schema;
  const keywords: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "enum" || key === "const") keywords[key] = value;
    else if (MAPS.has(key))
      keywords[key] = Object.fromEntries(
        Object.entries(value as object).map(([name, part]: [string, unknown]) => [name, rewrite(part, change)]),
      );
    else keywords[key] = rewrite(value, change);
  }
  change(keywords);
  return keywords;
}

function withoutDefaultsAndFormats(schema: unknown): unknown {
  return rewrite(schema, (keywords) => {
    delete keywords["default"];
    delete keywords["format"];
  });
}

function withBoundsOfDraft7(schema: unknown): unknown {
  return rewrite(schema, (keywords) => {
    for (const [flag, bound] of Object.entries({ exclusiveMinimum: "minimum", exclusiveMaximum: "maximum" })) {
      if (typeof keywords[flag] !== "boolean") continue;
      if (keywords[flag]) keywords[flag] = keywords[bound];
      else delete keywords[flag];
      if (keywords[flag] !== undefined) delete keywords[bound];
    }
  });
}

function ajvOf(schema: unknown): ValidateFunction {
  // inherited names are no properties of a value
  return new Ajv({ strict: false, ownProperties: true, validateFormats: false, logger: false }).compile(
    withBoundsOfDraft7(schema) as object | boolean,
  ); // what a schema is
}

describe(`the schema checker beside Ajv (seed ${SEED})`, () => {
  test(`${SCHEMAS} random schemas accept the same values`, (t) => {
    const count = { accepted: 0, refused: 0 };
    fc.assert(
      fc.property(jsonSchema, fc.gen(), (schema, draw) => {
        const [ours, theirs, lua] = [createSchemaCheck(schema), ajvOf(schema), createSchemaCheck(schema, { emptyIsEither: true })];
        for (let i = 0; i < VALUES_EACH; i++) {
          const value = i % 2 === 0 ? draw(() => jsonValue) : valueFor(schema, draw);
          const wrong = ours(structuredClone(value));
          assert.equal(
            wrong === undefined,
            theirs(value),
            `${JSON.stringify(value)}: ${wrong ?? "accepted"} / ${JSON.stringify(theirs.errors)}`,
          );
          if (!/\[\]|\{\}/.test(JSON.stringify(value))) assert.equal(lua(structuredClone(value)), wrong);
          count[wrong === undefined ? "accepted" : "refused"]++;
        }
      }),
      { seed: SEED, numRuns: SCHEMAS, ...SHRINKING },
    );
    t.diagnostic(JSON.stringify(count));
    const all = count.accepted + count.refused;
    assert.ok(Math.min(count.accepted, count.refused) > all / 10, "both verdicts are common");
  });

  test("an empty list contains nothing, also after one that does", () => {
    const check = createSchemaCheck({ items: { contains: { type: "null" } } });
    assert.equal(check([[null], [1, null]]), undefined);
    assert.notEqual(check([[null], []]), undefined);
    assert.notEqual(createSchemaCheck({ items: [true], contains: { type: "null" } })([1]), undefined);
  });

  const schemas = PLUGINS.flatMap(({ name, schema, consumer, metadata }): [string, unknown][] => [
    [name, schema],
    ...(consumer ? [[`${name} of a consumer`, consumer.schema] as [string, unknown]] : []),
    ...(metadata === undefined ? [] : [[`${name}'s metadata`, metadata] as [string, unknown]]),
  ]);
  for (const [name, schema] of schemas)
    test(`settings of ${name}: ${SETTINGS_EACH} random ones`, (t) => {
      const compared = withoutDefaultsAndFormats(schema);
      const [ours, theirs, filling] = [createSchemaCheck(compared), ajvOf(compared), createSchemaCheck(schema)];
      const count = { accepted: 0, refused: 0 };
      fc.assert(
        fc.property(fc.gen(), (draw) => {
          const value = valueFor(schema, draw);
          const wrong = ours(structuredClone(value));
          assert.equal(
            wrong === undefined,
            theirs(value),
            `${JSON.stringify(value)}: ${wrong ?? "accepted"} / ${JSON.stringify(theirs.errors)}`,
          );
          count[wrong === undefined ? "accepted" : "refused"]++;
          const filled = structuredClone(value);
          if (filling(filled) === undefined) assert.ok(theirs(filled), `with its defaults: ${JSON.stringify(filled)}`);
        }),
        { seed: SEED, numRuns: SETTINGS_EACH, ...SHRINKING },
      );
      t.diagnostic(JSON.stringify(count));
      assert.ok(Math.min(count.accepted, count.refused) > SETTINGS_EACH / 100, "both verdicts are common");
    });
});
