import { Fault } from "../kernel/index.ts";
import { type Member, OutlineError, readMembers, valueOf } from "./meter/members.ts";
import { isFields } from "./protocols/openai-parts.ts";
import type { Protocol, ProviderProtocol, RequestValues } from "./protocols/protocol.ts";

/** A request to a provider, as far as it is read. */
export interface ProviderRequest {
  readonly protocol: ProviderProtocol;
  readonly body: Uint8Array;
  readonly members: ReadonlyMap<string, Member>;
  readonly values: RequestValues;
  /** As whoever made the request names it. */
  readonly model: string;
  readonly stream: boolean;
  /** The longest answer that the caller has asked for, in tokens. */
  readonly outputMax: number | undefined;
  /** Answers that it asks for at once. */
  readonly choices: number;
}

/** A caller's request to a model. */
export interface ModelRequest extends ProviderRequest {
  readonly protocol: Protocol;
}

const MODEL_LENGTH_MAX = 200;
const CHOICES_MAX = 128;

/**
 * Reads the members that decide something. `meant` is the model of a request that names none. Throws `invalid_json` with the member at fault, before
 * anything is taken or sent.
 */
export function readRequest(protocol: Protocol, body: Uint8Array, meant?: string): ModelRequest {
  try {
    const { members, values } = outlineOf(protocol, body);
    return understood({ protocol, body, members }, meant === undefined ? values : { ...values, model: values["model"] ?? meant });
  } catch (error) {
    if (error instanceof OutlineError) throw invalid(undefined, `The body is not an object of JSON: ${error.message}.`);
    throw error;
  }
}

/** A request that was made here, whose model and kind of answer stand in its path. */
export function readSent(protocol: ProviderProtocol, body: Uint8Array, model: string, stream: boolean): ProviderRequest {
  const { members, values } = outlineOf(protocol, body);
  return { protocol, body, members, values, model, stream, outputMax: outputMaxOf(protocol, values), choices: 1 };
}

function outlineOf(protocol: ProviderProtocol, body: Uint8Array): Pick<ProviderRequest, "members" | "values"> {
  const members = readMembers(body);
  return { members, values: Object.fromEntries(protocol.members.map((name) => [name, valueOf(body, members.get(name))])) };
}

/** The request as it is with these members put into it. Its bytes stay those of the caller. */
export function requestWith(request: ModelRequest, put: Readonly<Record<string, unknown>>): ModelRequest {
  const read = request.protocol.members.filter((name) => Object.hasOwn(put, name));
  return understood(request, { ...request.values, ...Object.fromEntries(read.map((name) => [name, put[name]])) });
}

function understood(parts: Pick<ModelRequest, "protocol" | "body" | "members">, values: RequestValues): ModelRequest {
  const { protocol } = parts;
  const { model, stream = false, n = 1, background = false } = values;
  if (typeof model !== "string" || model === "" || model.length > MODEL_LENGTH_MAX) throw invalid("model", "Name the model, as text.");
  if (typeof stream !== "boolean") throw invalid("stream", "stream is true or false.");
  if (background !== false)
    throw invalid("background", "Answers in the background are not served here: what they use could not be counted.");
  if (!isBound(n, CHOICES_MAX)) throw invalid("n", `n is a whole number from 1 to ${CHOICES_MAX}.`);
  for (const path of protocol.callerNames) assertName(values, path);
  return { ...parts, values, model, stream, outputMax: outputMaxOf(protocol, values), choices: n };
}

/** The smaller of the bounds that are set. */
function outputMaxOf({ outputMembers }: ProviderProtocol, values: RequestValues): number | undefined {
  const bounds = outputMembers.flatMap((path) => {
    const bound = valueAt(values, path).value;
    if (bound === undefined) return [];
    if (!isBound(bound, Number.MAX_SAFE_INTEGER)) throw invalid(path, `${path} is a whole number from 1 on.`);
    return [bound];
  });
  return bounds.length === 0 ? undefined : Math.min(...bounds);
}

function assertName(values: RequestValues, path: string): void {
  const { member, inner, outer, value } = valueAt(values, path);
  if (inner !== undefined && outer !== undefined && !isFields(outer)) throw invalid(member, `${member} is an object.`);
  if (value !== undefined && typeof value !== "string") throw invalid(path, `${path} is text.`);
}

/** What stands at this path, `a` or `a.b`, and the member that it stands in; null is nothing. */
export function valueAt(
  values: RequestValues,
  path: string,
): { readonly member: string; readonly inner: string | undefined; readonly outer: unknown; readonly value: unknown } {
  const [member = "", inner] = path.split(".");
  const outer = values[member] ?? undefined;
  const value = inner === undefined ? outer : isFields(outer) ? (outer[inner] ?? undefined) : undefined;
  return { member, inner, outer, value };
}

/** The member that has this value at the path, with what else stands in it. */
export function memberWith(values: RequestValues, path: string, value: unknown): readonly [member: string, value: unknown] {
  const { member, inner, outer } = valueAt(values, path);
  return [member, inner === undefined ? value : { ...Object(outer), [inner]: value }];
}

function isBound(value: unknown, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max;
}

function invalid(field: string | undefined, detail: string): Fault {
  return new Fault("invalid_json", detail, { public: { detail, ...(field !== undefined && { field }) } });
}
