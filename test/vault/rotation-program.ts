/**
 * Puts all keys under the first of the root keys, gives tenant a another key for its columns and seals them with it, and kills itself at this wrapping or
 * sealing. Arguments: where the store is, as JSON; the root keys in hexadecimal digits, the one in force first; and the number of the wrapping or sealing at
 * which it ends. Says `done` when it came to the end before that.
 */
import { writeSync } from "node:fs";
import { systemRandom } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation } from "../../src/stores/data/index.ts";
import { createLocalRootKeys } from "../../src/stores/vault/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { contextOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";
import { LETTERS } from "./rotation-tables.ts";

const [location, keys, killAt] = process.argv.slice(2);
if (location === undefined || keys === undefined) throw new Error("where, and under which keys?");
const A = contextOf("a");
let done = 0;
const step = (): void => {
  if (++done === Number(killAt)) process.kill(process.pid, "SIGKILL");
};

const store = await createDataStore(JSON.parse(location) as DataLocation, { ...testPorts(), tables: LETTERS }); // made by the test that starts this
const [first = Buffer.alloc(0), ...others] = keys.split(",").map((key) => Buffer.from(key, "hex"));
const roots = createLocalRootKeys([first, ...others], systemRandom);
const vault = await openVault(store.system, {
  roots: [
    {
      ...roots,
      wrap: async (...given) => {
        step();
        return await roots.wrap(...given);
      },
    },
  ],
});
await vault.rewrap();
await vault.rotate(A.tenant, "columns");
const own = vault.forTenant(A.tenant);
await store.resealColumns(A, {
  open: (...given) => own.open(...given),
  seal: async (...given) => {
    step();
    return await own.seal(...given);
  },
  version: (...given) => own.version(...given),
});
writeSync(1, "done\n");
await vault.close();
await store.close();
