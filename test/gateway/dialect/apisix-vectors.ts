import { readFileSync } from "node:fs";
import path from "node:path";
import type { ObjectChecks, ObjectKind } from "../../../src/gateway/dialect/index.ts";
import { isRecord } from "../../../src/gateway/dialect/schema/compiler.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";

/** An object as it was put to APISIX's admin API, and what that answered. */
export interface ValidationCase {
  readonly id: string;
  readonly path: string;
  readonly body: unknown;
  readonly status: number;
  readonly error_msg: string | null;
  readonly plugins: readonly string[];
}

/** Settings of a plugin, and what its `check_schema` said; 1 is the schema of consumers. */
export interface SchemaCase {
  readonly id: string;
  readonly plugin: string;
  readonly schema_type: 1 | 2 | null;
  readonly conf: unknown;
  readonly ok: boolean;
  readonly error: string | null;
  readonly after_defaults: unknown;
}

const FILE = path.join(import.meta.dirname, "../../vectors/apisix-validation.json");

export const VECTORS = JSON.parse(readFileSync(FILE, "utf8")) as {
  readonly validation: readonly ValidationCase[];
  readonly schema: readonly SchemaCase[];
};

/** What is wrong with our answer to the case, or undefined. */
export function playValidation(checks: ObjectChecks, { path: target, body, status, error_msg: text }: ValidationCase): string | undefined {
  const said = isRecord(body) ? checkObject(checks, target, structuredClone(body)) : "the body is no object";
  return judge(said, status < 400, text);
}

/** The same for settings by themselves, with their defaults. */
export function playSchema(
  checks: ObjectChecks,
  { plugin: name, schema_type: type, conf, ok, error, after_defaults: filled }: SchemaCase,
): string | undefined {
  const plugin = checks.plugins.find(name);
  const settings = structuredClone(conf);
  if (!plugin) return `there is no plugin ${name}`;
  if (!isRecord(settings)) return "the settings are no object";
  const said =
    type === 2
      ? checks.plugins.checkMetadata(plugin, settings)
      : checks.plugins.checkOne(plugin, settings, type === 1 ? "consumer" : "route");
  const wrong = judge(said, ok, error);
  if (wrong !== undefined || filled === null || !ok) return wrong;
  return JSON.stringify(sorted(settings)) === JSON.stringify(sorted(filled))
    ? undefined
    : `${JSON.stringify(settings)} is not ${JSON.stringify(filled)}`;
}

/** Whether every plugin that the case names is there. */
export function isServed(names: readonly string[]): boolean {
  return names.every((name) => PLUGINS.some((plugin) => plugin.name === name || plugin.aliases?.includes(name)));
}

function checkObject(checks: ObjectChecks, target: string, object: Record<string, unknown>): string | undefined {
  const [kind = "", id = "", part, credential] = target.split("/");
  if (kind !== "consumers") object["id"] ??= id;
  if (part === "credentials") object["id"] = credential;
  return checks.check((part === "credentials" ? "credential" : kind) as ObjectKind, object); // the vectors name kinds only
}

function judge(said: string | undefined, ok: boolean, text: string | null): string | undefined {
  if ((said === undefined) !== ok) return ok ? `refused: ${said}` : `taken, and not refused with: ${text}`;
  return said !== undefined && text !== null && !said.includes(text) ? `${said} | and not | ${text}` : undefined;
}

/** With names in order, and no difference between an empty list and an empty object, which Lua does not have. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? {} : value.map(sorted);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, part]) => [name, sorted(part)]),
  );
}
