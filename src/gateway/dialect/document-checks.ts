import type { Item } from "./document-items.ts";
import { parseCredentialId } from "./document-items.ts";
import type { Findings } from "./findings.ts";
import type { PluginChecks } from "./plugin-checks.ts";
import { isRecord } from "./schema/compiler.ts";
import type { Kind } from "./schemas/kinds.ts";

/** The items of a document by kind and id. */
export type ItemsOfDocument = Readonly<Record<Kind, Map<string, Item>>>;

const REFERENCES = [
  { field: "service_id", kind: "services" },
  { field: "upstream_id", kind: "upstreams" },
  { field: "plugin_config_id", kind: "plugin_configs" },
  { field: "group_id", kind: "consumer_groups" },
] as const satisfies readonly { field: string; kind: Kind }[];

/** Everything that has plugins. */
const HOLDERS = ["services", "plugin_configs", "consumer_groups", "consumers", "global_rules", "routes"] as const satisfies readonly Kind[];

/** Settings that share something under a name have to be the same wherever they stand; the first to name it says what they are. */
export function checkGroups(items: ItemsOfDocument, plugins: PluginChecks, findings: Findings): void {
  const known = new Map<string, string>();
  for (const kind of HOLDERS) {
    for (const [id, { place, object }] of items[kind]) {
      const other = pluginsOf(object).find(([name, settings]) => {
        const group = plugins.find(name)?.group?.(settings);
        if (group === undefined || !isRecord(settings)) return false;
        const { _meta: _, ...own } = settings;
        const key = JSON.stringify([name, group]);
        const text = JSON.stringify(Object.entries(own).toSorted(([a], [b]) => (a < b ? -1 : 1)));
        if (!known.has(key)) known.set(key, text);
        return known.get(key) !== text;
      });
      if (!other) continue;
      findings.refuse(place, `failed to check the configuration of plugin ${other[0]} err: group conf mismatched`);
      items[kind].delete(id);
    }
  }
}

/** What refers to something that is not there. It is served in the apisix profile, and answers as that does. */
export function checkReferences(items: ItemsOfDocument, plugins: PluginChecks, findings: Findings): void {
  for (const kind of ["services", "consumers", "routes"] as const) {
    for (const { place, object } of items[kind].values()) {
      for (const { field, kind: target } of REFERENCES) {
        const id = object[field];
        if (typeof id === "string" && !items[target].has(id)) findings.doubt(place, `${field} ${id} leads to nothing`);
      }
    }
  }
  for (const { place, object } of [...items.routes.values(), ...items.services.values(), ...items.upstreams.values()]) {
    const upstream = isRecord(object["upstream"]) ? object["upstream"] : object;
    const certificate = isRecord(upstream["tls"]) ? upstream["tls"]["client_cert_id"] : undefined;
    if (typeof certificate === "string" && items.ssls.get(certificate)?.object["type"] !== "client")
      findings.doubt(place, `client_cert_id ${certificate} leads to no certificate of the type client`);
    if (upstream["discovery_type"] !== undefined) findings.doubt(place, "there is no service discovery here: the upstream has no nodes");
    const { scheme } = upstream;
    if (plugins.profile === "strict" && typeof scheme === "string" && !SPOKEN.has(scheme))
      findings.doubt(place, `has the scheme ${scheme}, which is not spoken`);
  }
  // the dialect's own gateway takes them, and answers when such a call comes
  for (const { place, object } of plugins.profile === "strict" ? holdersOf(items) : []) {
    for (const [name, settings] of pluginsOf(object)) {
      for (const id of plugins.find(name)?.upstreamIds?.(settings) ?? [])
        if (!items.upstreams.has(id)) findings.doubt(place, `${name}: upstream_id ${id} leads to nothing`);
    }
  }
}

/** Schemes of upstreams that are spoken. */
const SPOKEN: ReadonlySet<string> = new Set(["http", "https"]);

function holdersOf(items: ItemsOfDocument): readonly Item[] {
  return HOLDERS.flatMap((kind) => [...items[kind].values()]);
}

function pluginsOf(object: Item["object"]): readonly (readonly [name: string, settings: unknown])[] {
  return isRecord(object["plugins"]) ? Object.entries(object["plugins"]) : [];
}

/** Credentials that two consumers share would prove one of them for the other; a credential without its consumer proves nobody. */
export function checkCredentials(consumers: Map<string, Item>, plugins: PluginChecks, findings: Findings): void {
  const owners = new Map<string, Item>();
  for (const item of consumers.values()) {
    const owner = parseCredentialId(item.id)?.username ?? item.id;
    if (!consumers.has(owner)) {
      findings.refuse(item.place, `there is no consumer ${owner}`);
      consumers.delete(item.id);
      continue;
    }
    for (const credential of credentialsIn(item, plugins)) {
      const other = owners.get(credential.key);
      owners.set(credential.key, item);
      if (!other) continue;
      findings.doubt(
        item.place,
        `has the same ${credential.name} as ${other.place.text}: a credential belongs to one consumer only`,
        other.place,
      );
    }
  }
}

function credentialsIn({ object }: Item, plugins: PluginChecks): { readonly key: string; readonly name: string }[] {
  return pluginsOf(object).flatMap(([name, settings]) => {
    const unique = plugins.find(name)?.consumer?.unique;
    const value = unique === undefined || !isRecord(settings) ? undefined : settings[unique];
    return typeof value === "string" ? [{ key: JSON.stringify([name, value]), name: `${name} ${unique}` }] : [];
  });
}

/** What plugins themselves say about dangerous settings, and what the dialect's own fields bring with them. */
export function sayHazards(items: ItemsOfDocument, plugins: PluginChecks, findings: Findings): void {
  for (const item of holdersOf(items)) {
    for (const [name, settings] of pluginsOf(item.object)) {
      const plugin = plugins.find(name);
      // a plugin of kind `auth` reads its route settings here; what stands on a consumer are credentials
      const isCredential = plugin?.kind === "auth" && item.kind !== "routes" && (item.kind === "consumers" || item.kind === "credential");
      if (isCredential) continue;
      const place = item.kind === "consumers" || item.kind === "consumer_groups" ? "consumer" : "route";
      for (const text of plugin?.hazards?.(settings, plugins.profile, place) ?? []) findings.warn(item.place, `${name}: ${text}`);
    }
  }
  const seen = new Map<string, Item>();
  for (const item of items.global_rules.values()) {
    for (const [name] of pluginsOf(item.object)) {
      const other = seen.get(name);
      seen.set(name, item);
      if (other) findings.doubt(item.place, `${name} is in ${other.place.text} too, and then in neither`, other.place);
    }
  }
}
