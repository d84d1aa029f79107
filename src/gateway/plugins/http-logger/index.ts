import { toFault } from "../../../kernel/index.ts";
import type { ExpressionSource } from "../../dialect/objects.ts";
import type { Call, Plugin, PluginInstance, Profile, ResponseDraft } from "../../proxy/plugin.ts";
import { compileExpression, type Expression } from "../../routing/expression.ts";
import { createPatternCompiler } from "../../routing/pattern.ts";
import { type BatchSettings, createBatcher } from "./batcher.ts";
import { compileLogFormat, fullEntry, type LogFormat } from "./log-entry.ts";

/** Settings of http-logger: where lines about calls go, and what is in them. Times are in seconds. */
export interface HttpLoggerSettings extends BatchSettings {
  readonly uri: string;
  readonly auth_header?: string;
  readonly timeout: number;
  readonly log_format?: LogFormat;
  readonly log_format_extra?: LogFormat;
  readonly include_req_body: boolean;
  readonly include_req_body_expr?: ExpressionSource;
  readonly include_resp_body: boolean;
  readonly include_resp_body_expr?: ExpressionSource;
  readonly max_req_body_bytes: number;
  readonly max_resp_body_bytes: number;
  readonly concat_method: "json" | "new_line";
  readonly ssl_verify: boolean;
  readonly name: string;
}

const EXPRESSION = { type: "array", minItems: 1, items: { type: "array" } };
const SCHEMA = {
  type: "object",
  properties: {
    uri: { type: "string", pattern: String.raw`^[^\/]+:\/\/([\da-zA-Z.-]+|\[[\da-fA-F:]+\])(:\d+)?` },
    auth_header: { type: "string" },
    timeout: { type: "integer", minimum: 1, default: 3 },
    log_format: { type: "object" },
    log_format_extra: { type: "object" },
    include_req_body: { type: "boolean", default: false },
    include_req_body_expr: EXPRESSION,
    include_resp_body: { type: "boolean", default: false },
    include_resp_body_expr: EXPRESSION,
    max_req_body_bytes: { type: "integer", minimum: 1, default: 524_288 },
    max_resp_body_bytes: { type: "integer", minimum: 1, default: 524_288 },
    concat_method: { type: "string", default: "json", enum: ["json", "new_line"] },
    ssl_verify: { type: "boolean", default: false },
    name: { type: "string", default: "http logger" },
    max_retry_count: { type: "integer", minimum: 0, default: 0 },
    retry_delay: { type: "integer", minimum: 0, default: 1 },
    buffer_duration: { type: "integer", minimum: 1, default: 60 },
    inactive_timeout: { type: "integer", minimum: 1, default: 5 },
    batch_max_size: { type: "integer", minimum: 1, default: 1000 },
  },
  required: ["uri"],
};
const METADATA = {
  type: "object",
  properties: {
    log_format: { type: "object" },
    log_format_extra: { type: "object" },
    max_pending_entries: { type: "integer", minimum: 1, default: 8192 },
  },
};
const PENDING_MAX = 8192;
const ANSWER_BYTES_MAX = 64 * 1024;
/** What one call's bodies may take in a line, whatever the settings say. */
const BODY_BYTES_MAX = 1024 * 1024;

/**
 * Sends lines about calls to a collector: in batches, from a bounded buffer, again when that fails. No call ever waits for it. Fields, cookies
 * and arguments that hold credentials never leave.
 */
export const httpLogger: Plugin<HttpLoggerSettings> = {
  name: "http-logger",
  priority: 410,
  schema: SCHEMA,
  metadata: METADATA,
  check(settings, profile) {
    if (!/^https?:\/\//i.test(settings.uri) || !URL.canParse(settings.uri)) {
      return `property "uri" validation failed: ${settings.uri} is no address of HTTP`;
    }
    for (const name of ["include_req_body_expr", "include_resp_body_expr"] as const) {
      const wrong = settings[name] && expressionProblem(settings[name], profile);
      if (wrong) return `failed to validate the '${name}' expression: ${wrong}`;
    }
    return undefined;
  },
  hazards({ uri, ssl_verify: verifies }) {
    if (!uri.startsWith("https")) return ["http-logger sends without TLS."];
    return verifies ? [] : ["http-logger does not check the certificate of its collector."];
  },
  create(settings, { metadata = {} }, ports) {
    const isLines = settings.concat_method === "new_line";
    const pendingMax = metadata["max_pending_entries"];
    const batcher = createBatcher(settings, typeof pendingMax === "number" ? pendingMax : PENDING_MAX, {
      clock: ports.clock,
      warn: (message, facts) => ports.warn(`${settings.name}: ${message}`, facts),
      async send(entries) {
        const [only = ""] = entries;
        const isSingle = settings.batch_max_size === 1;
        const body = isLines ? entries.join("\n") : isSingle ? only : `[${entries.join(",")}]`;
        const response = await ports.fetch({
          method: "POST",
          url: settings.uri,
          headers: {
            "content-type": isLines ? "text/plain" : "application/json",
            ...(settings.auth_header !== undefined && { authorization: settings.auth_header }),
          },
          body,
          timeoutMs: settings.timeout * 1000,
          bytesMax: ANSWER_BYTES_MAX,
          verify: settings.ssl_verify,
        });
        return response.status < 400;
      },
    });
    const format = settings.log_format ?? (metadata["log_format"] as LogFormat | undefined); // checked against METADATA
    const extra = settings.log_format_extra ?? (metadata["log_format_extra"] as LogFormat | undefined);
    const custom = format && Object.keys(format).length > 0 ? compileLogFormat(format, settings.max_req_body_bytes) : undefined;
    const added = extra && compileLogFormat(extra, settings.max_req_body_bytes);
    return {
      ...bodies(settings, custom !== undefined, (source, flags) => ports.pattern(source, flags)),
      log(call, end) {
        const entry = custom
          ? { ...custom(call), service_id: call.route?.serviceId, route_id: call.route?.id ?? "no-matched" }
          : { ...added?.(call), ...fullEntry(call, end, ports.clock, settings, call.note<LoggedBodies>(settings)) };
        batcher.push(JSON.stringify(entry));
      },
      close: () => batcher.close(),
    };
  },
};

/** Bodies of one call that go into its line. */
export interface LoggedBodies {
  /** Whether the request's body is wanted. */
  request: boolean;
  response: Buffer | undefined;
  readonly head: { status: number; headers: readonly (readonly [string, string])[] };
}

function expressionProblem(source: ExpressionSource, profile: Profile): string | undefined {
  try {
    compileExpression(
      source,
      createPatternCompiler(profile, () => undefined),
    );
    return undefined;
  } catch (error) {
    return toFault(error).message;
  }
}

/** The phases that see bodies. A body of unknown or larger size is not read ahead for the log: the call would wait for it. */
function bodies(settings: HttpLoggerSettings, isCustom: boolean, pattern: Parameters<typeof compileExpression>[1]): PluginInstance {
  const requestIf = settings.include_req_body_expr && compileExpression(settings.include_req_body_expr, pattern);
  const responseIf = settings.include_resp_body_expr && compileExpression(settings.include_resp_body_expr, pattern);
  const requestMax = Math.min(settings.max_req_body_bytes, BODY_BYTES_MAX);
  const responseMax = Math.min(settings.max_resp_body_bytes, BODY_BYTES_MAX);
  const holds = (condition: Expression | undefined, call: Call): boolean => condition?.holds(call) ?? true;
  const wantsRequest = settings.include_req_body && !isCustom;
  return {
    ...(wantsRequest && {
      access(call: Call) {
        const length = Number(call.head.headers.all("content-length")[0] ?? 0);
        if (!holds(requestIf, call)) return undefined;
        const isSmall = length > 0 && length <= requestMax;
        return isSmall && !call.bodyInMemory ? call.body(requestMax).then(() => undefined) : undefined;
      },
    }),
    header(call: Call, response: ResponseDraft) {
      if (isCustom) return;
      const note: LoggedBodies = {
        request: wantsRequest && holds(requestIf, call),
        response: undefined,
        head: { status: response.status, headers: response.headers.fields() },
      };
      call.setNote(settings, note);
      if (!settings.include_resp_body || !holds(responseIf, call)) return;
      response.watchBody((piece) => {
        const taken = note.response?.length ?? 0;
        if (!piece || taken >= responseMax) return;
        note.response = Buffer.concat([note.response ?? Buffer.alloc(0), piece.subarray(0, responseMax - taken)]);
      });
    },
  };
}
