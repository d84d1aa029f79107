import { isKind, json, type ObjectKind } from "../../../gateway/index.ts";
import { Fault, FAULTS, type Json, JSON_BOUNDS, parseJson } from "../../../kernel/index.ts";
import type { Confirmation, GatewayObject } from "../../../tenancy/registry/index.ts";
import type { Answer } from "../../../wire/index.ts";

/** What one object of a list is called. */
const SINGULARS: Readonly<Record<string, string>> = {
  routes: "route",
  services: "service",
  upstreams: "upstream",
  consumers: "consumer",
  credential: "credential",
  consumer_groups: "consumer group",
  plugin_configs: "plugin config",
  global_rules: "global rule",
  ssls: "ssl",
};

/** What is said of an id that is not that of the path. */
export function wrongId(kind: ObjectKind): string {
  return kind === "consumers" ? "wrong username" : `wrong ${SINGULARS[kind] ?? "plugin_metadata"} id`;
}

/** What is said when there is no id. */
export function missingId(kind: ObjectKind): string {
  if (kind === "consumers") return 'invalid configuration: property "username" is required';
  return kind === "plugin_metadata" ? "missing plugin name" : `missing ${SINGULARS[kind] ?? kind} id`;
}

const REFERENCES = [
  { field: "upstream_id", kind: "upstreams" },
  { field: "service_id", kind: "services" },
  { field: "plugin_config_id", kind: "plugin_configs" },
  { field: "group_id", kind: "consumer_groups" },
] as const;

/** What is said of the first object that is referred to and not there, or undefined. */
export function missingReference(
  object: Readonly<Record<string, unknown>>,
  document: { readonly [kind in (typeof REFERENCES)[number]["kind"]]: ReadonlyMap<string, unknown> },
): string | undefined {
  for (const { field, kind } of REFERENCES) {
    const id = object[field];
    if (typeof id !== "string" || document[kind].has(id)) continue;
    return `failed to fetch ${SINGULARS[kind]} info by ${SINGULARS[kind]} id [${id}], response code: 404`;
  }
  return undefined;
}

/** The statuses that the dialect has for faults of ours; others are as they are. */
const STATUSES: Readonly<Record<string, number>> = { invalid_settings: 400, invalid_json: 400 };

/** An object by its place in the admin API. */
export interface Target {
  readonly kind: ObjectKind;
  readonly id: string;
  /** As its schema is called. */
  readonly objectKind: ObjectKind;
  /** Names under it, for a change of a part. */
  readonly rest: readonly string[];
}

/** A refusal as clients of APISIX's admin API read it. It says the detail or the table's title, never the message for logs. */
export function toErrorMessage(fault: Fault): Answer {
  const status = STATUSES[fault.code] ?? fault.status;
  return json(status, { error_msg: fault.public.detail ?? FAULTS[fault.code].title, code: fault.code }, fault.public.headers ?? {});
}

/** Says by how many of how many gateways a change is served when it is answered. */
export function confirmedBy({ serving, processes }: Confirmation): Readonly<Record<string, string>> {
  return { "x-freehold-served-by": `${serving}/${processes}` };
}

/** The list that a path names. Throws `not_found` for what there is not. */
export function kindOf(name: string | undefined): ObjectKind {
  if (name !== undefined && isKind(name)) return name;
  const detail = `Unsupported resource type: ${name ?? ""}`;
  throw new Fault("not_found", detail, { public: { detail } });
}

/** The object that the names of a path lead to; a credential is under its consumer. */
export function targetOf(names: readonly string[]): Target {
  const [first, id = "", part, credential = "", ...rest] = names;
  const kind = kindOf(first);
  if (kind === "consumers" && part === "credentials") {
    return { kind, id: `${id}/credentials/${credential}`, objectKind: "credential", rest };
  }
  return { kind, id, objectKind: kind, rest: names.slice(2) };
}

/** The body as JSON. Throws `invalid_json`. */
export function readBody(bytes: Uint8Array, bytesMax: number): Json {
  try {
    return parseJson(bytes, { ...JSON_BOUNDS, bytesMax });
  } catch (cause) {
    if (!(cause instanceof Fault) || cause.code !== "invalid_json") throw cause;
    const detail = `invalid request body: ${cause.public.detail ?? ""}`;
    throw new Fault("invalid_json", detail, { public: { detail }, cause });
  }
}

/** The object with the fields of its place in the store. */
export function toEntry({ kind, id, value, createdIndex, modifiedIndex }: GatewayObject): Record<string, unknown> {
  return { key: `/apisix/${kind}/${id}`, value, createdIndex, modifiedIndex };
}

/** What is not there. */
export const NOT_FOUND: Answer = json(404, { message: "Key not found" });
