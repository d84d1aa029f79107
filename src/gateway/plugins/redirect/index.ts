import type { Call, Plugin, PluginPorts } from "../../proxy/plugin.ts";
import { compileTemplate } from "../../routing/template.ts";
import { encodeControls, encodePath } from "../shared/encode-uri.ts";
import { patternProblem, replacementProblem } from "../shared/pattern-problem.ts";

/** Settings of redirect: where the caller is sent. */
export interface RedirectSettings {
  readonly ret_code: number;
  readonly uri?: string;
  readonly regex_uri?: readonly string[];
  readonly http_to_https?: boolean;
  readonly encode_uri: boolean;
  readonly append_query_string: boolean;
}

const SCHEMA = {
  type: "object",
  properties: {
    ret_code: { type: "integer", minimum: 200, default: 302 },
    uri: { type: "string", minLength: 2, pattern: String.raw`(\\\$[0-9a-zA-Z_]+)|\$\{([0-9a-zA-Z_]+)\}|\$([0-9a-zA-Z_]+)|(\$|[^$\\]+)` },
    regex_uri: { type: "array", maxItems: 2, minItems: 2, items: { type: "string" } },
    http_to_https: { type: "boolean" },
    encode_uri: { type: "boolean", default: false },
    append_query_string: { type: "boolean", default: false },
  },
  oneOf: [{ required: ["uri"] }, { required: ["regex_uri"] }, { required: ["http_to_https"] }],
};

/** The highest status there is. */
const STATUS_MAX = 599;

/** Answers with another address. What callers put into it cannot begin another header field: controls are percent-encoded. */
export const redirect: Plugin<RedirectSettings> = {
  name: "redirect",
  priority: 900,
  schema: SCHEMA,
  check({ regex_uri: rule, http_to_https: isToHttps, append_query_string: appends, ret_code: status, uri }, profile) {
    const [pattern, replacement] = rule ?? [];
    if (pattern !== undefined && replacement !== undefined) {
      const wrong = patternProblem(pattern, "", profile) ?? replacementProblem(replacement);
      if (wrong) return `invalid regex_uri (${pattern}, ${replacement}), err:${wrong}`;
    }
    if (isToHttps && appends) return "only one of `http_to_https` and `append_query_string` can be configured.";
    if (status > STATUS_MAX) return `property "ret_code" validation failed: expected ${status} to be at most ${STATUS_MAX}`;
    return uri !== undefined && hasControl(uri) ? "invalid character in uri" : undefined;
  },
  create(settings, _owner, ports) {
    const { http_to_https: isToHttps, ret_code: status } = settings;
    const secure = isToHttps ? compileUri("https://$host$request_uri") : undefined;
    const target = settings.uri === undefined ? compilePattern(settings.regex_uri, ports) : compileUri(settings.uri);
    return {
      rewrite(call) {
        const isSecure = secure !== undefined && schemeOf(call) !== "https";
        const address = (isSecure ? secure : target)?.(call);
        if (address === undefined) return undefined;
        const { method } = call.head;
        // 308 keeps the method and the body (RFC 9110, 15.4.9)
        const code = isSecure ? (method === "GET" || method === "HEAD" ? 301 : 308) : status;
        return { status: code, headers: { location: encodeControls(finish(address, call, settings)) }, body: undefined };
      },
    };
  },
};

function hasControl(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

/** The scheme that the caller used towards what stands in front of the gateway. */
function schemeOf({ head }: Call): string {
  return head.headers.all("x-forwarded-proto")[0] ?? head.scheme;
}

type Address = (call: Call) => string | undefined;

/** Names end before a dot here, unlike in other templates of the dialect. */
function compileUri(uri: string): Address {
  const template = compileTemplate(uri.replaceAll(/(?<!\\)\$([0-9a-zA-Z_]+)/g, "$${$1}"));
  return (call) => template.render(call);
}

function compilePattern(rule: readonly string[] | undefined, ports: PluginPorts): Address | undefined {
  const [source, replacement] = rule ?? [];
  if (source === undefined || replacement === undefined) return undefined;
  const pattern = ports.pattern(source, "");
  return ({ path }) => (pattern.test(path) ? pattern.replace(path, replacement, true) : undefined);
}

function finish(address: string, { head }: Call, settings: RedirectSettings): string {
  const mark = address.indexOf("?");
  let finished = address;
  if (settings.encode_uri) finished = mark === -1 ? encodePath(address) : encodePath(address.slice(0, mark)) + address.slice(mark);
  const { query } = head.target;
  if (settings.append_query_string && query !== "") finished += `${mark === -1 ? "?" : "&"}${query}`;
  return finished;
}
