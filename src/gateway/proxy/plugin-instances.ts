import { Fault, toFault } from "../../kernel/index.ts";
import type { SslSettings, UpstreamSettings } from "../dialect/objects.ts";
import type { Upstream } from "../upstreams/upstream.ts";
import type { Plugin, PluginInstance, PluginOwner, PluginPorts, Profile, UpstreamTarget } from "./plugin.ts";

/** What of its document an instance may look at while it is made. */
export interface InstanceScope {
  /** Instances of two generations are never the same. */
  readonly generation: number;
  hasUpstream(id: string): boolean;
  /** The client certificate that an upstream's settings name. */
  certificateOf(settings: UpstreamSettings): SslSettings | undefined;
}

/** Settings of one plugin at one place. */
export interface InstanceRequest {
  readonly scope: InstanceScope;
  readonly plugin: Plugin;
  readonly owner: string;
  readonly settings: unknown;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
}

/** What instances are made with. */
export interface InstancePorts {
  readonly profile: Profile;
  readonly ports: PluginPorts;
  pluginOf(name: string): Plugin | undefined;
  /** An upstream of a plugin's own settings. */
  openUpstream(id: string, settings: UpstreamSettings, scope: InstanceScope): Upstream;
  closeUpstream(upstream: Upstream): void;
  report(fault: Fault): void;
}

/** An upstream of the document by its id, or one of a plugin's own. */
export class OwnTarget implements UpstreamTarget {
  readonly id: string;
  readonly upstream: Upstream | undefined;

  constructor(id: string, upstream: Upstream | undefined) {
    this.id = id;
    this.upstream = upstream;
  }
}

interface Entry {
  readonly owner: string;
  readonly instances: PluginInstance[];
  readonly upstreams: Upstream[];
  /** How many documents use it. */
  users: number;
}

/**
 * Instances of plugins over all documents. One whose place and settings stay the same stays too, with everything it has learned; one that no
 * document uses any more is closed.
 */
export class PluginInstances {
  readonly #entries = new Map<string, Entry>();
  readonly #ports: InstancePorts;

  constructor(ports: InstancePorts) {
    this.#ports = ports;
  }

  /** The instance for this place, and the key to give it back with. */
  take(request: InstanceRequest, taken: Set<string>): PluginInstance {
    const key = this.#keyOf(request);
    const entry = this.#entries.get(key) ?? this.#create(request, key);
    if (!taken.has(key)) {
      taken.add(key);
      entry.users++;
    }
    const [instance] = entry.instances;
    if (!instance) throw new Error(`the plugin ${request.plugin.name} made no instance`);
    return instance;
  }

  has(request: InstanceRequest): boolean {
    return this.#entries.has(this.#keyOf(request));
  }

  /** A document gives back what it has taken. */
  async release(taken: ReadonlySet<string>): Promise<void> {
    for (const key of taken) {
      const entry = this.#entries.get(key);
      if (!entry || --entry.users > 0) continue;
      this.#entries.delete(key);
      await this.#close(entry);
    }
  }

  /** The owners of what is not taken, also of what is made while they are being looked through. */
  *ownersBesides(taken: ReadonlySet<string>): Iterable<string> {
    for (const [key, { owner }] of this.#entries) if (!taken.has(key)) yield owner; // a map gives what is added to it meanwhile
  }

  #keyOf({ scope, plugin, owner, settings, metadata }: InstanceRequest): string {
    return JSON.stringify([scope.generation, owner, plugin.name, settings ?? null, metadata ?? null]);
  }

  async #close(entry: Entry): Promise<void> {
    for (const instance of entry.instances) {
      try {
        await instance.close?.();
      } catch (error) {
        this.#ports.report(toFault(error));
      }
    }
    for (const upstream of entry.upstreams) this.#ports.closeUpstream(upstream);
  }

  #create(request: InstanceRequest, key: string): Entry {
    const entry: Entry = { owner: request.owner, instances: [], upstreams: [], users: 0 };
    entry.instances.unshift(this.#open(request, entry));
    this.#entries.set(key, entry);
    return entry;
  }

  #open({ scope, plugin, owner, settings, metadata }: InstanceRequest, entry: Entry): PluginInstance {
    const { profile, ports } = this.#ports;
    const own: PluginOwner = {
      id: owner,
      profile,
      metadata,
      plugin: (name, inner) => {
        const found = this.#ports.pluginOf(name);
        if (!found) throw new Fault("invalid_settings", `unknown plugin ${name} in ${plugin.name} on ${owner}`);
        const instance = this.#open(
          { scope, plugin: found, owner: `${owner}/${plugin.name}`, settings: inner, metadata: undefined },
          entry,
        );
        entry.instances.push(instance);
        return instance;
      },
      upstream: (upstream) => {
        if (typeof upstream === "string") return scope.hasUpstream(upstream) ? new OwnTarget(upstream, undefined) : undefined;
        const opened = this.#ports.openUpstream(`${owner}/${plugin.name}#${entry.upstreams.length}`, upstream, scope);
        entry.upstreams.push(opened);
        return new OwnTarget(opened.id, opened);
      },
    };
    return plugin.create(withoutMeta(settings), own, ports);
  }
}

function withoutMeta(settings: unknown): unknown {
  if (typeof settings !== "object" || settings === null || !("_meta" in settings)) return settings;
  const { _meta, ...rest } = settings;
  return rest;
}
