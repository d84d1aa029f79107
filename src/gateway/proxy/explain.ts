import type { TenantId } from "../../kernel/index.ts";
import { createHeaderList, type RequestHead, type Target } from "../../wire/index.ts";
import { RequestView } from "../routing/request-view.ts";
import type { CallPorts } from "./call.ts";
import { claimWithTier } from "./claims.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import type { PluginChain } from "./plugin-chain.ts";
import type { ExplainedPlugin, Explanation, ExplainRequest } from "./ports.ts";
import type { Program } from "./program.ts";

/** The route that such a request of this tenant would take and the plugins that would run, without running them. */
export async function explain(
  tenantId: TenantId | undefined,
  request: ExplainRequest,
  program: Program | undefined,
  ports: CallPorts,
): Promise<Explanation> {
  if (!program) return { route: undefined, upstream: undefined, plugins: [] };
  const view = new RequestView(toHead(request), ports);
  const tenant = tenantId === undefined ? undefined : await ports.outer.findTenant(tenantId);
  view.claimed = await claimWithTier({ tenantId, tenantTier: tenant?.plan, principal: undefined }, (id) => ports.outer.findTenant(id));
  const route = program.match(view);
  if (!route) return { route: undefined, upstream: undefined, plugins: explainChain(program.global) };
  const layers = tenant ? program.layersOf(undefined, undefined, tenant) : [];
  const chain = program.overlay(route, layers)?.chain ?? route.chain;
  return {
    route: { id: route.settings.id, name: route.settings.name, because: reasons(route) },
    upstream: route.upstream?.id,
    plugins: [...explainChain(program.global), ...explainChain(chain)],
  };
}

function explainChain(chain: PluginChain): ExplainedPlugin[] {
  return chain.steps.map(({ plugin, priority, owner, overrides, settings }) => ({
    name: plugin.name,
    priority,
    from: owner,
    overrides,
    settings,
  }));
}

/** What the route asks of a request, each in a few words. */
function reasons({ settings }: CompiledRoute): string[] {
  const { uri, uris, host, hosts, methods, remote_addr: address, remote_addrs: addresses, vars, priority } = settings;
  return [
    `path ${(uris ?? [uri]).join(" or ")}`,
    ...(host === undefined && !hosts ? [] : [`host ${(hosts ?? [host]).join(" or ")}`]),
    ...(methods ? [`method ${methods.join(" or ")}`] : []),
    ...(address === undefined && !addresses ? [] : [`address ${(addresses ?? [address]).join(" or ")}`]),
    ...(vars ? [`vars ${JSON.stringify(vars)}`] : []),
    ...(priority === 0 ? [] : [`priority ${priority}`]),
  ];
}

/** A head that never came in; what it does not say is as of a plain request. */
function toHead({ method, host, path, headers = {} }: ExplainRequest): RequestHead {
  const mark = path.indexOf("?");
  const target: Target = {
    raw: path,
    path: mark === -1 ? path : path.slice(0, mark),
    segments: [],
    query: mark === -1 ? "" : path.slice(mark + 1),
  };
  return {
    method,
    target,
    headers: createHeaderList(Object.entries(headers).flat()),
    host: host?.toLowerCase().replace(/:\d+$/, ""),
    authority: host,
    scheme: "http",
    version: "1.1",
    remoteAddress: "127.0.0.1",
    remotePort: 0,
    localAddress: "",
    localPort: 0,
  };
}
