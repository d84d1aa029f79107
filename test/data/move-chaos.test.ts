import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "node:test";
import type { DataModel } from "../../src/kernel/index.ts";
import { MOVE_STEPS, type MoveStep } from "../../src/stores/data/move/move-report.ts";
import { sql, type TenantData } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { NOTES } from "../support/declared-tables.ts";
import { createEngine } from "../support/engines.ts";
import { type NoteWriters, startNoteWriters } from "../support/note-writers.ts";
import { contextOf } from "../support/tenants.ts";

/** How often the program is killed: after each step in turn, on all ways. */
const KILLS = Number(process.env["FREEHOLD_TEST_MOVE_KILLS"] ?? 12);
const PROGRAM = new URL("move-program.ts", import.meta.url).pathname;
const WRITERS = 3;
/** A round starts two programs. */
const ROUND_TIMEOUT_MS = 40_000;

const OLD_NOTES = 500;

/** A walk over all six ways, round and round. */
const WALK: readonly DataModel[] = ["row", "schema", "database", "row", "database", "schema"];
/** Steps that only the way out of a tenant's own database has. */
const OUT_OF_DATABASE: ReadonlySet<MoveStep> = new Set(["closing", "refused"]);

/** Whether the program ended by itself; the other way is by its own hand. */
async function runProgram(args: readonly string[]): Promise<boolean> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "inherit", "inherit"] });
  await once(child, "exit");
  if (child.exitCode !== 0 && child.signalCode !== "SIGKILL") throw new Error(`the program ended with ${String(child.exitCode)}`);
  return child.exitCode === 0;
}

/** The step after which the program is killed next: the one that this way has and that had its turn the least often. */
function nextStep(turns: Map<MoveStep, number>, source: DataModel | undefined): MoveStep {
  const steps = MOVE_STEPS.filter((step) => source === "database" || !OUT_OF_DATABASE.has(step));
  const [step = "begun"] = steps.toSorted((one, other) => (turns.get(one) ?? 0) - (turns.get(other) ?? 0));
  turns.set(step, (turns.get(step) ?? 0) + 1);
  return step;
}

async function assertStored(data: TenantData, { acknowledged, failures }: NoteWriters): Promise<void> {
  assert.deepEqual(failures, []);
  const { rows } = await data.query<{ id: string; body: string }>(sql`select id, body from notes`);
  const stored = new Map(rows.map(({ id, body }) => [id, body]));
  assert.equal(stored.size, rows.length);
  for (const [id, body] of acknowledged) assert.equal(stored.get(id), body, id);
  const there = [...acknowledged.values()].filter((body) => body !== undefined).length;
  assert.equal(rows.length, there + OLD_NOTES, "nothing is there that was not written");
}

describe("a program that is killed while it moves a tenant that is writing", () => {
  test(`has lost no write, refused none and doubled none, after ${KILLS} kills`, { timeout: KILLS * ROUND_TIMEOUT_MS }, async (t) => {
    const engine = createEngine("PostgreSQL");
    t.after(() => engine.close());
    const place = await engine.place();
    const store = await place.open({ ports: { ...testPorts(), tables: NOTES } });
    await store.fleet.up();
    const [a, b] = [store.forTenant(contextOf("a")), store.forTenant(contextOf("b"))];
    for (const data of [a, b]) {
      await data.query(sql`insert into boards (id, title) values ('board', 'Board')`);
      await data.query(
        sql`insert into notes (id, board, body) select 'old-' || n, 'board', 'old' from generate_series(1, ${OLD_NOTES}::integer) n`,
      );
    }
    const [writers, others] = [await startNoteWriters(place.location, "a", WRITERS), await startNoteWriters(place.location, "b", 1)];
    const location = JSON.stringify(place.location);
    const turns = new Map<MoveStep, number>();
    for (let kill = 0; kill < KILLS; kill++) {
      const [source, model] = [WALK[kill % WALK.length], WALK[(kill + 1) % WALK.length] ?? "row"];
      const step = nextStep(turns, source);
      assert.equal(await runProgram([location, model, step]), false, `${step} on the way to ${model}`);
      assert.equal(await runProgram([location, model]), true);
      assert.deepEqual(writers.failures, [], `after ${step} on the way from ${String(source)} to ${model}`);
    }
    await writers.stop();
    await others.stop();
    await assertStored(a, writers);
    await assertStored(b, others);
    assert.deepEqual(await store.homes.moves(), []);
    t.diagnostic(`${KILLS} kills, ${writers.acknowledged.size} notes acknowledged meanwhile`);
  });
});
