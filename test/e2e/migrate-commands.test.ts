import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { createEngine, type Place, temporaryFolder } from "../support/engines.ts";
import { type Ended, freehold } from "./program.ts";

const NOTES = `tables:
  - name: notes
    create:
      notes: { columns: { id: text not null, body: text not null }, key: [id] }
`;
const COLOUR = `  - name: colour
    expand: alter table notes add column colour text
`;

describe("the tables of an application, from the command line", () => {
  const engine = createEngine("PostgreSQL");
  const cwd = temporaryFolder();
  let place: Place;

  const run = (...args: readonly string[]): Promise<Ended> => {
    assert.ok(place.location.kind === "postgres");
    return freehold([...args, "--json", "--data", cwd, "--database-url", place.location.url], { cwd });
  };
  const declare = (text: string): void => writeFileSync(path.join(cwd, "tables.yaml"), text);

  before(async () => {
    place = await engine.place();
    writeFileSync(path.join(cwd, "freehold.yaml"), "database: { tables: tables.yaml }\n");
    declare(NOTES);
    assert.equal((await run("migrate", "up")).code, 0);
    for (const id of ["acme", "globex"]) {
      const { code, stderr } = await run("tenant", "create", id, "--isolation", "dedicated");
      assert.equal(code, 0, stderr);
    }
  });
  after(() => engine.close());

  test("a step is applied to the canary first, which is said, and then to all homes", async () => {
    declare(NOTES + COLOUR);
    const { code, stdout, stderr } = await run("migrate", "up", "--canary", "globex");
    assert.deepEqual([code, stderr], [0, "colour: globex, the canary\ncolour: shared rows\n"]);
    const { steps, homes } = JSON.parse(stdout) as { steps: string[]; homes: number };
    assert.deepEqual([steps, homes], [["colour"], 2]);
    assert.deepEqual([(await run("migrate", "drift")).stdout.trim(), (await run("migrate", "drift")).code], ["[]", 0]);
  });

  test("what differs in a home is told with the tenant's id, and ends with 1", async () => {
    await place.administer(`do $$ declare t text; begin
      select h.schema into strict t from (select n.nspname as schema from pg_namespace n join pg_class c on c.relnamespace = n.oid
        join pg_constraint k on k.conrelid = c.oid where c.relname = 'notes' and k.contype = 'c' and pg_get_constraintdef(k.oid) like
        '%' || (select uuid::text from freehold.tenants where id = 'acme') || '%') h;
      execute format('alter table %I.notes add column surprise text', t); end $$`);
    const { code, stdout } = await run("migrate", "drift");
    assert.equal(code, 1);
    assert.deepEqual(JSON.parse(stdout), [
      { tenant: "acme", model: "schema", table: "notes", found: "unexpected", part: "column surprise text" },
    ]);
  });

  test("a canary that is no tenant is refused by its name", async () => {
    const { code, stderr } = await run("migrate", "up", "--canary", "nobody");
    assert.notEqual(code, 0);
    assert.match(stderr, /There is no tenant nobody/);
  });
});
