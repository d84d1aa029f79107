import assert from "node:assert/strict";
import { test } from "node:test";
import { lint } from "../../src/lint/index.ts";
import type { DatabaseAddress } from "../../src/stores/data/index.ts";
import { freshDatabaseOfOwner } from "../support/databases.ts";
import { createDataStore } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { eachEngine, type Place } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";

eachEngine(({ place }) => {
  test("an installed Freehold has no finding, and loses that with its first open table", async () => {
    const installed = await place();
    const store = await installed.open();
    await store.homes.moveSearch(contextOf("a").tenant, "own");
    await store.homes.confirm(contextOf("a").tenant);
    await store.close();
    const sound = await look(installed);
    assert.deepEqual(sound.findings, []);
    assert.deepEqual(sound.notes, []);
    assert.match(sound.looked[0] ?? "", /1[2-9] tenant tables|[2-9]\d tenant tables/);
    await installed.administer("alter table freehold.documents no force row level security");
    const broken = await look(installed);
    assert.deepEqual(
      broken.findings.map(({ rule, object }) => [rule.id, object]),
      [["FH102", "table freehold.documents"]],
    );
  });
});

test("on a server that lets nobody close set_config, what stays open is said and no table is among it", async () => {
  const url = await freshDatabaseOfOwner();
  const store = await createDataStore({ kind: "postgres", url, connectionsMax: 4 }, testPorts());
  await store.close();
  const { findings } = await lint({ database: { kind: "postgres", url }, gateways: [], kubernetes: [] });
  // the engine's own functions and estimates, which only a superuser can close; the tenant itself is proved by a MAC
  assert.deepEqual([...new Set(findings.map(({ rule }) => rule.id))].toSorted(), ["FH141", "FH142", "FH143", "FH160", "FH169"]);
});

function look({ location }: Place): ReturnType<typeof lint> {
  const database: DatabaseAddress =
    location.kind === "embedded" ? { kind: "embedded", folder: location.folder } : { kind: "postgres", url: location.url };
  return lint({ database, gateways: [], kubernetes: [] });
}
