/**
 * Stores files of random sizes for a tenant, replaces and deletes them, several at once, until it is killed. Says what was acknowledged: `put
 * <name> <sha256>` or `delete <name>`, after `begin <name>`. Arguments: where the database is, as JSON, the folder of files, and the round.
 */
import { randomBytes, randomInt } from "node:crypto";
import { writeSync } from "node:fs";
import { systemClock, systemRandom } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation } from "../../src/stores/data/index.ts";
import { createFileStore, createFolderEngine } from "../../src/stores/files/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { contextOf } from "../support/tenants.ts";
import { openVaultOfProgram } from "./program-vault.ts";

const WRITERS = 4;
const NAMES = 3;

const [location, folder, round] = process.argv.slice(2);
if (location === undefined || folder === undefined || round === undefined) throw new Error("where?");
const data = await createDataStore(JSON.parse(location) as DataLocation, testPorts()); // made by the test that starts this
const vault = await openVaultOfProgram(data.system);
const engine = await createFolderEngine(`${folder}/files`);
const report = (fault: Error): never => {
  throw fault;
};
const files = createFileStore({ data, vault, engine, clock: systemClock, random: systemRandom, report }).forTenant(contextOf("a"));
await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));

/** Each writer has names of its own, so that what it said last about one is what holds. */
async function write(writer: number): Promise<void> {
  for (;;) {
    const name = `w${writer}/${randomInt(NAMES)}`;
    say(`begin ${name}`);
    if (randomInt(5) === 0) {
      await files.delete(name).catch(() => {}); // it may not be there
      say(`delete ${name}`);
      continue;
    }
    const content = randomBytes(randomInt(75_000));
    const { sha256 } = await files.put(name, inPieces(content));
    say(`put ${name} ${sha256}`);
  }
}

async function* inPieces(content: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += 16_384) {
    await new Promise((resolve) => setImmediate(resolve));
    yield content.subarray(at, at + 16_384);
  }
}

/** At once and in whole lines: what was said before the kill is read after it. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}
