import { type Json, parseJson } from "../../kernel/index.ts";
import { parseQueryArguments } from "./query-arguments.ts";

/** Values inside a request's body by their path, for example `model`, `messages[0].role` or `messages[*].content[*].type`. */
export interface BodyArguments {
  /** The first of them. */
  value(path: string): string | number | undefined;
  /** All of them, for a path to several or to a list; undefined for any other. */
  values(path: string): readonly unknown[] | undefined;
}

const NOTHING: BodyArguments = { value: () => undefined, values: () => undefined };
/** Bodies of routing decisions: what is larger has no arguments. */
export const BODY_ARGUMENTS_BYTES_MAX = 1024 * 1024;

/** Reads a form (also in parts) or JSON by its content type. What cannot be read has no arguments. */
export function parseBodyArguments(contentType: string | undefined, body: Uint8Array): BodyArguments {
  const type = contentType?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (body.length === 0 || body.length > BODY_ARGUMENTS_BYTES_MAX) return NOTHING;
  if (type === "application/json" || type.endsWith("+json")) return jsonArguments(body);
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  if (type === "application/x-www-form-urlencoded") {
    return flat(parseQueryArguments(text));
  }
  if (type === "multipart/form-data") {
    return flat(multipartArguments(contentType ?? "", text));
  }
  return NOTHING;
}

function flat(found: ReadonlyMap<string, string>): BodyArguments {
  return { value: (path) => found.get(path), values: () => undefined };
}

function jsonArguments(body: Uint8Array): BodyArguments {
  let root: Json;
  try {
    root = parseJson(body, { bytesMax: BODY_ARGUMENTS_BYTES_MAX, depthMax: 64 });
  } catch {
    return NOTHING;
  }
  return {
    value: (path) => scalar(walk(root, path.split(/[.[]/))),
    values(path) {
      const found = walkAll([root], path.split(/[.[]/));
      if (path.includes("[") || path.includes("..")) return found;
      return Array.isArray(found[0]) ? found[0] : undefined;
    },
  };
}

/** Down one step at a time from all of these; an empty step, of `..`, is any number of steps. */
function walkAll(values: readonly Json[], [step, ...rest]: readonly string[]): readonly Json[] {
  if (step === undefined) return values;
  if (step === "") return walkAll([...new Set(values.flatMap(withAllBelow))], rest);
  const name = (step.endsWith("]") ? step.slice(0, -1) : step).replaceAll(/^(["'])(.*)\1$/g, "$2");
  return walkAll(
    values.flatMap((value) => stepInto(value, name)),
    rest,
  );
}

function stepInto(value: Json, name: string): readonly Json[] {
  if (value === null || typeof value !== "object") return [];
  if (name === "*") return Array.isArray(value) ? value : Object.values(value);
  const item = Array.isArray(value) ? value[Number(name)] : Object.hasOwn(value, name) ? value[name] : undefined;
  return item === undefined ? [] : [item];
}

function withAllBelow(value: Json): readonly Json[] {
  const below = value !== null && typeof value === "object" ? Object.values(value) : [];
  return [value, ...below.flatMap(withAllBelow)];
}

/** Down one step at a time; `*` takes the first element that has a value at the rest of the path. */
function walk(value: Json, steps: readonly string[]): Json | undefined {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  const name = step.endsWith("]") ? step.slice(0, -1) : step;
  if (Array.isArray(value)) {
    if (name === "*") return value.map((item) => walk(item, rest)).find((found) => found !== undefined);
    const item = value[Number(name)];
    return item === undefined ? undefined : walk(item, rest);
  }
  if (value === null || typeof value !== "object" || !Object.hasOwn(value, name)) return undefined;
  const item = value[name];
  return item === undefined ? undefined : walk(item, rest);
}

function scalar(value: Json | undefined): string | number | undefined {
  if (typeof value === "string" || typeof value === "number") return value;
  return typeof value === "boolean" ? String(value) : undefined;
}

/** The text fields of a form in parts (RFC 7578); files have no value. */
function multipartArguments(contentType: string, text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const boundary = /;\s*boundary="?([^";]{1,70})"?/i.exec(contentType)?.[1];
  if (boundary === undefined) return found;
  for (const part of text.split(`--${boundary}`).slice(1, -1)) {
    const end = part.indexOf("\r\n\r\n");
    if (end === -1) continue;
    const head = part.slice(0, end);
    const name = /;\s*name="([^"]*)"/i.exec(head)?.[1];
    if (name === undefined || /;\s*filename=/i.test(head) || found.has(name)) continue;
    found.set(name, part.slice(end + 4).replace(/\r\n$/, ""));
  }
  return found;
}
