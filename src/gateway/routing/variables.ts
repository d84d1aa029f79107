import type { RequestView } from "./request-view.ts";

/** Reads one variable of a request; undefined when it has no value. */
export type VariableGetter = (view: RequestView) => string | number | undefined;

/** The variables whose names are fixed. What only a call on its way has (upstream, answer, times) is defined by it. */
const FIXED: Readonly<Record<string, VariableGetter>> = {
  uri: (view) => view.path,
  document_uri: (view) => view.path,
  request_uri: (view) => view.head.target.raw,
  real_request_uri: (view) => view.head.target.raw,
  args: (view) => view.head.target.query || undefined,
  query_string: (view) => view.head.target.query || undefined,
  is_args: (view) => (view.head.target.query === "" ? "" : "?"),
  remote_addr: (view) => view.remoteAddress,
  remote_port: (view) => view.head.remotePort,
  realip_remote_addr: (view) => view.head.remoteAddress,
  host: (view) => view.head.host ?? "_",
  http_host: (view) => view.head.authority,
  hostname: (view) => view.head.host,
  method: (view) => view.head.method,
  request_method: (view) => view.head.method,
  scheme: (view) => view.head.scheme,
  https: (view) => (view.head.scheme === "https" ? "on" : ""),
  server_addr: (view) => view.head.localAddress,
  server_port: (view) => view.head.localPort,
  server_name: () => "_",
  server_protocol: (view) => (view.head.version === "2" ? "HTTP/2.0" : `HTTP/${view.head.version}`),
  request: (view) => `${view.head.method} ${view.head.target.raw} HTTP/${view.head.version === "2" ? "2.0" : view.head.version}`,
  content_length: (view) => field(view, "content-length"),
  content_type: (view) => field(view, "content-type"),
  request_body: (view) => (view.bodyInMemory ? Buffer.from(view.bodyInMemory).toString("utf8") : undefined),
  route_id: (view) => view.route?.id,
  route_name: (view) => view.route?.name,
  service_id: (view) => view.route?.serviceId,
  service_name: (view) => view.route?.serviceName,
  graphql_name: (view) => view.graphql()?.name,
  graphql_operation: (view) => view.graphql()?.operation,
  consumer_name: (view) => view.consumer?.username,
  consumer_id: (view) => view.consumer?.username,
  consumer_group_id: (view) => view.consumerGroupId,
  credential_id: (view) => view.credentialId,
  tenant_id: (view) => (view.context ? view.context.tenant.id : view.claim().tenantId),
  tenant_tier: (view) => (view.context ? view.context.tenant.plan : view.claim().tenantTier),
  principal: (view) => (view.context ? view.context.principal.id : view.claimPrincipal()),
};

/** The variables whose names begin so; the rest of the name says which. */
const FAMILIES: readonly (readonly [prefix: string, make: (rest: string) => VariableGetter])[] = [
  ["arg_", (name) => (view) => view.queryArgument(name)],
  ["http_", headerGetter],
  ["cookie_", (name) => (view) => cookie(view, name)],
  ["post_arg_", (name) => (view) => view.bodyArgument(name)],
  ["post_arg.", (path) => (view) => view.bodyArgument(path)],
  ["uri_param_", (name) => (view) => view.pathParameters?.get(name)],
];

const NOTHING: VariableGetter = () => undefined;
/** Names come from settings; were they ever made up at run time, they would not be kept beyond this. */
const KEPT_MAX = 10_000;
const kept = new Map<string, VariableGetter>(Object.entries(FIXED));

/** How this variable is read. */
export function variableGetter(name: string): VariableGetter {
  const known = kept.get(name);
  if (known) return known;
  const family = FAMILIES.find(([prefix]) => name.startsWith(prefix));
  const getter = family ? family[1](name.slice(family[0].length)) : NOTHING;
  if (kept.size < KEPT_MAX) kept.set(name, getter);
  return getter;
}

/** Whether the variable is in the body, which then has to be read first. */
export function isBodyVariable(name: string): boolean {
  return name.startsWith("post_arg") || name.startsWith("graphql_") || name === "request_body";
}

function headerGetter(name: string): VariableGetter {
  const folded = name.toLowerCase();
  const dashed = folded.replaceAll("_", "-");
  // in the dialect a field that is spelled with underscores is the same variable; in strict it is somebody's other spelling of the field
  return (view) => field(view, dashed) ?? (view.profile === "apisix" ? field(view, folded) : undefined);
}

function field(view: RequestView, name: string): string | undefined {
  const values = view.head.headers.all(name);
  return values.length > 1 ? values.join(", ") : values[0];
}

function cookie(view: RequestView, name: string): string | undefined {
  for (const line of view.head.headers.all("cookie")) {
    for (const pair of line.split(";")) {
      const mark = pair.indexOf("=");
      if (mark > 0 && pair.slice(0, mark).trim() === name) return pair.slice(mark + 1).trim();
    }
  }
  return undefined;
}
