import { Fault, type Json, parseJson, toFault } from "../../../kernel/index.ts";
import type { Answer } from "../../../wire/index.ts";
import type { SchemaCheck } from "../../dialect/schema/compiler.ts";
import { createSchemaCheck } from "../../dialect/schema/schema-check.ts";
import type { Call, JsonSchema, Plugin, PluginPorts, Profile } from "../../proxy/plugin.ts";
import { createPatternCompiler } from "../../routing/pattern.ts";
import { decodeArgument } from "../../routing/query-arguments.ts";

/** Settings of request-validation: what header fields and body must look like. */
export interface RequestValidationSettings {
  readonly header_schema?: JsonSchema;
  readonly body_schema?: JsonSchema;
  readonly max_req_body_size?: number;
  readonly rejected_code: number;
  readonly rejected_msg?: string;
}

const SCHEMA = {
  type: "object",
  properties: {
    header_schema: { type: "object" },
    body_schema: { type: "object" },
    max_req_body_size: { type: "integer", minimum: 1 },
    rejected_code: { type: "integer", minimum: 200, maximum: 599, default: 400 },
    rejected_msg: { type: "string", minLength: 1, maxLength: 256 },
  },
  anyOf: [{ required: ["header_schema"] }, { required: ["body_schema"] }],
};
/** The dialect's own bound. */
const BODY_BYTES_MAX = 67_108_864;
/** In strict: a larger body is read in one piece for longer than others should wait; whoever wants it says so. */
const STRICT_BODY_BYTES_MAX = 1_048_576;
const DEPTH_MAX = 64;
const FORM = "application/x-www-form-urlencoded";
const FORM_PAIRS_MAX = 1000;

/**
 * Lets only requests through that fit the schemas. What was checked is what the upstream reads: JSON with a name twice is refused, and the
 * value that was checked, with the schema's defaults filled in, is written anew. (In the apisix profile the last of them counts, as there.)
 */
export const requestValidation: Plugin<RequestValidationSettings> = {
  name: "request-validation",
  priority: 2800,
  schema: SCHEMA,
  check({ body_schema: body, header_schema: header }, profile) {
    return [body, header].map((schema) => schema && schemaProblem(schema, profile)).find((wrong) => wrong !== undefined);
  },
  create(settings, { profile }, ports) {
    const bytesMax = settings.max_req_body_size ?? (profile === "strict" ? STRICT_BODY_BYTES_MAX : BODY_BYTES_MAX);
    const checkHeaders = compile(settings.header_schema, profile, ports);
    const checkBody = compile(settings.body_schema, profile, ports);
    const reject = (detail: string | undefined): Answer => {
      const body = settings.rejected_msg ?? detail;
      return { status: settings.rejected_code, headers: { "content-type": "text/plain; charset=utf-8" }, body };
    };
    return {
      rewrite(call) {
        const wrong = checkHeaders?.(toObject(call));
        if (wrong !== undefined) return reject(wrong);
        return checkBody ? validateBody(call, checkBody, bytesMax, reject) : undefined;
      },
    };
  },
};

function schemaProblem(schema: JsonSchema, profile: Profile): string | undefined {
  try {
    // any value will do: a schema that refers to itself in place never ends
    createSchemaCheck(schema, { pattern: createPatternCompiler(profile, () => undefined), luaTypes: profile === "apisix" })({});
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return "a schema refers to itself in the same place";
    return toFault(error).message;
  }
}

function compile(schema: JsonSchema | undefined, profile: Profile, ports: PluginPorts): SchemaCheck | undefined {
  return schema && createSchemaCheck(schema, { pattern: (source, flags) => ports.pattern(source, flags), luaTypes: profile === "apisix" });
}

/** Header fields as an object: names in lower case, a list where a field came more than once. */
function toObject({ head }: Call): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>; // a field may be called __proto__
  for (const [name, value] of head.headers.fields) {
    const folded = name.toLowerCase();
    const known = object[folded];
    if (known === undefined) object[folded] = value;
    else if (typeof known === "string") object[folded] = [known, value];
    else known.push(value);
  }
  return object;
}

async function validateBody(
  call: Call,
  check: SchemaCheck,
  bytesMax: number,
  reject: (detail: string | undefined) => Answer,
): Promise<Answer | undefined> {
  const types = call.head.headers.all("content-type");
  let body: Uint8Array;
  try {
    body = await call.body(bytesMax);
  } catch (error) {
    if (error instanceof Fault && error.code === "body_too_large") return reject(undefined);
    throw error;
  }
  // two content types would be read as another one by somebody else
  if (body.length === 0 || types.length > 1) return reject(undefined);
  if (types[0]?.toLowerCase().startsWith(FORM)) {
    const form = readForm(Buffer.from(body).toString("utf8"));
    const wrong = form ? check(form) : "the form has too many fields";
    return wrong === undefined ? undefined : reject(wrong);
  }
  try {
    const value = call.profile === "strict" ? parseJson(body, { bytesMax, depthMax: DEPTH_MAX }) : parseLenientJson(body);
    const wrong = check(value);
    if (wrong !== undefined) return reject(wrong);
    call.upstream.body = Buffer.from(JSON.stringify(value));
    return undefined;
  } catch (error) {
    const { public: said, message } = toFault(error);
    return reject(said.detail ?? message);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The dialect's own reader takes the last of a name that comes twice. Since the value is written anew, no other reader takes the first. */
function parseLenientJson(body: Uint8Array): Json {
  return JSON.parse(utf8.decode(body)) as Json; // JSON.parse gives nothing but Json
}

/** A form as a flat map: a list where a name comes more than once, true for a name without value. Undefined when it has too many fields. */
function readForm(text: string): Record<string, unknown> | undefined {
  const form = new Map<string, string | true | (string | true)[]>();
  const pairs = text.split("&", FORM_PAIRS_MAX + 1);
  if (pairs.length > FORM_PAIRS_MAX) return undefined;
  for (const pair of pairs) {
    if (pair === "") continue;
    const mark = pair.indexOf("=");
    const name = decodeArgument(mark === -1 ? pair : pair.slice(0, mark));
    const value = mark === -1 ? true : decodeArgument(pair.slice(mark + 1));
    const known = form.get(name);
    if (known === undefined) form.set(name, value);
    else if (Array.isArray(known)) known.push(value);
    else form.set(name, [known, value]);
  }
  return Object.fromEntries(form);
}
