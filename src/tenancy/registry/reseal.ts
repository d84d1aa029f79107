import { type Fault, type StoreTenant, toFault } from "../../kernel/index.ts";
import type { SealPlace, VaultStore } from "../../stores/vault/index.ts";

/** What a pass over the sealed secrets did. */
export interface ResealReport {
  readonly resealed: number;
  /** Secrets that stayed as they were. */
  readonly failed: number;
}

/** What says whether a row is sealed with an older key than its tenant's newest. */
interface SealedRow {
  readonly uuid: string;
  /** Null: sealed before there was a vault. */
  readonly keyVersion: number | null;
}

/** A table of sealed rows. */
export interface SealedTable<Row extends SealedRow> {
  /** Some rows after this one, in the order of their keys; the first ones without it. */
  readonly page: (after: Row | undefined) => Promise<readonly Row[]>;
  /** Seals the row once more; false when it was changed meanwhile, and is left as it is now. */
  readonly reseal: (row: Row) => Promise<boolean>;
}

/**
 * Seals with its tenant's newest key every row that was sealed with an older one, or before there was a vault. What is done is in the table
 * alone: after a kill the next pass finds the rest.
 */
export async function resealTable<Row extends SealedRow>(
  { page, reseal }: SealedTable<Row>,
  vault: Pick<VaultStore, "newestVersions">,
  report: (fault: Fault) => void,
  signal?: AbortSignal,
): Promise<ResealReport> {
  let [resealed, failed] = [0, 0];
  for (let rows = await page(undefined); rows.length > 0; rows = await page(rows.at(-1))) {
    const newest = await vault.newestVersions("secrets", [...new Set(rows.map(({ uuid }) => uuid))]);
    for (const row of rows) {
      if (signal?.aborted === true) return { resealed, failed };
      if (row.keyVersion !== null && row.keyVersion >= (newest.get(row.uuid) ?? 0)) continue;
      try {
        if (await reseal(row)) resealed++;
      } catch (error) {
        failed++;
        report(toFault(error)); // one tenant's key keeps no other secret from going on
      }
    }
  }
  return { resealed, failed };
}

/** The value as it is sealed for this place, with the version of the key that it counts as sealed with. */
export async function sealSecret(
  vault: Pick<VaultStore, "forTenant">,
  tenant: StoreTenant,
  place: SealPlace,
  value: Buffer,
): Promise<{ readonly bytes: Buffer; readonly keyVersion: number }> {
  const own = vault.forTenant(tenant);
  // asked first: a key that comes in between makes the row look older than it is, and it is sealed once more
  const keyVersion = await own.version(place.purpose);
  return { bytes: await own.seal(place, value), keyVersion };
}
