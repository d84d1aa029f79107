/**
 * Puts all keys under a new root key until it is killed. Says the number of each wrapping before it is stored. Arguments: where the store is, as
 * JSON, the new root key and the old one, in hexadecimal digits, and a folder of its own.
 */
import { writeSync } from "node:fs";
import { systemClock, systemRandom } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation } from "../../src/stores/data/index.ts";
import { createLocalRootKeys, createVaultStore } from "../../src/stores/vault/index.ts";
import { testPorts } from "../support/data-ports.ts";

const [location, next, old, folder] = process.argv.slice(2);
if (location === undefined || next === undefined || old === undefined || folder === undefined) throw new Error("where?");
const store = await createDataStore(JSON.parse(location) as DataLocation, testPorts()); // made by the test that starts this
const roots = createLocalRootKeys([Buffer.from(next, "hex"), Buffer.from(old, "hex")], systemRandom);
let wrapped = 0;
const vault = await createVaultStore({
  system: store.system,
  roots: [
    {
      ...roots,
      wrap: async (...given) => {
        writeSync(1, `${++wrapped}\n`);
        return await roots.wrap(...given);
      },
    },
  ],
  clock: systemClock,
  random: systemRandom,
  report: (fault) => {
    throw fault;
  },
});
await vault.rewrap();
writeSync(1, "done\n");
await vault.close();
await store.close();
