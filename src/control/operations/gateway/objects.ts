import { z } from "zod";
import { type GatewayConfig, json, type Operation, PLUGINS, rawPlatformOperation } from "../../../gateway/index.ts";
import { Fault, type Json, uuidV7 } from "../../../kernel/index.ts";
import type { GatewayObject } from "../../../tenancy/registry/index.ts";
import type { Answer } from "../../../wire/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import {
  confirmedBy,
  kindOf,
  missingId,
  missingReference,
  NOT_FOUND,
  readBody,
  type Target,
  targetOf,
  toEntry,
  toErrorMessage,
  wrongId,
} from "./gateway-admin.ts";
import { LIST_QUERY, listAnswer } from "./object-lists.ts";
import { stillUsed } from "./referrers.ts";

type JsonObject = { [name: string]: Json };
type Call = Parameters<Parameters<typeof rawPlatformOperation<z.output<typeof QUERY>>>[1]["run"]>[0];

const BODY_BYTES_MAX = 1024 * 1024;
/** Deeper parts of an object are changed with their whole part. */
const PATHS = ["/{id}", "/{id}/{part}", "/{id}/{part}/{name}", "/{id}/{part}/{name}/{more}"] as const;
const BASE = "/apisix/admin/{kind}";
const QUERY = LIST_QUERY.extend({ force: z.string().optional() });

type Maker = (method: Operation["method"], path: string, summary: string, run: (call: Call) => Promise<Answer> | Answer) => Operation;

/** `/apisix/admin/<kind>/...`: reads and writes stored objects of the gateway document, as APISIX's admin API does. */
export function gatewayObjects(services: Services, config: GatewayConfig): readonly Operation[] {
  const make: Maker = (method, path, summary, run) =>
    rawPlatformOperation(
      { role: "admin" },
      { method, path, summary, bytesMax: BODY_BYTES_MAX, refusal: toErrorMessage, query: QUERY, run },
    );
  const changed = async (
    call: Call,
    target: Target,
    ...change: Parameters<GatewayConfig["write"]>
  ): Promise<Readonly<Record<string, string>>> => {
    const confirmation = await config.write(...change);
    recordChange(services, call, "gateway_changed", null, { kind: target.kind, id: target.id });
    return confirmedBy(confirmation);
  };
  const put = async (call: Call, target: Target, value: JsonObject): Promise<Answer> => {
    const before = find(config, target);
    const object = prepare(config, target, value, services.clock.now(), before);
    const headers = await changed(call, target, { put: [object], remove: [] });
    return json(before ? 200 : 201, { key: `/apisix/${target.kind}/${target.id}`, value: object.value }, headers);
  };
  return [
    make("GET", BASE, "List the gateway's stored objects of a kind.", (call) => list(config, call)),
    make("POST", BASE, "Add an object to the gateway under an id of its own.", async (call) => {
      const value = toObject(readBody(call.body, BODY_BYTES_MAX));
      return await put(call, targetOf([kindOf(call.params["kind"]), uuidV7(services.clock, services.random)]), value);
    }),
    make("PUT", BASE, "Add or replace an object of the gateway that brings its id.", async (call) => {
      const value = toObject(readBody(call.body, BODY_BYTES_MAX));
      const id = call.params["kind"] === "consumers" ? value["username"] : value["id"];
      const kind = kindOf(call.params["kind"]);
      if (typeof id !== "string" && typeof id !== "number") throw refused(missingId(kind));
      return await put(call, targetOf([kind, String(id)]), value);
    }),
    ...PATHS.flatMap((path) => [
      make("GET", BASE + path, "Read a stored object of the gateway.", (call) => show(config, call)),
      make("PUT", BASE + path, "Add or replace an object of the gateway.", async (call) => {
        const target = targetOf(namesOf(call));
        if (target.rest.length > 0) throw refused("a part of an object is changed by PATCH");
        return await put(call, target, toObject(readBody(call.body, BODY_BYTES_MAX)));
      }),
      make("PATCH", BASE + path, "Change a stored object of the gateway, or a part of it.", async (call) => {
        const target = targetOf(namesOf(call));
        const before = find(config, target);
        if (!before) return NOT_FOUND;
        return await put(call, target, toObject(patched(before.value, target.rest, readBody(call.body, BODY_BYTES_MAX))));
      }),
      make("DELETE", BASE + path, "Remove a stored object of the gateway.", async (call) => {
        const target = targetOf(namesOf(call));
        if (!find(config, target)) return NOT_FOUND;
        const force = call.query.force === "true";
        const used = force ? undefined : stillUsed(target, config.current());
        if (used !== undefined) throw refused(used);
        const under = config.stored().filter(({ kind, id }) => kind === "consumers" && id.startsWith(`${target.id}/credentials/`));
        const remove = [target, ...(target.kind === "consumers" ? under : [])];
        const headers = await changed(call, target, { put: [], remove }, { dangling: force });
        return json(200, { key: `/apisix/${target.kind}/${target.id}`, deleted: "1" }, headers);
      }),
    ]),
    ...told(make, config),
  ];
}

/** What can be asked without reading or writing an object. */
function told(make: Maker, config: GatewayConfig): readonly Operation[] {
  return [
    make("POST", "/apisix/admin/schema/validate/{kind}", "Check an object of the gateway without storing it.", (call) => {
      const kind = kindOf(call.params["kind"]);
      const object: Record<string, unknown> = { ...toObject(readBody(call.body, BODY_BYTES_MAX)) };
      if (kind !== "consumers") object["id"] ??= "unnamed";
      const wrong = config.checks.check(kind, object);
      if (wrong !== undefined) throw refused(wrong);
      return { status: 200, headers: {}, body: undefined };
    }),
    make("GET", "/apisix/admin/plugins/list", "List the names of all plugins by falling priority.", () =>
      json(
        200,
        PLUGINS.toSorted((a, b) => b.priority - a.priority).map(({ name }) => name),
      ),
    ),
  ];
}

function namesOf({ params }: Call): string[] {
  return ["kind", "id", "part", "name", "more"].flatMap((name) => params[name] ?? []);
}

function list(config: GatewayConfig, { params, query }: Call): Answer {
  const name = kindOf(params["kind"]);
  return listAnswer(
    config.stored().filter((each) => each.kind === name && !each.id.includes("/")),
    query,
  );
}

function show(config: GatewayConfig, call: Call): Answer {
  const names = namesOf(call);
  const [kind, username = "", part, credential] = names;
  if (kind === "consumers" && part === "credentials" && credential === undefined) {
    const found = config.stored().filter((each) => each.kind === kind && each.id.startsWith(`${username}/credentials/`));
    return listAnswer(found, call.query);
  }
  const target = targetOf(names);
  const found = target.rest.length > 0 ? undefined : find(config, target);
  return found ? json(200, toEntry(found)) : NOT_FOUND;
}

function find(config: GatewayConfig, { kind, id }: Target): GatewayObject | undefined {
  return config.stored().find((each) => each.kind === kind && each.id === id);
}

/** The object as it is stored: as it was written, with its id and times. It is checked on a copy, which takes the defaults. */
function prepare(
  config: GatewayConfig,
  { kind, id, objectKind }: Target,
  value: JsonObject,
  nowMs: number,
  before: GatewayObject | undefined,
): { kind: string; id: string; value: JsonObject } {
  const own = objectKind === "credential" ? (id.split("/").at(-1) ?? "") : id;
  const given = kind === "consumers" && objectKind !== "credential" ? value["username"] : value["id"];
  if (given !== undefined && toText(given) !== own && toText(given) !== id) throw refused(wrongId(objectKind));
  const copy: Record<string, unknown> = {
    ...structuredClone(value),
    // as it was given where it was, so that a number is held against what numbers may be
    ...(kind !== "consumers" ? { id: given ?? own } : objectKind === "credential" ? { id: own } : {}),
  };
  const wrong = config.checks.check(objectKind, copy) ?? missingReference(copy, config.current());
  if (wrong !== undefined) throw refused(wrong);
  const seconds = Math.floor(nowMs / 1000);
  const created = before ? toObject(before.value)["create_time"] : undefined;
  const times = kind === "plugin_metadata" ? {} : { create_time: created ?? seconds, update_time: seconds };
  return { kind, id, value: { ...value, ...(kind === "consumers" && objectKind !== "credential" ? {} : { id }), ...times } };
}

/** The value with the change merged into the part that the names lead to: null removes a name, a list or scalar replaces (RFC 7396). */
function patched(value: Json, names: readonly string[], change: Json): Json {
  const [name, ...rest] = names;
  if (name === undefined) return merged(value, change);
  const object = isObject(value) ? value : {};
  // at the end of a path the part is replaced, as the dialect has it
  return { ...object, [name]: rest.length === 0 ? change : patched(object[name] ?? {}, rest, change) };
}

function merged(value: Json, change: Json): Json {
  if (!isObject(change)) return change;
  const result: JsonObject = { ...(isObject(value) ? value : {}) };
  for (const [name, part] of Object.entries(change)) {
    if (part === null) delete result[name];
    else result[name] = merged(result[name] ?? {}, part);
  }
  return result;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function toObject(value: Json): JsonObject {
  if (isObject(value)) return value;
  throw refused("invalid configuration: wrong type: expected object");
}

function refused(detail: string): Fault {
  return new Fault("invalid_settings", detail, { public: { detail } });
}

function toText(id: Json): string {
  return typeof id === "string" ? id : JSON.stringify(id);
}
