import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALL_RULES, lint, type LintReport, parseManifest, toFixes } from "../../src/lint/index.ts";
import { type Fields, PLANTED, SOUND } from "./layer-fixtures.ts";

function look({
  manifest = {},
  gateway = {},
  kubernetes = [],
}: {
  manifest?: Fields;
  gateway?: Fields;
  kubernetes?: readonly Fields[];
}): Promise<LintReport> {
  return lint({
    manifest: { file: "freehold-lint.yaml", value: parseManifest(manifest, "freehold-lint.yaml") },
    gateways: [{ file: "gateway.yaml", value: gateway }],
    kubernetes: [{ file: "tenants.yaml", value: kubernetes }],
  });
}

describe("rules about the other layers", () => {
  test("sound documents have no finding", async () => {
    assert.deepEqual((await look(SOUND)).findings, []);
  });

  test("every rule has a planted fault", () => {
    assert.deepEqual(
      Object.keys(PLANTED),
      ALL_RULES.filter(({ layer }) => layer !== "database").map(({ id }) => id),
    );
  });

  for (const [id, planted] of Object.entries(PLANTED)) {
    test(`${id} finds its fault, and no other rule does`, async () => {
      const report = await look({ ...SOUND, ...planted });
      assert.deepEqual([...new Set(report.findings.map(({ rule }) => rule.id))], [id], JSON.stringify(report.findings, undefined, 1));
      assert.match(toFixes(report), new RegExp(`^-- ${id} \\S+\\.yaml `));
    });
  }
});

describe("what is meant to be so", () => {
  const open = { events: [{ subject: "orders" }] };

  test("is ignored with a reason, which is reported", async () => {
    const { findings, ignored, notes } = await look({
      manifest: { ...open, ignore: [{ rule: "FH301", object: "subject orders", reason: "One tenant only lives on this broker." }] },
    });
    assert.deepEqual([findings, notes], [[], []]);
    assert.deepEqual(
      ignored.map(({ rule, reason }) => [rule.id, reason]),
      [["FH301", "One tenant only lives on this broker."]],
    );
  });

  test("is refused without a reason", () => {
    const ignore = [{ rule: "FH301", object: "subject orders", reason: "" }];
    assert.throws(() => parseManifest({ ...open, ignore }, "lint.yaml"), /lint\.yaml: ignore\.0\.reason/);
  });

  test("is said to be in vain where nothing fits it", async () => {
    const { notes } = await look({ manifest: { ignore: [{ rule: "FH301", object: "subject gone", reason: "It was there once." }] } });
    assert.deepEqual(notes, ["The manifest ignores FH301 of subject gone, which is not found: take the entry out."]);
  });
});
