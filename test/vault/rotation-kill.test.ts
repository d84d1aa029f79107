import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { systemRandom } from "../../src/kernel/index.ts";
import type { DataStore, TenantData } from "../../src/stores/data/index.ts";
import { createLocalRootKeys, type VaultStore } from "../../src/stores/vault/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { eachEngine, type Place } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";
import { openVault, ROOT_KEY } from "../support/vaults.ts";
import { LETTERS } from "./rotation-tables.ts";

/** How often the program is killed, per engine; `npm run chaos` does it more often. An embedded database takes seconds to open, twice a round. */
const KILLS = { PGlite: 1, PostgreSQL: 3 } as const;
const KILLS_SET = process.env["FREEHOLD_TEST_ROTATION_KILLS"];
const ROUND_TIMEOUT_MS = 40_000;
/** With so many kills under one root key, the next one is put in front. */
const KILLS_PER_ROOT = 4;
const LETTERS_EACH = 12;
const PROGRAM = new URL("rotation-program.ts", import.meta.url).pathname;
const NAMES = ["a", "b"] as const;

/** What a process has while it works; an embedded database is one process's at a time. */
interface Opened {
  readonly store: DataStore;
  readonly vault: VaultStore;
  readonly of: (name: (typeof NAMES)[number]) => TenantData;
}

async function open(place: Place, keys: readonly Buffer[]): Promise<Opened> {
  const store = await place.open({ ports: { ...testPorts(), tables: LETTERS } });
  const [first = ROOT_KEY, ...others] = keys;
  const vault = await openVault(store.system, { roots: [createLocalRootKeys([first, ...others], systemRandom)] });
  return { store, vault, of: (name) => store.forTenant(contextOf(name), vault.forTenant(contextOf(name).tenant)) };
}

async function close({ store, vault }: Opened): Promise<void> {
  await vault.close();
  await store.close();
}

/** Runs the program, which kills itself at that wrapping or sealing. Gives whether it did, and did not come to its end before. */
async function isKilled(place: Place, keys: readonly Buffer[], at: number): Promise<boolean> {
  const args = [PROGRAM, JSON.stringify(place.location), keys.map((key) => key.toString("hex")).join(","), String(at)];
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const child = execFile(process.execPath, args, (_, stdout, stderr) => {
    if (child.signalCode === "SIGKILL") resolve(true);
    else if (stdout === "done\n") resolve(false);
    else reject(new Error(stderr));
  });
  return await promise;
}

async function lettersOf(data: TenantData): Promise<Map<string, string>> {
  const rows = await data.db.selectFrom("letters").select(["id", "body"]).execute();
  return new Map(rows.map(({ id, body }) => [id, body]));
}

eachEngine((engine) => {
  const kills = KILLS_SET === undefined ? KILLS[engine.name] : Number(KILLS_SET);
  describe("a program that is killed while it gives keys in place of others", () => {
    test(
      `leaves everything readable, writable and its tenant's, after ${kills} kills`,
      { timeout: kills * ROUND_TIMEOUT_MS },
      async (t) => {
        const seed = Math.floor(Math.random() * 1_000);
        t.diagnostic(`seed ${seed}`);
        const place = await engine.place();
        const keys = [ROOT_KEY];
        const expected = { a: new Map<string, string>(), b: new Map<string, string>() };
        let opened = await open(place, keys);
        await opened.store.fleet.up();
        const write = async (name: "a" | "b", id: string, body: string): Promise<void> => {
          const insert = opened.of(name).db.insertInto("letters").values({ id, body });
          if (expected[name].has(id)) await opened.of(name).db.updateTable("letters").set({ body }).where("id", "=", id).execute();
          else await insert.execute();
          expected[name].set(id, body);
        };
        for (const name of NAMES) for (let n = 0; n < LETTERS_EACH; n++) await write(name, `letter-${n}`, `of ${name}, ${n}`);
        let killed = 0;
        for (let round = 0; killed < kills; round++) {
          if (round % KILLS_PER_ROOT === 0) keys.unshift(randomBytes(32));
          await close(opened);
          if (await isKilled(place, keys, 1 + ((seed + round * 7) % (LETTERS_EACH + 3)))) killed++;
          opened = await open(place, keys);
          for (const name of NAMES) assert.deepEqual(await lettersOf(opened.of(name)), expected[name], `round ${round}`);
          for (const name of NAMES) await write(name, `letter-${round % LETTERS_EACH}`, `of ${name} in round ${round}`);
        }
        await close(opened);
        assert.equal(await isKilled(place, keys, Number.POSITIVE_INFINITY), false);
        // nothing needs an older root key any more, and nothing is under a key of the tenant's that is not the newest
        opened = await open(place, keys.slice(0, 1));
        for (const name of NAMES) assert.deepEqual(await lettersOf(opened.of(name)), expected[name]);
        assert.equal(await opened.store.resealColumns(contextOf("a"), opened.vault.forTenant(contextOf("a").tenant)), 0);
        assert.deepEqual(await opened.vault.rewrap(), { rewrapped: 0, failed: 0 });
        await close(opened);
      },
    );
  });
});
