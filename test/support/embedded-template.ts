import { cpSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createDataStore } from "../../src/stores/data/index.ts";
import { testPorts } from "./data-ports.ts";

/** Prepares one embedded folder: making a database from nothing takes seconds, copying it takes a fraction of one. */
export async function makeTemplate(): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-template-"));
  try {
    const store = await createDataStore({ kind: "embedded", folder }, testPorts());
    await store.close();
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  for (const name of ["lock", "owner"]) rmSync(path.join(folder, name), { force: true });
  return folder;
}

/** A fresh copy of the template, open in no process, with the root key that it was made with for whoever starts the program on it. */
export function copyTemplate(template: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-data-"));
  cpSync(template, folder, { recursive: true, mode: constants.COPYFILE_FICLONE });
  writeFileSync(path.join(folder, "root.key"), `${"07".repeat(32)}\n`, { mode: 0o600 });
  return folder;
}
