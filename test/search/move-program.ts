/**
 * Brings what tenant a searches to a place and confirms it, taking back first what a killed program has left. Arguments: where the store is, as
 * JSON; the place; and the step after which it kills itself, if any.
 */
import type { StorePlace } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { contextOf } from "../support/tenants.ts";

const [location, place, killAt] = process.argv.slice(2);
if (location === undefined || place === undefined) throw new Error("where, and where to?");
const store = await createDataStore(JSON.parse(location) as DataLocation, testPorts()); // made by the test
const { tenant } = contextOf("a");
await store.homes.recover();
if (store.homes.searchPlaceOf(tenant) !== place) {
  await store.homes.moveSearch(tenant, place as StorePlace, {
    onStep: (step) => {
      if (step === killAt) process.kill(process.pid, "SIGKILL");
    },
  });
}
await store.homes.confirm(tenant);
await store.close();
