import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DATABASE_RULES } from "../../src/lint/database/lint-database.ts";
import { lint, type LintReport, toFixes } from "../../src/lint/index.ts";
import { type Fixture, makeFixture } from "./database-fixture.ts";
import { PLANTINGS } from "./planted-faults.ts";

function look({ url, manifest }: Fixture): Promise<LintReport> {
  return lint({ database: { kind: "postgres", url }, manifest: { file: "manifest", value: manifest }, gateways: [], kubernetes: [] });
}

function rulesOf({ findings }: LintReport): readonly string[] {
  return [...new Set(findings.map(({ rule }) => rule.id))];
}

describe("rules about a database", () => {
  test("a sound database has no finding", async () => {
    const report = await look(await makeFixture());
    assert.deepEqual(report.findings, []);
    assert.deepEqual(report.notes, []);
  });

  test("every rule has a planted fault", () => {
    assert.deepEqual(
      Object.keys(PLANTINGS),
      DATABASE_RULES.map(({ id }) => id),
    );
  });

  for (const { id, name } of DATABASE_RULES) {
    test(`${id} ${name} finds its fault and no other rule does; the printed SQL mends it`, async () => {
      const fixture = await makeFixture();
      await fixture.run(PLANTINGS[id]?.(fixture) ?? "");
      const report = await look(fixture);
      assert.deepEqual(rulesOf(report), [id], JSON.stringify(report.findings, undefined, 1));
      const sql = toFixes(report);
      await fixture.run(sql);
      const after = await look(fixture);
      assert.deepEqual(after.findings, [], `${sql}\n${JSON.stringify(after.findings, undefined, 1)}`);
    });
  }
});
