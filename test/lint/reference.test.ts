import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ALL_RULES } from "../../src/lint/index.ts";

test("the reference lists every rule as it is, and no other", () => {
  const text = readFileSync(new URL("../../docs/reference/lint.md", import.meta.url), "utf8");
  const rows = text.split("\n").filter((line) => /^\| FH\d/.test(line));
  assert.deepEqual(
    rows,
    ALL_RULES.map(({ id, name, severity, means }) => `| ${id} | ${severity} | ${name} | ${means} |`),
  );
  assert.equal(new Set(ALL_RULES.map(({ id }) => id)).size, ALL_RULES.length);
});
