import type { Plugin, Profile } from "../../proxy/plugin.ts";
import { headerProblem } from "../shared/header-fields.ts";
import { patternProblem, replacementProblem } from "../shared/pattern-problem.ts";
import { compileHeaderRewrite } from "./header-rewrite.ts";
import { type HeaderSettings, type ProxyRewriteSettings, toEdits, toValues } from "./settings.ts";
import { compileUriRewrite } from "./uri-rewrite.ts";

const METHODS = [
  "GET",
  "POST",
  "PUT",
  "HEAD",
  "DELETE",
  "OPTIONS",
  "MKCOL",
  "COPY",
  "MOVE",
  "PROPFIND",
  "LOCK",
  "UNLOCK",
  "PATCH",
  "TRACE",
];
const ONE_VALUE = { oneOf: [{ type: "string" }, { type: "number" }] };
const VALUES = {
  type: "object",
  minProperties: 1,
  patternProperties: { "^[^:]+$": { oneOf: [...ONE_VALUE.oneOf, { type: "array", minItems: 1, items: ONE_VALUE }] } },
};
const SCHEMA = {
  type: "object",
  properties: {
    uri: { type: "string", minLength: 1, maxLength: 4096, pattern: String.raw`^\/.*` },
    method: { type: "string", enum: METHODS },
    regex_uri: { type: "array", minItems: 2, items: { type: "string" } },
    host: { type: "string", pattern: String.raw`^[0-9a-zA-Z-.]+(:\d{1,5})?$` },
    headers: {
      oneOf: [
        {
          type: "object",
          minProperties: 1,
          additionalProperties: false,
          properties: { add: VALUES, set: VALUES, remove: { type: "array", minItems: 1, items: { type: "string", pattern: "^[^:]+$" } } },
        },
        { type: "object", minProperties: 1, patternProperties: { "^[^:]+$": ONE_VALUE } },
      ],
    },
    use_real_request_uri_unsafe: { type: "boolean", default: false },
  },
  minProperties: 1,
};

/** Rewrites address, method, Host and header fields before the request goes to the upstream. */
export const proxyRewrite: Plugin<ProxyRewriteSettings> = {
  name: "proxy-rewrite",
  priority: 1008,
  schema: SCHEMA,
  check({ regex_uri: rules = [], headers, uri, use_real_request_uri_unsafe: isUnsafe }, profile) {
    if (rules.length % 2 !== 0) return "The length of regex_uri should be an even number";
    for (let i = 0; i + 1 < rules.length; i += 2) {
      const [pattern = "", replacement = ""] = rules.slice(i, i + 2);
      const wrong = patternProblem(pattern, "", profile) ?? replacementProblem(replacement);
      if (wrong) return `invalid regex_uri(${pattern}, ${replacement}): ${wrong}`;
    }
    if (profile === "strict") {
      if (isUnsafe) return "use_real_request_uri_unsafe forwards an address that nobody has looked at";
      if (uri !== undefined && !/^[\x21-\x7e]*$/.test(uri)) return "invalid character in uri";
    }
    return headers && headersProblem(headers, profile);
  },
  hazards: ({ use_real_request_uri_unsafe: isUnsafe }) =>
    isUnsafe ? ["proxy-rewrite with use_real_request_uri_unsafe forwards an address that was not the one that was matched."] : [],
  create(settings, { profile }, ports) {
    const rewriteUri = compileUriRewrite(settings, profile, ports);
    const rewriteHeaders = compileHeaderRewrite(settings.headers, profile);
    const { method, host } = settings;
    return {
      rewrite(call) {
        const captures = rewriteUri?.(call);
        rewriteHeaders?.(call, captures);
        if (method !== undefined) call.upstream.method = method;
        if (host !== undefined) call.upstream.host = host;
        return undefined;
      },
    };
  },
};

function headersProblem(headers: HeaderSettings, profile: Profile): string | undefined {
  const { add, set, remove } = toEdits(headers);
  for (const [name, values] of [...Object.entries(add ?? {}), ...Object.entries(set ?? {})]) {
    for (const value of toValues(values)) {
      const wrong = headerProblem(name, value, profile);
      if (wrong) return wrong;
    }
  }
  for (const name of remove ?? []) {
    const wrong = headerProblem(name, undefined, profile);
    if (wrong) return wrong;
  }
  return undefined;
}
