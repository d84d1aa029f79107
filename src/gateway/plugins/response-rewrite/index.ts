import { isUtf8 } from "node:buffer";
import { Fault, toFault } from "../../../kernel/index.ts";
import type { Call, Pattern, Plugin, PluginPorts, Profile, ResponseDraft } from "../../proxy/plugin.ts";
import type { ExpressionSource } from "../../dialect/objects.ts";
import { compileExpression } from "../../routing/expression.ts";
import { createPatternCompiler } from "../../routing/pattern.ts";
import { compileTemplate } from "../../routing/template.ts";
import { compileHeaders, type HeaderTemplate, type HeaderValue, headerProblem, setOrRemove } from "../shared/header-fields.ts";
import { patternProblem, replacementProblem } from "../shared/pattern-problem.ts";

/** Settings of response-rewrite: what the caller gets instead of what the upstream answered. */
export interface ResponseRewriteSettings {
  readonly max_resp_body_size: number;
  readonly headers?: HeaderSettings;
  readonly body?: string;
  readonly body_base64: boolean;
  readonly status_code?: number;
  readonly vars?: ExpressionSource;
  readonly filters?: readonly FilterSettings[];
}

interface FilterSettings {
  readonly regex: string;
  readonly scope: "once" | "global";
  readonly replace: string;
  readonly options: string;
}

interface HeaderEdits {
  readonly add?: readonly string[];
  readonly set?: Readonly<Record<string, HeaderValue>>;
  readonly remove?: readonly string[];
}
type HeaderSettings = HeaderEdits | Readonly<Record<string, HeaderValue>>;

const VALUES = { type: "object", minProperties: 1, patternProperties: { "^[^:]+$": { oneOf: [{ type: "string" }, { type: "number" }] } } };
const SCHEMA = {
  type: "object",
  properties: {
    max_resp_body_size: { type: "integer", minimum: 1, default: 67_108_864 },
    headers: {
      anyOf: [
        VALUES,
        {
          properties: {
            add: { type: "array", minItems: 1, items: { type: "string", pattern: "^[^:]+:[^:]*[^/]$" } },
            set: VALUES,
            remove: { type: "array", minItems: 1, items: { type: "string", pattern: "^[^:]+$" } },
          },
        },
      ],
    },
    // before the body: of the two that exclude each other this one is named
    filters: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        required: ["regex", "replace"],
        properties: {
          regex: { type: "string", minLength: 1 },
          scope: { type: "string", enum: ["once", "global"], default: "once" },
          replace: { type: "string" },
          options: { type: "string", default: "jo" },
        },
      },
    },
    body: { type: "string" },
    body_base64: { type: "boolean", default: false },
    status_code: { type: "integer", minimum: 200, maximum: 598 },
    vars: { type: "array" },
  },
  dependencies: { filters: { not: { required: ["body"] } }, body: { not: { required: ["filters"] } } },
};

/** Rewrites status, header fields and body of every answer on its way to the caller, the gateway's own ones too. */
export const responseRewrite: Plugin<ResponseRewriteSettings> = {
  name: "response-rewrite",
  priority: 899,
  schema: SCHEMA,
  check(settings, profile) {
    const { headers, body, body_base64: isBase64, vars, filters = [] } = settings;
    if (isBase64 && !isBase64Text(body ?? "")) return "invalid base64 content";
    const wrong = (headers && headersProblem(headers, profile)) ?? (vars && varsProblem(vars, profile));
    if (wrong) return wrong;
    for (const { regex, options, replace } of filters) {
      const problem = patternProblem(regex, options, profile) ?? replacementProblem(replace);
      if (problem) return `regex "${regex}" validation failed: ${problem}`;
    }
    return undefined;
  },
  create(settings, { profile }, ports) {
    const { status_code: status, max_resp_body_size: bytesMax } = settings;
    const condition = settings.vars && compileExpression(settings.vars, (source, flags) => ports.pattern(source, flags));
    const edit = settings.headers && compileEdits(settings.headers);
    const body = settings.body === undefined ? undefined : Buffer.from(settings.body, settings.body_base64 ? "base64" : "utf8");
    const filter = settings.filters && compileFilters(settings.filters, ports);
    return {
      ...(filter && {
        rewrite(call: Call) {
          // a compressed body cannot be filtered, so the upstream is not offered to compress
          call.upstream.headers.remove("Accept-Encoding");
          return undefined;
        },
      }),
      header(call, response) {
        if (condition && !condition.holds(call)) return;
        if (status !== undefined) response.status = status;
        if (body) response.setBody(body);
        else if (filter) filterBody(response, filter, bytesMax, profile);
        edit?.(call, response);
      },
    };
  },
};

/** In the apisix profile fields about the body go whether it could be read or not, and what is over the bound is dropped, as there. */
function filterBody(response: ResponseDraft, filter: (body: Uint8Array) => Uint8Array, bytesMax: number, profile: Profile): void {
  const readable = isPlain(response);
  if (!readable && profile === "strict") return;
  for (const name of ["ETag", "Last-Modified", "Content-Encoding"]) response.headers.remove(name);
  if (readable) response.mapBody(bytesMax, filter, profile === "strict" ? "pass" : "cut");
}

/** Bodies that came compressed all the same stay as they are. */
function isPlain({ headers }: ResponseDraft): boolean {
  const encoding = headers.get("Content-Encoding");
  return encoding === undefined || encoding === "" || encoding.toLowerCase() === "identity";
}

function isBase64Text(text: string): boolean {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/.test(text) && text !== "";
}

function isEdits(headers: HeaderSettings): headers is HeaderEdits {
  return [headers["add"], headers["set"], headers["remove"]].some((part) => typeof part === "object");
}

function headersProblem(headers: HeaderSettings, profile: Profile): string | undefined {
  const { add = [], set = {}, remove = [] }: HeaderEdits = isEdits(headers) ? headers : { set: headers };
  for (const line of add) {
    const { name, value } = splitLine(line);
    const wrong = headerProblem(name, value, profile);
    if (wrong) return wrong;
  }
  for (const [name, value] of Object.entries(set)) {
    if (typeof value !== "string" && typeof value !== "number") return "invalid type as header value";
    const wrong = headerProblem(name, value, profile);
    if (wrong) return wrong;
  }
  return remove.map((name) => headerProblem(name, undefined, profile)).find((wrong) => wrong !== undefined);
}

function varsProblem(vars: ExpressionSource, profile: Profile): string | undefined {
  try {
    compileExpression(
      vars,
      createPatternCompiler(profile, () => undefined),
    );
    return undefined;
  } catch (error) {
    return `failed to validate the 'vars' expression: ${toFault(error).message}`;
  }
}

/** `Name: value`. */
function splitLine(line: string): { readonly name: string; readonly value: string } {
  const colon = line.indexOf(":");
  return { name: line.slice(0, colon).trim(), value: line.slice(colon + 1).trim() };
}

function compileEdits(headers: HeaderSettings): (call: Call, response: ResponseDraft) => void {
  const { add = [], set, remove = [] }: HeaderEdits = isEdits(headers) ? headers : { set: headers };
  const added: readonly HeaderTemplate[] = add.map(splitLine).map(({ name, value }) => ({ name, value: compileTemplate(value) }));
  const replaced = compileHeaders(set);
  return (call, response) => {
    let isValid = true;
    for (const { name, value } of added) {
      isValid = attempt(() => response.headers.add(name, value.render(call))) && isValid;
    }
    for (const { name, value } of replaced) {
      isValid = attempt(() => setOrRemove(response.headers, name, value.render(call))) && isValid;
    }
    for (const name of remove) response.headers.remove(name);
    if (isValid) return;
    response.status = 502;
    response.setBody("");
  };
}

/** A value that would begin another header field is left out; the rest, removals above all, is done. */
function attempt(edit: () => void): boolean {
  try {
    edit();
    return true;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}

interface Filter {
  readonly pattern: Pattern;
  readonly replace: string;
  readonly once: boolean;
  /** A dollar sign at its end also stands before a last line end, as in PCRE. */
  readonly endsBeforeLineEnd: boolean;
}

function compileFilters(filters: readonly FilterSettings[], ports: PluginPorts): (body: Uint8Array) => Uint8Array {
  const steps: readonly Filter[] = filters.map((filter) => ({
    pattern: ports.pattern(filter.regex, filter.options),
    replace: filter.replace,
    once: filter.scope === "once",
    endsBeforeLineEnd: /(?<!\\)\$$/.test(filter.regex),
  }));
  return (body) => {
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    // bytes that are no text keep their values this way
    const encoding = isUtf8(bytes) ? "utf8" : "latin1";
    let text = bytes.toString(encoding);
    for (const step of steps) text = applyFilter(text, step);
    return Buffer.from(text, encoding);
  };
}

function applyFilter(text: string, { pattern, replace, once, endsBeforeLineEnd }: Filter): string {
  if (!endsBeforeLineEnd || !text.endsWith("\n")) return pattern.replace(text, replace, once);
  return `${pattern.replace(text.slice(0, -1), replace, once)}\n`;
}
