/**
 * Brings tenant a to a data model and confirms it, taking back first what a killed program has left. Arguments: where the store is, as JSON;
 * the model; and the step after which it kills itself, if any.
 */
import { createDataStore, type DataLocation } from "../../src/stores/data/index.ts";
import type { DataModel } from "../../src/kernel/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { NOTES } from "../support/declared-tables.ts";
import { contextOf } from "../support/tenants.ts";

const [location, model, killAt] = process.argv.slice(2);
if (location === undefined || model === undefined) throw new Error("where, and where to?");
const store = await createDataStore(JSON.parse(location) as DataLocation, { ...testPorts(), tables: NOTES }); // made by the test
const { tenant } = contextOf("a");
await store.homes.recover();
if (store.homes.modelOf(tenant) !== model) {
  await store.homes.move(tenant, model as DataModel, {
    onStep: (step) => {
      if (step === killAt) process.kill(process.pid, "SIGKILL");
    },
  });
}
await store.homes.confirm(tenant);
await store.close();
