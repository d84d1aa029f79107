import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ObjectChecks } from "../../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";
import { isServed, playSchema, playValidation, VECTORS } from "./apisix-vectors.ts";

/** Part of the cases that has to be answered as APISIX answers: what is missing is named in the output. */
const SHARE_MIN = 0.9;

const checks = new ObjectChecks({ profile: "apisix", plugins: PLUGINS });

/** Cases by the plugins that they name, each with what is wrong with our answer. */
const groups = Map.groupBy(
  [
    ...VECTORS.validation.map((each) => ({ names: each.plugins, id: each.id, wrong: () => playValidation(checks, each) })),
    ...VECTORS.schema.map((each) => ({ names: [each.plugin], id: each.id, wrong: () => playSchema(checks, each) })),
  ].filter(({ names }) => isServed(names)),
  ({ names }) => names.toSorted().join(" + ") || "no plugin",
);

describe("what APISIX's own admin API takes and refuses, and in which words", () => {
  for (const [name, cases] of [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    test(`${name}: ${cases.length} cases`, (t) => {
      const failed = cases.flatMap(({ id, wrong }) => wrong()?.replace(/^/, `${id}: `) ?? []);
      for (const line of failed) t.diagnostic(line.slice(0, 400));
      assert.ok(failed.length <= cases.length * (1 - SHARE_MIN), failed.join("\n"));
    });
  }

  test("all of them together", (t) => {
    const cases = [...groups.values()].flat();
    const failed = cases.filter(({ wrong }) => wrong() !== undefined).length;
    t.diagnostic(`${cases.length - failed} of ${cases.length} as in APISIX`);
    assert.ok(failed <= cases.length * (1 - SHARE_MIN));
  });
});
