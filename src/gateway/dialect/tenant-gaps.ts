import type { Plugin } from "../proxy/plugin.ts";
import { parseCredentialId } from "./document-items.ts";
import { isRecord } from "./schema/compiler.ts";
import { type SourceDocument, splitDocument } from "./source-document.ts";

/** What a document leaves to the platform about tenants. In APISIX, which has none, all of it is open. */
export interface TenantGaps {
  /** Ids of routes for proved tenants without a plugin that proves a caller: only the platform's own tokens and keys open them. */
  readonly routes: readonly string[];
  /** Consumers that are bound to no tenant: refused wherever one is required. */
  readonly consumers: readonly string[];
}

const RESOLVER = "tenant-resolver";
const BINDING = "tenant-context";

/** The gaps of a document as it is written. */
export function findTenantGaps(source: SourceDocument, plugins: readonly Plugin[]): TenantGaps {
  const proving = new Set(plugins.flatMap(({ kind, name, aliases = [] }) => (kind === "auth" ? [name, ...aliases] : [])));
  const objects = splitDocument(source);
  const setOf = (kind: string, id: unknown): unknown => {
    const found =
      typeof id === "string" || typeof id === "number" ? objects.find((each) => each.kind === kind && each.id === String(id)) : undefined;
    return pluginsOf(found?.value);
  };
  const everywhere = [source["plugins"], ...objects.filter(({ kind }) => kind === "global_rules").map(({ value }) => pluginsOf(value))];
  const tenants = isRecord(source["tenants"]) ? source["tenants"] : {};
  const routes: string[] = [];
  const consumers: string[] = [];
  for (const { kind, id, value } of objects) {
    if (!isRecord(value)) continue;
    if (kind === "consumers" && !parseCredentialId(id) && !has(pluginsOf(value), BINDING) && !Object.hasOwn(tenants, id))
      consumers.push(id);
    if (kind !== "routes") continue;
    const config = setOf("plugin_configs", value["plugin_config_id"]);
    const sets = [pluginsOf(value), config, setOf("services", value["service_id"]), ...everywhere].filter(isRecord);
    const resolver = sets.map((set) => set[RESOLVER]).find(isRecord);
    if (resolver?.["required"] === false || sets.some((set) => Object.keys(set).some((name) => proving.has(name)))) continue;
    routes.push(id);
  }
  return { routes, consumers };
}

function pluginsOf(value: unknown): unknown {
  return isRecord(value) ? value["plugins"] : undefined;
}

function has(set: unknown, name: string): boolean {
  return isRecord(set) && isRecord(set[name]);
}
