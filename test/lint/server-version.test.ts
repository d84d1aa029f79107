import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Catalog } from "../../src/lint/database/catalog.ts";
import { DATABASE_RULES } from "../../src/lint/database/lint-database.ts";
import { readCatalog } from "../../src/lint/database/read-catalog.ts";
import { Subject } from "../../src/lint/database/subject.ts";
import { applyRules } from "../../src/lint/rule.ts";
import { readDatabase } from "../../src/stores/data/index.ts";
import { type Fixture, makeFixture } from "./database-fixture.ts";

describe("the same database on a server of", () => {
  let fixture: Fixture;
  let catalog: Catalog;

  before(async () => {
    fixture = await makeFixture();
    catalog = await readDatabase({ kind: "postgres", url: fixture.url }, readCatalog);
  });

  const found = (version: number, seen: Catalog = catalog): readonly string[] => {
    const subject = new Subject({ ...seen, database: { ...seen.database, version } }, fixture.manifest);
    return applyRules(DATABASE_RULES, subject, { layer: "database" }).map(
      ({ rule, object, detail }) => `${rule.id} ${object} ${/CVE-[\d-]+/.exec(detail)?.[0] ?? detail}`,
    );
  };
  const faults = (server: string, ...names: readonly string[]): readonly string[] =>
    names.map((name) => `FH173 server PostgreSQL ${server} ${name}`);

  for (const [version, server, names] of [
    [150_002, "15.2", ["CVE-2023-2455", "CVE-2023-39418", "CVE-2024-10976", "CVE-2025-8713"]],
    [150_003, "15.3", ["CVE-2023-39418", "CVE-2024-10976", "CVE-2025-8713"]],
    [150_008, "15.8", ["CVE-2024-10976", "CVE-2025-8713"]],
    [160_004, "16.4", ["CVE-2024-10976", "CVE-2025-8713"]],
    [170_000, "17.0", ["CVE-2024-10976", "CVE-2025-8713"]],
    [170_005, "17.5", ["CVE-2025-8713"]],
    [150_014, "15.14", []],
    [160_010, "16.10", []],
    [170_006, "17.6", []],
    [180_000, "18.0", []],
    [190_000, "19.0", []],
  ] as const) {
    test(`${server} has ${names.length === 0 ? "no fault" : names.join(", ")}`, () =>
      assert.deepEqual(found(version), faults(server, ...names)));
  }

  test("18.5 and older lets kept plans go on with a role that was taken away, where a policy is for a group; 18.6 does not", async () => {
    const { database, app, run, url } = fixture;
    await run(
      `create role ${database}_group nologin; grant ${database}_group to ${app}; alter policy tenant on shop.orders to ${database}_group`,
    );
    const grouped = await readDatabase({ kind: "postgres", url }, readCatalog);
    for (const [older, server, newer] of [
      [180_005, "18.5", 180_006],
      [170_010, "17.10", 170_011],
      [160_014, "16.14", 160_015],
      [150_018, "15.18", 150_019],
    ] as const) {
      assert.deepEqual(found(older, grouped), faults(server, "CVE-2026-14666"));
      assert.deepEqual(found(newer, grouped), []);
    }
  });

  test("any age has none where there are no policies that it could be about", () => {
    const bare = { ...catalog, policies: [], relations: [], columns: [], grants: [], indexes: [], foreignKeys: [] };
    assert.deepEqual(found(150_000, bare), []);
  });
});
