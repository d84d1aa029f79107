import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { Fault } from "../kernel/index.ts";

/** What a file says, as YAML or JSON. Throws `invalid_settings` with the file and the place for one that cannot be read. */
export function readYamlFile(file: string, field?: string): unknown {
  try {
    // duplicate keys are an error in this reader; nothing in the file can name code
    return parse(readFileSync(file, "utf8"), { strict: true, uniqueKeys: true, maxAliasCount: 50 });
  } catch (cause) {
    const detail = `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new Fault("invalid_settings", detail, { cause, public: { detail, ...(field !== undefined && { field }) } });
  }
}
