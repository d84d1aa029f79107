import { createKeyring, Fault, systemRandom } from "../../kernel/index.ts";
import { type DataStore, sql } from "../../stores/data/index.ts";
import { openData } from "../open-data.ts";
import { type CommonFlags, readSettings } from "../options.ts";
import { loadRootKey, ROOT_KEY_VARIABLE } from "../root-key.ts";
import { printOne, printRows, progress } from "../terminal.ts";

/** The flags of `migrate up`. */
export interface MigrateUpFlags extends CommonFlags {
  readonly canary?: string;
  readonly contract?: boolean;
}

/** Says how far the application's tables are, over all homes. */
export async function migrateStatus(flags: CommonFlags): Promise<void> {
  await withData(flags, async (data) => printOne({ ...(await data.fleet.status()) }, flags.json));
}

/** Brings every home to the declared steps: the canary's first, then the shared rows, then the others. */
export async function migrateUp(flags: MigrateUpFlags): Promise<void> {
  await withData(flags, async (data) => {
    const canary = flags.canary === undefined ? undefined : await uuidOf(data, flags.canary);
    let homes = 0;
    const run = await data.fleet.up({
      ...(canary !== undefined && { canary }),
      contract: flags.contract ?? false,
      onHome: (tenant, step) => {
        homes++;
        if (tenant === undefined) progress(`${step}: shared rows`);
        else if (tenant === canary) progress(`${step}: ${flags.canary}, the canary`);
        else if (homes % PROGRESS_EVERY === 0) progress(`${step}: ${homes} homes`);
      },
    });
    printOne({ ...run, elapsedMs: Math.round(run.elapsedMs) }, flags.json);
  });
}

/** Lists what differs between the tables of homes and those of the shared rows. */
export async function migrateDrift(flags: CommonFlags): Promise<void> {
  await withData(flags, async (data) => {
    const drift = await data.fleet.drift();
    const ids = await idsOf(data, [...new Set(drift.map(({ tenant }) => tenant))]);
    printRows(
      drift.map((each) => ({ ...each, tenant: ids.get(each.tenant) ?? each.tenant })),
      ["tenant", "model", "table", "found", "part"],
      flags.json,
    );
    if (drift.length > 0) process.exitCode = 1;
  });
}

const PROGRESS_EVERY = 100;

/** Opens the store for the time of the command: the tables are changed by an administrator, not by what serves. */
async function withData(flags: CommonFlags, work: (data: DataStore) => Promise<void>): Promise<void> {
  const settings = readSettings({ ...flags, logLevel: "error" }, process.env);
  const rootKey = await loadRootKey(settings, process.env[ROOT_KEY_VARIABLE], systemRandom);
  const data = await openData(settings, createKeyring(rootKey), (fault) => progress(fault.message));
  try {
    await work(data);
  } finally {
    await data.close();
  }
}

async function uuidOf(data: DataStore, id: string): Promise<string> {
  const { rows } = await data.system.query<{ uuid: string }>(sql`select uuid from freehold.tenants where id = ${id}`);
  const uuid = rows[0]?.uuid;
  if (uuid === undefined) throw new Fault("not_found", id, { public: { detail: `There is no tenant ${id}.` } });
  return uuid;
}

async function idsOf(data: DataStore, uuids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await data.system.query<{ uuid: string; id: string }>(
    sql`select uuid, id from freehold.tenants where uuid = any (${uuids}::uuid[])`,
  );
  return new Map(rows.map(({ uuid, id }) => [uuid, id]));
}
