import { uuidV7 } from "../../../kernel/index.ts";
import type { Call, Plugin, PluginPorts } from "../../proxy/plugin.ts";
import { createKsuid, createNanoId, createRangeId, createUuidV4, type RangeSettings } from "./ids.ts";

/** Settings of request-id: how the request is named to the upstream and the caller. */
export interface RequestIdSettings {
  readonly header_name: string;
  readonly include_in_response: boolean;
  readonly algorithm: "uuid" | "nanoid" | "range_id" | "ksuid" | "uuidv7";
  readonly range_id: RangeSettings;
}

const CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIGKLMNOPQRSTUVWXYZ0123456789";
const SCHEMA = {
  type: "object",
  properties: {
    header_name: { type: "string", default: "X-Request-Id" },
    include_in_response: { type: "boolean", default: true },
    algorithm: { type: "string", enum: ["uuid", "nanoid", "range_id", "ksuid", "uuidv7"], default: "uuid" },
    range_id: {
      type: "object",
      properties: { length: { type: "integer", minimum: 6, default: 16 }, char_set: { type: "string", minLength: 6, default: CHARACTERS } },
      default: { length: 16, char_set: CHARACTERS },
    },
  },
};

/** What a caller may name its request: it goes into logs and headers. */
const CALLER_ID = /^[A-Za-z0-9._~:/+=-]{1,128}$/;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
const LENGTH_MAX = 256;

/**
 * Gives the request an id, unless the caller gave one, and says it in the answer. In the strict profile `X-Request-Id` is always the
 * platform's own id, which logs, audit and traces have too; the algorithm is that of other fields.
 */
export const requestId: Plugin<RequestIdSettings> = {
  name: "request-id",
  priority: 12_015,
  schema: SCHEMA,
  check({ header_name: name, range_id: range }) {
    if (!HEADER_NAME.test(name)) return `property "header_name" validation failed: invalid field character in header`;
    return range.length > LENGTH_MAX
      ? `property "range_id" validation failed: property "length" validation failed: expected ${range.length} to be at most ${LENGTH_MAX}`
      : undefined;
  },
  create(settings, { profile }, ports) {
    const { header_name: name, include_in_response: isSaid } = settings;
    const make = generator(settings, ports);
    const isPlatforms = profile === "strict" && name.toLowerCase() === "x-request-id";
    const key = {};
    return {
      rewrite(call) {
        const id = isPlatforms ? call.requestId : (callersId(call, name) ?? make());
        call.upstream.headers.set(name, id);
        call.define("apisix_request_id", id);
        if (isSaid) call.setNote(key, id);
        return undefined;
      },
      header(call, response) {
        const id = call.note<string>(key);
        if (id !== undefined && !response.headers.get(name)) response.headers.set(name, id);
      },
    };
  },
};

function callersId({ head, profile }: Call, name: string): string | undefined {
  const [id] = head.headers.all(name);
  if (id === undefined || id === "") return undefined;
  return profile === "apisix" || CALLER_ID.test(id) ? id : undefined;
}

function generator({ algorithm, range_id: range }: RequestIdSettings, { clock, random }: PluginPorts): () => string {
  switch (algorithm) {
    case "uuid":
      return () => createUuidV4(random);
    case "uuidv7":
      return () => uuidV7(clock, random);
    case "nanoid":
      return () => createNanoId(random);
    case "ksuid":
      return () => createKsuid(clock, random);
    case "range_id":
      return () => createRangeId(range, random);
  }
}
