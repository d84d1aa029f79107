import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Fault } from "../../kernel/index.ts";

const SQLITE_BUSY = 5;

/**
 * Takes the folder for this process alone, or throws `store_locked`. Two processes on one embedded folder would silently lose rows.
 * The lock is the operating system's own on a file (SQLite takes it on every platform), so it goes with the process, however that ends.
 */
export function lockFolder(folder: string): { release(): void } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const owner = path.join(folder, "owner");
  const lock = new DatabaseSync(path.join(folder, "lock"), { timeout: 0 });
  try {
    lock.exec("begin exclusive");
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw error;
    throw new Fault("store_locked", `the folder ${folder} is used by process ${readOwner(owner)}`, {
      public: {
        detail: `The data folder ${folder} is in use by process ${readOwner(owner)}. Stop that process, or choose another folder with --data.`,
      },
    });
  }
  writeFileSync(owner, String(process.pid));
  return { release: () => lock.close() };
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
}

function readOwner(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "unknown"; // only words for the message: the lock itself decides
  }
}
