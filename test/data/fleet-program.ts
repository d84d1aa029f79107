/** Brings all homes to the tables with a second step, telling of each home, until it is killed or done. Argument: where the store is, as JSON. */
import { writeSync } from "node:fs";
import { createDataStore, type DataLocation, defineTables } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { FIRST, SECOND } from "../support/declared-tables.ts";

const [location] = process.argv.slice(2);
if (location === undefined) throw new Error("where?");
// made by the test that starts this
const store = await createDataStore(JSON.parse(location) as DataLocation, { ...testPorts(), tables: defineTables([FIRST, SECOND]) });
await store.fleet.up({ onHome: (tenant) => void writeSync(1, `${tenant ?? "shared"}\n`) });
await store.close();
