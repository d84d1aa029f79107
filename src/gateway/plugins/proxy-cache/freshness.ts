import type { HeaderEdit } from "../../../wire/index.ts";

/** Directives of Cache-Control: the value of each, empty without one. Names are in lower case. */
export type Directives = ReadonlyMap<string, string>;

/** Reads Cache-Control (RFC 9111, 5.2). */
export function parseCacheControl(field: string | undefined): Directives {
  const found = new Map<string, string>();
  for (const part of (field ?? "").split(",")) {
    const [name = "", value = ""] = part.split("=", 2);
    const trimmed = name.trim().toLowerCase();
    if (trimmed !== "") found.set(trimmed, value.trim().replaceAll('"', ""));
  }
  return found;
}

/** Seconds that a directive says, or undefined. */
export function secondsOf(directives: Directives, name: string): number | undefined {
  const value = directives.get(name);
  return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** Seconds for which the answer says it may be used by a shared cache, or undefined when it says nothing (RFC 9111, 4.2.1). */
export function statedSeconds(headers: HeaderEdit, directives: Directives, nowMs: number): number | undefined {
  const age = secondsOf(directives, "s-maxage") ?? secondsOf(directives, "max-age");
  if (age !== undefined) return age;
  const expires = headers.get("Expires");
  if (expires === undefined) return undefined;
  const at = Date.parse(expires);
  // a date that cannot be read is in the past (RFC 9111, 5.3)
  return Number.isNaN(at) ? 0 : Math.max(0, (at - nowMs) / 1000);
}

/** Names in Vary, in lower case and sorted; undefined when the answer depends on more than fields. */
export function varyNames(field: string | undefined): readonly string[] | undefined {
  const names = (field ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
  return names.includes("*") ? undefined : [...new Set(names)].toSorted();
}
