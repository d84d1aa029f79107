import { createDataStore, type DataStore } from "../src/stores/data/index.ts";
import { openPostgres } from "./postgres.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { benchPorts } from "./tenants.ts";

/** An empty data store on each engine, all ending with the stack. */
export async function openEngines(ends: AsyncDisposableStack): Promise<readonly { readonly engine: string; readonly store: DataStore }[]> {
  const server = await openPostgres(ends);
  const { url } = await server.create();
  const embedded = await createDataStore({ kind: "embedded", folder: temporaryFolder(ends) }, benchPorts());
  ends.defer(() => embedded.close());
  const postgres = await createDataStore({ kind: "postgres", url, connectionsMax: 20 }, benchPorts());
  ends.defer(() => postgres.close());
  return [
    { engine: "embedded", store: embedded },
    { engine: "postgres", store: postgres },
  ];
}
