import { parseTarget } from "../../../wire/index.ts";
import type { Call, Pattern, PluginPorts, Profile } from "../../proxy/plugin.ts";
import { compileTemplate, type Template } from "../../routing/template.ts";
import { encodeControls, encodePath } from "../shared/encode-uri.ts";
import type { Captures } from "./header-rewrite.ts";
import type { ProxyRewriteSettings } from "./settings.ts";

type UriRewrite = (call: Call) => Captures;

/** Compiles the change of the address; undefined when it stays. The function gives what a pattern has captured. */
export function compileUriRewrite(settings: ProxyRewriteSettings, profile: Profile, ports: PluginPorts): UriRewrite | undefined {
  const { uri, regex_uri: rules, use_real_request_uri_unsafe: isUnsafe } = settings;
  if (isUnsafe) return unsafe(uri);
  if (uri !== undefined) return byTemplate(uri, profile);
  if (rules) return byPattern(rules, profile, ports);
  // the dialect sends the path that was matched; ours the one that came
  return profile === "apisix" ? (call) => send(call, encodePath(call.path), undefined) : undefined;
}

/** The query of the caller follows that of the template. */
function byTemplate(uri: string, profile: Profile): UriRewrite {
  const mark = uri.indexOf("?");
  const path = compileTemplate(mark === -1 ? uri : uri.slice(0, mark));
  // a value must not begin another argument
  const query = mark === -1 ? undefined : compileTemplate(uri.slice(mark + 1), profile === "strict" ? encodeURIComponent : escapeMark);
  const constant = path.constant === undefined ? undefined : encodePath(path.constant);
  const isFixed = constant !== undefined && query?.constant !== undefined;
  return (call) => {
    send(call, constant ?? encodePath(path.render(call)), query && encodeControls(query.render(call)));
    if (profile === "strict" && !isFixed) checkSent(call);
    return undefined;
  };
}

function escapeMark(value: string): string {
  return value.replaceAll("?", "%3F");
}

function byPattern(rules: readonly string[], profile: Profile, ports: PluginPorts): UriRewrite {
  const compiled: { readonly pattern: Pattern; readonly replacement: string }[] = [];
  for (let i = 0; i + 1 < rules.length; i += 2) {
    compiled.push({ pattern: ports.pattern(rules[i] ?? "", ""), replacement: rules[i + 1] ?? "" });
  }
  return (call) => {
    const { path } = call;
    for (const { pattern, replacement } of compiled) {
      const captures = pattern.match(path);
      if (!captures) continue;
      const uri = pattern.replace(path, replacement, true);
      // a question mark in the caller's decoded path is a character of it; one of the replacement begins the query
      const mark = path.includes("?") ? -1 : uri.indexOf("?");
      if (mark === -1) send(call, encodePath(uri), undefined);
      else send(call, encodePath(uri.slice(0, mark)), encodeControls(uri.slice(mark + 1)));
      if (profile === "strict") checkSent(call);
      return captures;
    }
    if (profile === "apisix") send(call, encodePath(path), undefined);
    return undefined;
  };
}

/** The target as it came, or the template's path with the query as it came; nothing is encoded again. */
function unsafe(uri: string | undefined): UriRewrite {
  const template: Template | undefined = uri === undefined ? undefined : compileTemplate(uri);
  return (call) => {
    const { path, query } = call.head.target;
    if (template) {
      const [before, after] = splitAtMark(template.render(call));
      call.upstream.path = encodeControls(before);
      call.upstream.query = joinQueries(after === undefined ? undefined : encodeControls(after), query);
    } else {
      call.upstream.path = path;
      call.upstream.query = query;
    }
    return undefined;
  };
}

function splitAtMark(uri: string): readonly [string, string | undefined] {
  const mark = uri.indexOf("?");
  return mark === -1 ? [uri, undefined] : [uri.slice(0, mark), uri.slice(mark + 1)];
}

function send(call: Call, path: string, query: string | undefined): undefined {
  call.upstream.path = path;
  if (query !== undefined) call.upstream.query = joinQueries(query, call.head.target.query);
  return undefined;
}

function joinQueries(first: string | undefined, second: string): string {
  if (first === undefined) return second;
  return second === "" ? first : `${first}&${second}`;
}

/** What callers put into an address must not lead out of it: dot segments, encoded slashes and the like are refused as in any request. */
function checkSent({ upstream }: Call): void {
  parseTarget(upstream.query === "" ? upstream.path : `${upstream.path}?${upstream.query}`);
}
