import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Fault, type FaultCode, type Json, JSON_BOUNDS, parseJson } from "../../src/kernel/index.ts";

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "utf8");

function codeOf(bytes: Uint8Array, bounds = JSON_BOUNDS): FaultCode | "taken" {
  try {
    parseJson(bytes, bounds);
    return "taken";
  } catch (error) {
    assert.ok(error instanceof Fault);
    return error.code;
  }
}

/** Texts that every reader takes for the same value. */
const GOOD: readonly (readonly [string, Json])[] = [
  ["null", null],
  ["true", true],
  [" \t\r\n0 ", 0],
  ["-0.0", -0],
  ["1e2", 100],
  ["1E+2", 100],
  ["1e-2", 0.01],
  ["[]", []],
  ["{}", {}],
  ['""', ""],
  ['"\\u0041\\n\\/\\"\\\\"', 'A\n/"\\'],
  ['"\\ud83d\\ude00"', "😀"],
  ['"😀"', "😀"],
  ['"\\u2028\u2028"', "\u2028\u2028"],
  ['"\uffff"', "\uffff"],
  ['"\u007f"', "\u007f"],
  ['{"a":1,"b":{"a":1}}', { a: 1, b: { a: 1 } }],
  ['[{"a":1},{"a":2}]', [{ a: 1 }, { a: 2 }]],
  ['{"a":"a","b":"a"}', { a: "a", b: "a" }],
  ['{"":0}', { "": 0 }],
  ['{"constructor":1,"toString":2}', { constructor: 1, toString: 2 }],
  ['["__proto__"]', ["__proto__"]],
  ['{"é":1,"e\u0301":2}', { é: 1, "e\u0301": 2 }],
  ["1.7976931348623157e308", Number.MAX_VALUE],
  ["5e-324", Number.MIN_VALUE],
  ["1e-400", 0],
  [`0.${"1".repeat(400)}`, 1 / 9],
  ['{"a":"{[\\"","b":"]}"}', { a: '{["', b: "]}" }],
  ['"1e999"', "1e999"],
  ['"' + "9".repeat(400) + '"', "9".repeat(400)],
];

/** Texts that are no JSON, or that two readers could take for different values. */
const BAD: readonly string[] = [
  "",
  " ",
  "nul",
  "NULL",
  "True",
  "undefined",
  "NaN",
  "Infinity",
  "-Infinity",
  "-",
  "+1",
  "01",
  "-01",
  "1.",
  ".5",
  "1e",
  "1e+",
  "1.e1",
  "0x10",
  "1_000",
  "1e5e5",
  "1 2",
  "1,",
  "[1,]",
  "[,1]",
  "[1 2]",
  "[1",
  "]",
  "[}",
  '{"a":1,}',
  '{"a"}',
  '{"a":}',
  '{"a" 1}',
  "{a:1}",
  "{'a':1}",
  "{1:1}",
  '{"a":1',
  '{"a":1}}',
  '{"a":1}{"a":1}',
  '"',
  '"a',
  '"\\"',
  '"\\x41"',
  '"\\u12"',
  '"\\U0041"',
  '"\t"',
  '"\n"',
  '"\u0000"',
  "// comment\n1",
  "/* comment */ 1",
  "1 # comment",
  "\ufeff1",
  "\u00a01",
  "\v1",
  // the same name twice, in one spelling and in others
  '{"a":1,"a":1}',
  '{"a":1,"b":{},"a":2}',
  '{"a":1,"\\u0061":2}',
  '{"\\u0061":1,"\\u0061":2}',
  '{"tenantId":"a","tenant\\u0049d":"b"}',
  '{"":1,"":2}',
  '{"/":1,"\\/":2}',
  '{"é":1,"\\u00e9":2}',
  '{"😀":1,"\\ud83d\\ude00":2}',
  '[{"a":{"b":1,"b":2}}]',
  // names that change what an object is
  '{"__proto__":{}}',
  '{"\\u005f_proto__":{}}',
  '{"a":{"__proto__":1}}',
  // characters that other readers cut, replace or refuse
  '"\\u0000"',
  '{"\\u0000":1}',
  '{"a\\u0000b":1}',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '{"\\ud800":1}',
  // numbers that are infinite to some
  "1e309",
  "-1e309",
  "[1e400]",
  '{"n":1E+400}',
  "9".repeat(310),
  `-${"9".repeat(400)}`,
  `${"9".repeat(400)}.5`,
];

/** Bytes that are not UTF-8. */
const BAD_BYTES: readonly (readonly [string, readonly number[]])[] = [
  ["a lone continuation byte", [0x22, 0x80, 0x22]],
  ["an overlong slash", [0x22, 0xc0, 0xaf, 0x22]],
  ["an overlong NUL", [0x22, 0xc0, 0x80, 0x22]],
  ["a surrogate in UTF-8", [0x22, 0xed, 0xa0, 0x80, 0x22]],
  ["beyond Unicode", [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]],
  ["cut in the middle", [0x22, 0xf0, 0x9f, 0x98]],
  ["Latin-1", [0x22, 0xe9, 0x22]],
  ["UTF-16 with a mark", [0xff, 0xfe, 0x31, 0x00]],
  ["UTF-16 without", [0x31, 0x00]],
  ["UTF-8 with a mark", [0xef, 0xbb, 0xbf, 0x31]],
];

describe("the JSON reader", () => {
  test("takes what every reader takes for the same value", () => {
    for (const [text, value] of GOOD) assert.deepEqual(parseJson(bytesOf(text)), value, text);
  });

  test("refuses what is no JSON, and what two readers could take for different values", () => {
    for (const text of BAD) assert.equal(codeOf(bytesOf(text)), "invalid_json", JSON.stringify(text));
    for (const [name, bytes] of BAD_BYTES) assert.equal(codeOf(Uint8Array.from(bytes)), "invalid_json", name);
  });

  test("gives every JSON value as it was written", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "grapheme" }), fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const code = codeOf(bytesOf(text));
        if (code === "taken") assert.deepEqual(parseJson(bytesOf(text)), JSON.parse(text));
        else assert.ok(text.includes("__proto__") || text.includes("\\u0000"), text);
      }),
      { numRuns: 3_000 },
    );
  });

  test("takes nothing that JSON.parse refuses, and gives nothing else than it does", () => {
    const tokens = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      "\\",
      "a",
      '"a"',
      '"b"',
      "0",
      "1",
      "-",
      ".",
      "e",
      "+",
      "true",
      " ",
      "\\u0061",
    );
    fc.assert(
      fc.property(fc.array(tokens, { maxLength: 14 }), (parts) => {
        const text = parts.join("");
        if (codeOf(bytesOf(text)) === "taken") assert.deepEqual(parseJson(bytesOf(text)), JSON.parse(text));
      }),
      { numRuns: 20_000 },
    );
  });

  test("refuses an object that has any name twice, however deep and however spelled", () => {
    const spell = (name: string, escaped: boolean): string =>
      escaped
        ? `"${name
            .split("")
            .map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
            .join("")}"`
        : JSON.stringify(name);
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z/"\\]{1,5}$/), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(names, fc.nat(), fc.boolean(), fc.boolean(), fc.nat(5), (unique, pick, first, second, depth) => {
        const wrap = (members: readonly string[]): string => `${'{"in":['.repeat(depth)}{${members.join(",")}}${"]}".repeat(depth)}`;
        const members = unique.map((name) => `${spell(name, first)}:1`);
        assert.equal(codeOf(bytesOf(wrap(members))), "taken");
        const twice = unique[pick % unique.length] ?? "";
        assert.equal(codeOf(bytesOf(wrap([...members, `${spell(twice, second)}:2`]))), "invalid_json");
      }),
      { numRuns: 1_000 },
    );
  });

  test("stops at the depth and at the size that are allowed, and not before", () => {
    const { depthMax, bytesMax } = JSON_BOUNDS;
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    const objects = (depth: number): string => '{"a":'.repeat(depth) + "1" + "}".repeat(depth);
    for (const make of [nested, objects]) {
      assert.equal(codeOf(bytesOf(make(depthMax))), "taken");
      assert.equal(codeOf(bytesOf(make(depthMax + 1))), "body_too_deep");
    }
    assert.equal(codeOf(bytesOf("[".repeat(100_000))), "body_too_deep");
    assert.equal(codeOf(bytesOf(`[${"[],".repeat(1_000)}[]]`)), "taken", "many beside each other are not deep");
    assert.equal(codeOf(bytesOf(`"${"a".repeat(bytesMax - 2)}"`)), "taken");
    assert.equal(codeOf(bytesOf(`"${"a".repeat(bytesMax - 1)}"`)), "body_too_large");
    assert.equal(codeOf(bytesOf("[[1]]"), { depthMax: 1, bytesMax: 100 }), "body_too_deep");
  });

  test("says where, and never what: no part of the text is in the fault", () => {
    const canary = "CANARY";
    const texts = [
      `{"a":"${canary}" x}`,
      `{"${canary}":1,"${canary}":2}`,
      canary,
      `["${canary}\\ud800"]`,
      `{"a":${canary}}`,
      `["${canary}`,
    ];
    for (const text of texts) {
      assert.throws(
        () => parseJson(bytesOf(text)),
        (error: unknown) => {
          assert.ok(error instanceof Fault);
          for (const shown of [error.message, JSON.stringify(error.public), error.stack ?? ""]) assert.ok(!shown.includes(canary), shown);
          assert.equal(error.cause, undefined);
          return true;
        },
      );
    }
    assert.throws(() => parseJson(bytesOf('{"a":1,"a":2}')), { public: { detail: "An object has the same name twice, at character 8." } });
    assert.throws(() => parseJson(bytesOf('{"a":1,}')), { public: { detail: "The body is not JSON, at character 8." } });
  });
});
