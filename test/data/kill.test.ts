import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { eachEngine, type Place } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";

/** How often the process is killed, per engine. */
const KILLS = Number(process.env["FREEHOLD_TEST_KILLS"] ?? 25);
const ACKNOWLEDGEMENTS_MAX = 60;
/** A round takes one second where nothing else runs. */
const ROUND_TIMEOUT_MS = 12_000;
/** With PostgreSQL, in every so many rounds the server ends the connections as well. */
const BACKEND_KILL_EVERY = 3;
const KILL_BACKENDS =
  "select pg_terminate_backend(pid) from pg_stat_activity where usename like '%\\_app' and datname = current_database()";
const PROGRAM = new URL("kill-program.ts", import.meta.url).pathname;

describe("a process that is killed while it writes", () => {
  eachEngine((engine) => {
    test(
      `has lost nothing acknowledged, stored nothing twice and no half of a pair, after ${KILLS} kills`,
      { timeout: KILLS * ROUND_TIMEOUT_MS },
      async (t) => {
        const place = await engine.place();
        await (await place.open()).close();
        const acknowledged: string[] = [];
        let ended = 0;
        for (let round = 0; round < KILLS; round++) {
          const backends = place.location.kind === "postgres" && round % BACKEND_KILL_EVERY === 0;
          acknowledged.push(
            ...(await writeAndKill(place, round, 1 + Math.floor(Math.random() * ACKNOWLEDGEMENTS_MAX), backends, t.signal)),
          );
          ended += backends ? 1 : 0;
        }
        const stored = await storedIn(place);
        const lost = acknowledged.filter((name) => !stored.documents.has(name));
        assert.deepEqual(lost, []);
        assert.deepEqual(stored.events.toSorted(), [...stored.documents].toSorted(), "each document has its one event");
        assert.equal(new Set(acknowledged).size, acknowledged.length);
        t.diagnostic(
          `${acknowledged.length} acknowledged, ${stored.documents.size} stored, ${KILLS} kills, ${ended} times all connections ended`,
        );
      },
    );
  });
});

/** Runs the program until it has acknowledged so many pairs, kills it in the middle of the next ones, and gives all it acknowledged. */
async function writeAndKill(
  place: Place,
  round: number,
  acknowledgements: number,
  backends: boolean,
  signal: AbortSignal,
): Promise<string[]> {
  const args = [PROGRAM, JSON.stringify(place.location), `r${round}`];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], signal, killSignal: "SIGKILL" });
  child.on("error", () => {}); // the test has ended: it is reported there
  const exit = once(child, "exit");
  const names: string[] = [];
  let ending: Promise<unknown> | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === "open") continue;
    names.push(line);
    if (backends && names.length === Math.ceil(acknowledgements / 2)) ending = place.administer(KILL_BACKENDS);
    if (names.length === acknowledgements) child.kill("SIGKILL");
  }
  await ending;
  await exit;
  assert.equal(child.signalCode, "SIGKILL", "the program ended by itself");
  return names;
}

interface Stored {
  readonly documents: ReadonlySet<string>;
  /** One name for each event, so that one that is there twice is seen. */
  readonly events: readonly string[];
}

async function storedIn(place: Place): Promise<Stored> {
  const tenants = new Map(["a", "b"].map((name) => [contextOf(name).tenant.uuid, name]));
  const documents = await place.administer<{ tenant_id: string; id: string }>("select tenant_id, id from freehold.documents");
  const events = await place.administer<{ tenant_id: string; id: string }>("select tenant_id, partition_key as id from freehold.outbox");
  const named = (row: { tenant_id: string; id: string }): string => `${tenants.get(row.tenant_id) ?? "?"} ${row.id}`;
  return { documents: new Set(documents.map(named)), events: events.map(named) };
}
