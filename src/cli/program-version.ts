import { readFileSync } from "node:fs";
import path from "node:path";

/** The version of this program, as its package says it. */
export const PROGRAM_VERSION: string = readVersion();

function readVersion(): string {
  const text = readFileSync(path.join(import.meta.dirname, "../../package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version; // our own file
}
