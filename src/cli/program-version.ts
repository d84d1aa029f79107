import { readFileSync } from "node:fs";
import path from "node:path";

/** The version of this program, as its package says it. */
export function programVersion(): string {
  const text = readFileSync(path.join(import.meta.dirname, "../../package.json"), "utf8");
  const { version } = JSON.parse(text) as { version: string }; // our own file
  return version;
}
