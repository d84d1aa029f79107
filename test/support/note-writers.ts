import { createDataStore, type DataLocation, type DataStore, sql, type TenantData } from "../../src/stores/data/index.ts";
import { testPorts } from "./data-ports.ts";
import { NOTES } from "./declared-tables.ts";
import { contextOf } from "./tenants.ts";

/** How many notes a writer keeps: a move shall take as long after an hour of writing as in its first second. */
const KEPT = 1_000;

/** What a tenant's writers have been told is stored. */
export interface NoteWriters {
  /** The body of each note that was acknowledged; none for one that is gone. */
  readonly acknowledged: ReadonlyMap<string, string | undefined>;
  /** What any writer was told other than that its work is done. */
  readonly failures: readonly unknown[];
  /** Ends the writers. Resolves when all are done. */
  stop(): Promise<void>;
}

/**
 * Writers of a tenant, each in a store of its own as in a process of its own: they add, change and remove notes, alone and in transactions,
 * and read back what they wrote. Each writes to notes of its own only, and keeps the latest of them.
 */
export async function startNoteWriters(location: DataLocation, tenant: string, writers: number): Promise<NoteWriters> {
  const acknowledged = new Map<string, string | undefined>();
  const failures: unknown[] = [];
  const stores: DataStore[] = [];
  const end = new AbortController();
  const write = async (data: TenantData, writer: number): Promise<void> => {
    for (let n = 0; !end.signal.aborted; n++) {
      try {
        await writeNote(data, `${writer}-${n}`, acknowledged);
        if (n >= KEPT) await removeNote(data, `${writer}-${n - KEPT}`, acknowledged);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  for (let writer = 0; writer < writers; writer++) stores.push(await createDataStore(location, { ...testPorts(), tables: NOTES }));
  const running = Promise.all(stores.map((store, writer) => write(store.forTenant(contextOf(tenant)), writer)));
  return {
    acknowledged,
    failures,
    stop: async () => {
      end.abort();
      await running;
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}

async function writeNote(data: TenantData, id: string, acknowledged: Map<string, string | undefined>): Promise<void> {
  await data.query(sql`insert into notes (id, board, body) values (${id}, 'board', 'new')`);
  acknowledged.set(id, "new");
  await data.transaction(async (tx) => {
    await tx.query(sql`update notes set body = 'half' where id = ${id}`);
    await tx.query(sql`update notes set body = body || ' changed' where id = ${id}`);
  });
  acknowledged.set(id, "half changed");
  const { rows } = await data.query<{ body: string }>(sql`select body from notes where id = ${id}`);
  if (rows[0]?.body !== "half changed") throw new Error(`${id} was read back as ${String(rows[0]?.body)}`);
  if (id.endsWith("7")) await removeNote(data, id, acknowledged);
}

async function removeNote(data: TenantData, id: string, acknowledged: Map<string, string | undefined>): Promise<void> {
  await data.db.deleteFrom("notes").where("id", "=", id).execute();
  acknowledged.set(id, undefined);
}
