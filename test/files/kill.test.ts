import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { systemClock, systemRandom } from "../../src/kernel/index.ts";
import { sql } from "../../src/stores/data/index.ts";
import { createFileStore, createFolderEngine } from "../../src/stores/files/index.ts";
import { eachEngine, temporaryFolder } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";
import { readAll } from "./files-under-test.ts";
import { openVaultOfProgram } from "./program-vault.ts";

const PROGRAM = path.join(import.meta.dirname, "upload-program.ts");
const KILLS = Number(process.env["FREEHOLD_TEST_KILLS"] ?? 3);
const UUID = contextOf("a").tenant.uuid;

/** What holds for a name: the digest it was last acknowledged with, none, or unknown since something was under way when it was killed. */
type Known = Map<string, string | undefined>;

describe("files of a process that is killed", () => {
  eachEngine((engine) => {
    test("are whole or not there, are what was acknowledged, are counted to the byte, and leave nothing behind", async (t) => {
      const place = await engine.place();
      const folder = temporaryFolder();
      const known: Known = new Map();
      let acknowledged = 0;
      for (let round = 0; round < KILLS; round++) {
        acknowledged += await storeAndKill([JSON.stringify(place.location), folder, String(round)], known, 20 + 17 * round, t.signal);
        const data = await place.open();
        const vault = await openVaultOfProgram(data.system);
        const contents = await createFolderEngine(path.join(folder, "files"));
        const report = (fault: Error): never => assert.fail(fault);
        const store = createFileStore({ data, vault, engine: contents, clock: systemClock, random: systemRandom, report });
        const files = store.forTenant(contextOf("a"));
        const { files: listed } = await files.list({ limit: 1_000 });
        let bytes = 0;
        for (const { name, sha256, bytes: size } of listed) {
          bytes += size;
          assert.equal((await readAll((await files.get(name)).content)).length, size); // and its digest is checked by reading
          const expected = known.get(name);
          if (expected !== "under way") assert.equal(sha256, expected, name);
        }
        for (const [name, expected] of known) {
          if (expected !== undefined && expected !== "under way")
            assert.ok(
              listed.some((each) => each.name === name),
              `${name} was lost`,
            );
        }
        assert.deepEqual(await files.use(), { items: listed.length, bytes });
        await data.system.query(sql`update freehold.file_leftovers set until = now() - interval '1 second' where until is not null`);
        await store.sweep();
        assert.equal((await contents.count(UUID)).items, listed.length, "an object that no file refers to was left");
        await store.close();
        await vault.close();
        await data.close();
      }
      t.diagnostic(`${acknowledged} acknowledged, ${KILLS} kills`);
    });
  });
});

async function storeAndKill(args: readonly string[], known: Known, acknowledgements: number, signal: AbortSignal): Promise<number> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "pipe", "inherit"], signal, killSignal: "SIGKILL" });
  child.on("error", () => {}); // the test has ended: it is reported there
  const exit = once(child, "exit");
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, name = "", sha256] = line.split(" ");
    if (what === "begin") known.set(name, "under way");
    else {
      known.set(name, sha256);
      if (++count === acknowledgements) child.kill("SIGKILL");
    }
  }
  await exit;
  assert.equal(child.signalCode, "SIGKILL", "the program ended by itself");
  return count;
}
