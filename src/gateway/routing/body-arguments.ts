import { type Json, parseJson } from "../../kernel/index.ts";
import { parseQueryArguments } from "./query-arguments.ts";

/** A value inside a request's body by its path, for example `model` or `messages[0].role`. */
export type BodyArguments = (path: string) => string | number | undefined;

const NOTHING: BodyArguments = () => undefined;
/** Bodies of routing decisions: what is larger has no arguments. */
export const BODY_ARGUMENTS_BYTES_MAX = 1024 * 1024;

/** Reads a form (also in parts) or JSON by its content type. What cannot be read has no arguments. */
export function parseBodyArguments(contentType: string | undefined, body: Uint8Array): BodyArguments {
  const type = contentType?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (body.length === 0 || body.length > BODY_ARGUMENTS_BYTES_MAX) return NOTHING;
  if (type === "application/json" || type.endsWith("+json")) return jsonArguments(body);
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  if (type === "application/x-www-form-urlencoded") {
    const found = parseQueryArguments(text);
    return (path) => found.get(path);
  }
  if (type === "multipart/form-data") {
    const found = multipartArguments(contentType ?? "", text);
    return (path) => found.get(path);
  }
  return NOTHING;
}

function jsonArguments(body: Uint8Array): BodyArguments {
  let root: Json;
  try {
    root = parseJson(body, { bytesMax: BODY_ARGUMENTS_BYTES_MAX, depthMax: 64 });
  } catch {
    return NOTHING;
  }
  return (path) => scalar(walk(root, path.split(/[.[]/)));
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
