/**
 * Moves tenant a's files to a place and confirms it. Arguments: where the database is, as JSON; the folder; the place; and the step after which
 * the program kills itself, if any.
 */
import path from "node:path";
import { Fault, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation } from "../../src/stores/data/index.ts";
import { createFileStore, createFolderEngine } from "../../src/stores/files/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { contextOf } from "../support/tenants.ts";
import { openVaultOfProgram } from "./program-vault.ts";

const [location, folder, target, killAt] = process.argv.slice(2);
if (location === undefined || folder === undefined || target === undefined) throw new Error("where, and where to?");
const data = await createDataStore(JSON.parse(location) as DataLocation, testPorts()); // made by the test that starts this
const files = createFileStore({
  data,
  vault: await openVaultOfProgram(data.system),
  engine: await createFolderEngine(path.join(folder, "files")),
  ownEngine: await createFolderEngine(path.join(folder, "own")),
  clock: systemClock,
  random: systemRandom,
  report: (fault) => {
    throw fault;
  },
});
const onStep = (step: string): void => {
  if (step === killAt) process.kill(process.pid, "SIGKILL");
};
const { tenant } = contextOf("a");
if ((await files.places.placeOf(tenant)) !== target) await files.places.move(tenant, target, { onStep });
for (let confirmed = false; !confirmed;) {
  try {
    await files.places.confirm(tenant, { onStep });
    confirmed = true;
  } catch (error) {
    // an upload of a writer is still under way in the old place
    if (!(error instanceof Fault) || error.code !== "in_progress") throw error;
  }
}
await files.close();
await data.close();
