/**
 * The objects of the dialect as they stand in a document, after their defaults are filled in. The schemas beside this file are what is
 * checked; these types say the same to the compiler. Source: APISIX 3.18.0, schema_def.lua; fields of our own are marked.
 */

/** name -> settings. */
export type PluginSettings = Readonly<Record<string, unknown>>;

interface Named {
  readonly id: string;
  readonly name?: string;
  readonly desc?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** One condition list of lua-resty-expr: `[var, op, value]`s joined by AND, or headed by "AND", "OR", "!AND", "!OR". */
export type ExpressionSource = readonly unknown[];

/** Seconds. */
export interface TimeoutSettings {
  readonly connect: number;
  readonly send: number;
  readonly read: number;
}

/** A route: what it takes, and where what it takes goes. */
export interface RouteSettings extends Named {
  readonly uri?: string;
  readonly uris?: readonly string[];
  readonly host?: string;
  readonly hosts?: readonly string[];
  readonly remote_addr?: string;
  readonly remote_addrs?: readonly string[];
  readonly methods?: readonly string[];
  readonly vars?: ExpressionSource;
  readonly priority: number;
  readonly plugins?: PluginSettings;
  readonly plugin_config_id?: string;
  readonly service_id?: string;
  readonly upstream?: UpstreamSettings;
  readonly upstream_id?: string;
  readonly timeout?: TimeoutSettings;
  readonly enable_websocket?: boolean;
  readonly status: 0 | 1;
}

/** What several routes have in common. */
export interface ServiceSettings extends Named {
  readonly plugins?: PluginSettings;
  readonly upstream?: UpstreamSettings;
  readonly upstream_id?: string;
  readonly hosts?: readonly string[];
  readonly enable_websocket?: boolean;
}

/** One address of an upstream. */
export interface NodeSettings {
  readonly host: string;
  /** By the scheme when absent. */
  readonly port?: number;
  readonly weight: number;
  readonly priority?: number;
}

/** Where requests go, and how a node is chosen. */
export interface UpstreamSettings extends Partial<Named> {
  /** Always the list form: the map form is turned into it at load. */
  readonly nodes?: readonly NodeSettings[];
  /** Ours: nodes by where the tenant's layer lives (`shared`, `dedicated`, `isolated`); `nodes` is for everybody else. */
  readonly nodes_by_placement?: Readonly<Record<string, readonly NodeSettings[]>>;
  readonly type: "roundrobin" | "chash" | "ewma" | "least_conn";
  readonly hash_on: "vars" | "header" | "cookie" | "consumer" | "vars_combinations";
  readonly key?: string;
  readonly scheme: "http" | "https" | "grpc" | "grpcs" | "tcp" | "tls" | "udp" | "kafka";
  readonly retries?: number;
  /** Seconds; 0 is no bound. */
  readonly retry_timeout?: number;
  readonly timeout?: TimeoutSettings;
  readonly pass_host: "pass" | "node" | "rewrite";
  readonly upstream_host?: string;
  /**
   * Ours, set by traffic-split in the apisix profile: there `pass_host: node` sends the name without its port unless the scheme is https, and
   * a name without address is answered with 502.
   */
  readonly of_split?: boolean;
  readonly keepalive_pool?: { readonly size: number; readonly idle_timeout: number; readonly requests: number };
  readonly tls?: {
    readonly client_cert?: string;
    readonly client_key?: string;
    readonly client_cert_id?: string;
    readonly verify?: boolean;
  };
  readonly checks?: HealthCheckSettings;
  /** Ours: fair share between tenants; see `FairSettings`. */
  readonly fair?: FairSettings;
}

/** Ours: at most `concurrency` requests at the upstream at once; what is over it waits, tenant by tenant in turn by weight. */
export interface FairSettings {
  readonly concurrency: number;
  /** Requests that may wait per tenant. */
  readonly queue: number;
  readonly deadline_ms: number;
}

/** How nodes are found to be healthy. Intervals and timeouts are in seconds. */
export interface HealthCheckSettings {
  readonly active: {
    readonly type: "http" | "https" | "tcp";
    readonly timeout: number;
    readonly concurrency: number;
    readonly host?: string;
    readonly port?: number;
    readonly http_path: string;
    readonly http_method: string;
    readonly http_req_body: string;
    readonly https_verify_certificate: boolean;
    readonly req_headers?: readonly string[];
    readonly healthy: { readonly interval: number; readonly http_statuses: readonly number[]; readonly successes: number };
    readonly unhealthy: {
      readonly interval: number;
      readonly http_statuses: readonly number[];
      readonly http_failures: number;
      readonly tcp_failures: number;
      readonly timeouts: number;
    };
  };
  readonly passive?: {
    readonly type: "http" | "https" | "tcp";
    readonly healthy: { readonly http_statuses: readonly number[]; readonly successes: number };
    readonly unhealthy: {
      readonly http_statuses: readonly number[];
      readonly tcp_failures: number;
      readonly timeouts: number;
      readonly http_failures: number;
    };
  };
}

/** Somebody who calls, with the credentials that prove it. */
export interface ConsumerSettings {
  readonly username: string;
  readonly group_id?: string;
  readonly desc?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly plugins?: PluginSettings;
  /** Entries of `consumers` whose id is `<username>/credentials/<id>`. */
  readonly credentials: readonly { readonly id: string; readonly plugins: PluginSettings }[];
}

/** A consumer group, a plugin config or a global rule. */
export interface PluginSetSettings extends Named {
  readonly plugins: PluginSettings;
}

/** Certificates, by the server names that they are for. */
export interface SslSettings extends Named {
  readonly type: "server" | "client";
  readonly cert: string;
  readonly key: string;
  readonly certs?: readonly string[];
  readonly keys?: readonly string[];
  readonly snis: readonly string[];
  readonly client?: { readonly ca: string; readonly depth: number; readonly skip_mtls_uri_regex?: readonly string[] };
  readonly status: 0 | 1;
}

/** Ours: a tenant in one line. */
export interface TenantLine {
  readonly plan?: string;
  /** API keys for the plugin key-auth. */
  readonly keys?: readonly string[];
  readonly jwt?: { readonly key: string; readonly algorithm?: string; readonly secret?: string; readonly public_key?: string };
  readonly plugins?: PluginSettings;
}

/** Ours: what the tenants of a plan have in common. */
export interface PlanLine {
  readonly plugins?: PluginSettings;
  /** Share at a fair upstream, relative to others. */
  readonly weight?: number;
}

/** A whole document: checked, references resolved by id, defaults filled in, maps in document order. */
export interface GatewayDocument {
  readonly routes: readonly RouteSettings[];
  readonly services: ReadonlyMap<string, ServiceSettings>;
  readonly upstreams: ReadonlyMap<string, UpstreamSettings>;
  readonly consumers: ReadonlyMap<string, ConsumerSettings>;
  readonly consumer_groups: ReadonlyMap<string, PluginSetSettings>;
  readonly plugin_configs: ReadonlyMap<string, PluginSetSettings>;
  readonly global_rules: ReadonlyMap<string, PluginSetSettings>;
  readonly ssls: ReadonlyMap<string, SslSettings>;
  readonly plugin_metadata: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** Ours. Tenants and plans are also compiled to consumers and consumer groups of their name. */
  readonly tenants: ReadonlyMap<string, TenantLine>;
  readonly plans: ReadonlyMap<string, PlanLine>;
  /** Names of the plugins that are switched on; undefined for all. */
  readonly plugins: readonly string[] | undefined;
}
