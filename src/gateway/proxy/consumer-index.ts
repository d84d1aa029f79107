import { parseTenantId, type TenantId, type Turns } from "../../kernel/index.ts";
import type { ConsumerSettings, GatewayDocument, PluginSettings } from "../dialect/objects.ts";
import type { Consumer, ConsumerCredential, Plugin } from "./plugin.ts";
import type { PluginLayer } from "./plugin-chain.ts";

/** The plugin that binds a consumer to a tenant; on the tenant's own consumer there is nothing left for it to check. */
const BINDING = "tenant-context";

/** Consumers and plans of a document: found by name and by credential. */
export class ConsumerIndex {
  readonly #consumers = new Map<string, Consumer>();
  /** plugin -> value of its unique setting. */
  readonly #credentials = new Map<string, Map<string, ConsumerCredential>>();
  /** What a consumer brings to a route, for those that bring anything. */
  readonly #layers = new Map<string, PluginLayer>();
  readonly #groups = new Map<string, PluginLayer>();
  readonly #document: GatewayDocument;

  constructor(document: GatewayDocument) {
    this.#document = document;
    for (const [id, { plugins }] of document.consumer_groups) {
      const kind = document.plans.has(id) ? "plan" : "consumer_group";
      if (Object.keys(plugins).length > 0) this.#groups.set(id, { owner: `${kind}:${id}`, settings: plugins });
    }
  }

  /** Takes in the consumers: to be awaited before anything is looked up. */
  async fill(pluginOf: (name: string) => Plugin | undefined, turns: Turns): Promise<void> {
    for (const settings of this.#document.consumers.values()) {
      this.#add(settings, pluginOf);
      await turns.give();
    }
  }

  consumer(name: string): Consumer | undefined {
    return this.#consumers.get(name);
  }

  find(plugin: string, value: string): ConsumerCredential | undefined {
    return this.#credentials.get(plugin)?.get(value);
  }

  layerOf(consumer: string): PluginLayer | undefined {
    return this.#layers.get(consumer);
  }

  groupLayer(id: string | undefined): PluginLayer | undefined {
    return id === undefined ? undefined : this.#groups.get(id);
  }

  hasGroup(id: string): boolean {
    return this.#document.consumer_groups.has(id);
  }

  /** The plan of a tenant: what the document says, or else what the registry does. */
  planOf(tenantId: string, plan: string): string {
    return this.#document.tenants.get(tenantId)?.plan ?? plan;
  }

  /** Share at a fair upstream. */
  weightOf(plan: string): number {
    return this.#document.plans.get(plan)?.weight ?? 1;
  }

  /** The layer whose plugins have this owner. */
  layerOfOwner(owner: string): PluginLayer | undefined {
    const name = owner.slice(owner.indexOf(":") + 1);
    return [this.#layers.get(name), this.#groups.get(name)].find((layer) => layer?.owner === owner);
  }

  #add(settings: ConsumerSettings, pluginOf: (name: string) => Plugin | undefined): void {
    const { username, plugins = {} } = settings;
    const consumer: Consumer = {
      username,
      groupId: settings.group_id,
      labels: settings.labels ?? {},
      tenantId: boundTenant(username, plugins, this.#document),
    };
    this.#consumers.set(username, consumer);
    this.#addCredentials(consumer, undefined, plugins, pluginOf);
    for (const { id, plugins: own } of settings.credentials) this.#addCredentials(consumer, id, own, pluginOf);
    const brought = Object.entries(plugins).filter(([name]) => {
      const plugin = pluginOf(name);
      return plugin?.kind !== "auth" && plugin?.name !== BINDING;
    });
    const kind = this.#document.tenants.has(username) ? "tenant" : "consumer";
    if (brought.length > 0) this.#layers.set(username, { owner: `${kind}:${username}`, settings: Object.fromEntries(brought) });
  }

  #addCredentials(
    consumer: Consumer,
    credentialId: string | undefined,
    plugins: PluginSettings,
    pluginOf: (name: string) => Plugin | undefined,
  ): void {
    for (const [name, value] of Object.entries(plugins)) {
      const plugin = pluginOf(name);
      if (!plugin?.consumer || typeof value !== "object" || value === null) continue;
      const settings = value as Readonly<Record<string, unknown>>; // checked against the plugin's schema for consumers
      const unique = settings[plugin.consumer.unique];
      if (typeof unique !== "string") continue;
      const known = this.#credentials.get(plugin.name) ?? new Map<string, ConsumerCredential>();
      this.#credentials.set(plugin.name, known);
      known.set(unique, { consumer, credentialId, settings });
    }
  }
}

function boundTenant(username: string, plugins: PluginSettings, document: GatewayDocument): TenantId | undefined {
  const binding = plugins[BINDING];
  if (typeof binding === "object" && binding !== null && "tenant_id" in binding) return parseTenantId(binding.tenant_id);
  return document.tenants.has(username) ? parseTenantId(username) : undefined;
}
