import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import path from "node:path";
import { isUuid } from "../../kernel/index.ts";

/** Which tenants' keys were destroyed, where a backup of the database does not reach. */
export interface Tombstones {
  /** The internal ids. */
  all(): Iterable<string>;
  /** Once it returns, the id is on the disk. */
  add(tenant: string): void;
}

/** Tombstones in a file, one internal id a line. A line that a kill cut off is left out: its tenant is added again when the erasure goes on. */
export function createTombstoneFile(file: string): Tombstones {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const known = new Set(read(file));
  return {
    all: () => [...known],
    add(tenant) {
      if (known.has(tenant)) return;
      const descriptor = openSync(file, "a", 0o600);
      try {
        writeSync(descriptor, `\n${tenant}\n`); // the line before may have been cut off
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      known.add(tenant);
    },
  };
}

function read(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(isUuid);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
