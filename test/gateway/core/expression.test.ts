import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { compileExpression } from "../../../src/gateway/routing/expression.ts";
import { createPatternCompiler } from "../../../src/gateway/routing/pattern.ts";
import { compileTemplate } from "../../../src/gateway/routing/template.ts";
import { Fault } from "../../../src/kernel/index.ts";

const VALUES: Readonly<Record<string, string | number>> = {
  arg_name: "jack",
  arg_age: "20",
  arg_hex: "0x10",
  arg_empty: "",
  http_x_id: "Abc-1",
  remote_addr: "10.1.2.3",
  status: 404,
};
const source = { variable: (name: string) => VALUES[name] };
const pattern = createPatternCompiler("strict", () => {});

const HOLDS: readonly (readonly [condition: readonly unknown[], holds: boolean])[] = [
  [[], true],
  [[["arg_name", "==", "jack"]], true],
  [[["arg_name", "jack"]], true],
  [[["arg_age", "==", 20]], true],
  [[["arg_age", "==", "20"]], true],
  [[["arg_name", "==", 20]], false],
  [[["arg_name", "~=", 20]], true],
  [[["arg_none", "~=", "x"]], true],
  [[["arg_none", "==", null]], true],
  [[["arg_empty", "==", null]], false],
  [[["arg_hex", "==", 16]], true],
  [[["arg_age", ">", 18]], true],
  [[["arg_age", ">", "18"]], true],
  [[["arg_age", "<=", 19.5]], false],
  [[["arg_name", ">", 1]], false],
  [[["arg_none", "<", 1]], false],
  [[["arg_name", "~~", "^ja"]], true],
  [[["http_x_id", "~~", "^abc"]], false],
  [[["http_x_id", "~*", "^abc"]], true],
  [[["arg_none", "~~", ".*"]], false],
  [[["arg_name", "in", ["rose", "jack"]]], true],
  [[["arg_name", "IN", ["jack"]]], true],
  [[["status", "in", ["404"]]], false],
  [[["status", "in", [404]]], true],
  [[["arg_name", "has", "jack"]], false],
  [[["arg_name", "!", "==", "jack"]], false],
  [[["arg_name", "!", "in", ["rose"]]], true],
  [[["arg_name", "!", "~~", "^r"]], true],
  [[["remote_addr", "ipmatch", ["10.0.0.0/8", "::1"]]], true],
  [[["remote_addr", "ipmatch", "192.168.0.0/16"]], false],
  [[["arg_name", "ipmatch", "0.0.0.0/0"]], false],
  [
    [
      ["arg_name", "==", "jack"],
      ["arg_age", "==", "21"],
    ],
    false,
  ],
  [["OR", ["arg_name", "==", "rose"], ["arg_age", ">", 18]], true],
  [["or", ["arg_name", "==", "rose"], ["arg_age", ">", 30]], false],
  [["AND", ["arg_name", "==", "jack"], ["OR", ["arg_age", "<", 18], ["arg_age", ">", 19]]], true],
  [["!AND", ["arg_name", "==", "jack"], ["arg_age", "==", 20]], false],
  [["!OR", ["arg_name", "==", "rose"], ["arg_age", "==", 21]], true],
];

test("conditions hold as in lua-resty-expr", () => {
  for (const [condition, holds] of HOLDS) {
    assert.equal(compileExpression(condition, pattern).holds(source), holds, JSON.stringify(condition));
  }
});

test("what is no condition is refused", () => {
  for (const [wrong, message] of [
    [["arg_name", "==", "jack"], "rule should be wrapped inside brackets"],
    [[["arg_name", "=", "jack"]], "invalid operator '='"],
    [[["arg_name", "not", "==", "jack"]], "bad 'not' expression"],
    [[["arg_name"]], "invalid expression"],
    [["AND", ["arg_name", "==", "jack"]], "rule too short"],
    [[[]], "rule too short"],
    [[["arg_name", "~~", "(?=a)b"]], undefined],
    [[["arg_name", "ipmatch", ["10.0.0.0/99"]]], undefined],
  ] as const) {
    assert.throws(
      () => compileExpression(wrong, pattern),
      (error) => error instanceof Fault && error.code === "invalid_settings" && (message === undefined || error.message === message),
      JSON.stringify(wrong),
    );
  }
});

test("templates put in values, defaults and nothing", () => {
  for (const [text, rendered] of [
    ["plain", "plain"],
    ["/a/$arg_name/b", "/a/jack/b"],
    ["${arg_name}s and ${ arg_age }", "jacks and 20"],
    ["${arg_none ?? nobody}", "nobody"],
    ["${arg_name ?? nobody}", "jack"],
    ["$arg_none-", "-"],
    [String.raw`\$arg_name`, String.raw`\$arg_name`],
    ["$status", "404"],
  ] as const) {
    assert.equal(compileTemplate(text).render(source), rendered, text);
  }
  assert.equal(compileTemplate("$arg_none$arg_nothing").resolve(source), undefined);
  assert.equal(compileTemplate("$arg_none$arg_name").resolve(source), "jack");
});

test("patterns of tenants run in linear time or are refused, and never block", () => {
  const file = path.join(import.meta.dirname, "../../vectors/redos-patterns.json");
  const { vectors } = JSON.parse(readFileSync(file, "utf8")) as { vectors: { re: string; input: string }[] };
  assert.ok(vectors.length >= 12);
  for (const { re, input } of vectors) {
    const compiled = compileOrRefused(re);
    if (!compiled) continue;
    // the steps grow with the text, not with its square: ten times the text, and still an answer; the test's own time limit is the bound
    for (const text of [input, input.repeat(10), input.repeat(100)]) compiled.test(text);
  }
});

test("a pattern that RE2 cannot take is refused strictly and a hazard otherwise", () => {
  const warnings: string[] = [];
  const lenient = createPatternCompiler("apisix", (message) => void warnings.push(message));
  for (const text of ["(?=a)ab", String.raw`(a)\1`]) {
    assert.throws(() => pattern(text, ""), { code: "invalid_settings" });
    assert.equal(lenient(text, "").test("aab"), true);
  }
  assert.equal(warnings.length, 2);
  assert.throws(() => lenient("(", ""), { code: "invalid_settings" });
});

test("replacements know groups, the whole match and dollar signs, once or everywhere", () => {
  for (const compile of [pattern, createPatternCompiler("apisix", () => {})]) {
    const slash = compile("/([a-z]+)/([0-9]+)", "");
    assert.equal(slash.replace("/a/1/b/2", "<$2-${1}-$0-$$>", false), "<1-a-/a/1-$><2-b-/b/2-$>");
    assert.equal(slash.replace("/a/1/b/2", "<$2$9>", true), "<1>/b/2");
    assert.deepEqual(compile("(x)|(y)", "i").match("Y"), ["Y", undefined, "Y"]);
    assert.equal(compile("a", "").match("b"), undefined);
  }
});

function compileOrRefused(text: string): ReturnType<typeof pattern> | undefined {
  try {
    return pattern(text, "");
  } catch (error) {
    assert.ok(error instanceof Fault && error.code === "invalid_settings");
    return undefined;
  }
}
