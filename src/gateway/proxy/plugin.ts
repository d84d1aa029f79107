import type { Clock, Fault, Random, Tenant, TenantContext, TenantId } from "../../kernel/index.ts";
import type { ModelGateway } from "../../models/index.ts";
import type { Identified } from "../../tenancy/identity/index.ts";
import type { Limits } from "../../tenancy/limits/index.ts";
import type {
  Answer,
  Exchange,
  ExchangeEnd,
  HeaderEdit,
  RequestHead,
  OutboundRequest,
  OutboundResponse,
  ResponsePlan,
} from "../../wire/index.ts";
import type { UpstreamSettings } from "../dialect/objects.ts";
import type { CallMetrics } from "../plugins/prometheus/call-metrics.ts";

/** How strictly the dialect is read: our own rules, or those of Apache APISIX with a warning for each hazard. */
export type Profile = "strict" | "apisix";

/** A draft-07 JSON Schema. Settings are checked against it when saved and when loaded, and its defaults are filled in. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * One plugin: its settings and what it does. Order of work: `rewrite` of all plugins by falling priority, then (when a consumer or tenant
 * was attached) `rewrite` of the plugins it brought, then `access` of all, then the upstream; on the way back `header` of all, `log` at the end.
 */
export interface Plugin<Settings = unknown, ConsumerSettings = unknown> {
  readonly name: string;
  /** Other names it answers to. */
  readonly aliases?: readonly string[];
  /** Higher runs earlier. Those of the dialect are fixed by it. */
  readonly priority: number;
  /** `auth`: proves the consumer; the route's own credential check replaces the platform's. */
  readonly kind?: "auth";
  readonly schema: JsonSchema;
  /** Settings on a consumer or credential, for plugins of kind `auth`; `unique` names the settings that select it. */
  readonly consumer?: {
    readonly schema: JsonSchema;
    readonly unique: string;
    check?(settings: ConsumerSettings): string | undefined;
  };
  readonly metadata?: JsonSchema;
  /** What a schema cannot say: the message of what is wrong, or undefined. */
  check?(settings: Settings, profile: Profile): string | undefined;
  /** The name under which these settings share something with others that name it too; they have to be the same. */
  group?(settings: Settings): string | undefined;
  /**
   * What is dangerous about these settings although they are allowed: one sentence each, said at load. At the place `consumer` they are used
   * only once a consumer is proved.
   */
  hazards?(settings: Settings, profile: Profile, place?: "route" | "consumer"): readonly string[];
  /** For plugins of kind `auth`: the credentials that a request claims to have, by its head alone and without proving anything. It does not throw. */
  claims?(settings: Settings, head: RequestHead, profile: Profile): readonly ClaimedCredential[];
  /** Ids of the document's upstreams that these settings send calls to. */
  upstreamIds?(settings: Settings): readonly string[];
  /** Called once for each place where it is configured, with checked settings. Everything that can be made ahead is made here. */
  create(settings: Settings, owner: PluginOwner, ports: PluginPorts): PluginInstance;
}

/** A credential by the plugin that would check it and the value of that plugin's `unique`. */
export interface ClaimedCredential {
  readonly plugin: string;
  readonly value: string;
}

/** Where a plugin's settings stand. Counters are keyed by it, so that two routes do not share one unless they say so. */
export interface PluginOwner {
  /** `route:1`, `service:2`, `consumer:acme`, `plan:starter`, `tenant:acme`, `global_rule:1`. */
  readonly id: string;
  readonly profile: Profile;
  /** The plugin's metadata, if any. */
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  /** Makes an instance of another plugin with these settings, for plugins that hold others. */
  plugin(name: string, settings: unknown): PluginInstance;
  /** Makes a target of upstream settings or of an upstream's id; undefined when the id is not known. */
  upstream(settings: UpstreamSettings | string): UpstreamTarget | undefined;
}

/** An upstream as plugins see it: something to send a call to. */
export interface UpstreamTarget {
  readonly id: string;
}

/** Nothing, to go on; an answer, to end the request with it (`header` and `log` still run). */
export type Verdict = Answer | undefined;

/** A plugin at work in one place. Every function may be absent; only `rewrite` and `access` may wait. None may throw anything but a Fault. */
export interface PluginInstance {
  rewrite?(call: Call): Verdict | Promise<Verdict>;
  access?(call: Call): Verdict | Promise<Verdict>;
  /** The answer's head, before it goes to the caller: an upstream's or our own. */
  header?(call: Call, response: ResponseDraft): void;
  /** The exchange is over. */
  log?(call: Call, end: ExchangeEnd): void;
  /** The configuration that this belongs to is gone: timers end, buffers are flushed. */
  close?(): void | Promise<void>;
}

/** What plugins work with. */
export interface PluginPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Limits;
  /** Proves the tenant by the platform's own credentials. */
  identify(head: RequestHead, requestId: string): Identified | Promise<Identified>;
  findTenant(id: TenantId): Tenant | undefined | Promise<Tenant | undefined>;
  /** The tenant that a custom host or a platform key stands for, from memory and without proof. */
  claimedTenant(head: RequestHead): TenantId | undefined;
  /** A context for a consumer that is bound to a tenant. */
  contextOf(tenant: Tenant, consumer: string, requestId: string): TenantContext;
  /** The signed `X-Tenant-Context` for this upstream, from memory while it is fresh. */
  signContext(context: TenantContext, audience: string): string;
  /** Consumers by the value of the auth plugin's unique setting, or by name. */
  findConsumer(plugin: string, value: string): ConsumerCredential | undefined;
  consumer(name: string): Consumer | undefined;
  /** Calls to addresses that the operator has configured. */
  fetch(request: OutboundRequest): Promise<OutboundResponse>;
  /** Waits without holding anything; ends early when the caller goes away. */
  delay(ms: number, call: Call): Promise<void>;
  /** A line for operators. */
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
  audit(action: "cross_tenant_attempt" | "privilege_denied", reason: string, call: Call, claimed?: TenantId): void;
  /** Counts a failed credential and writes it down. Gives what it is to be answered with where its address has failed too often. */
  authFailed(reason: string, call: Call, claimed?: TenantId): Fault | undefined;
  /** One pattern of the dialect, in linear time. */
  pattern(source: string, flags: string): Pattern;
  /** Takes requests to models under the rules of their tenants; undefined where no tenant has such rules. */
  readonly models?: Pick<ModelGateway, "attend"> | undefined;
  /** Takes what the plugin prometheus counts; undefined where nothing is counted. */
  readonly metrics?: CallMetrics | undefined;
}

/** A compiled regular expression. */
export interface Pattern {
  test(text: string): boolean;
  /** The whole match and its groups, or undefined. */
  match(text: string): readonly (string | undefined)[] | undefined;
  /** `$1` and `${1}` in `replacement` are groups. */
  replace(text: string, replacement: string, once: boolean): string;
}

/** A consumer of the dialect. `tenantId` is the tenant it is bound to by `tenant-context`, if any. */
export interface Consumer {
  readonly username: string;
  readonly groupId: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly tenantId: TenantId | undefined;
}

/** A consumer found by one of its credentials, with the settings of the auth plugin that belong to that credential. */
export interface ConsumerCredential {
  readonly consumer: Consumer;
  /** The id of the credential object; undefined for settings on the consumer itself. */
  readonly credentialId: string | undefined;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** The matched route, as plugins may see it. */
export interface RouteFacts {
  readonly id: string;
  readonly name: string | undefined;
  readonly serviceId: string | undefined;
  readonly serviceName: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The objects of the document behind a call, for those who decide by them. In the strict profile without their plugins, which may hold what
 * proves somebody; never with upstreams.
 */
export interface CallObjects {
  readonly route?: Readonly<Record<string, unknown>> | undefined;
  readonly service?: Readonly<Record<string, unknown>> | undefined;
  readonly consumer?: Readonly<Record<string, unknown>> | undefined;
}

/** One request on its way through the data plane. */
export interface Call {
  readonly exchange: Exchange;
  readonly head: RequestHead;
  readonly profile: Profile;
  readonly requestId: string;
  /** When it began, monotonic milliseconds. */
  readonly startedMs: number;
  /** The path that was matched: decoded, dot segments resolved, double slashes merged. */
  readonly path: string;
  /** Undefined while no route is matched (global rules run then too). */
  readonly route: RouteFacts | undefined;
  /** Proved. Undefined only where the resolver is not required. */
  context: TenantContext | undefined;
  readonly consumer: Consumer | undefined;
  readonly credentialId: string | undefined;
  objects(): CallObjects;
  /** Lays the consumer's and its group's plugins over the route's and sets the X-Consumer fields for the upstream. */
  attachConsumer(found: ConsumerCredential): void;
  /**
   * A variable of the dialect: nginx's names, `arg_x`, `http_x_y`, `cookie_x`, `post_arg_x`, `uri_param_x`, `route_id`, `consumer_name`,
   * `tenant_id`, `tenant_tier`, `principal` ... After the tenant is proved `tenant_id` is only ever the proved one. Undefined when it has no value.
   */
  variable(name: string): string | number | undefined;
  /** All values of a variable that is a list, for the operator `has`. */
  list(name: string): readonly unknown[] | undefined;
  /** Sets a variable for what runs later: expressions, templates, the access log. */
  define(name: string, value: string | number): void;
  /** The body; it is read once and then forwarded from memory. Throws `body_too_large`. Empty when there is none. */
  body(bytesMax: number): Promise<Uint8Array>;
  /** The body if it was read or set, without waiting. */
  readonly bodyInMemory: Uint8Array | undefined;
  /** The request as it will go to the upstream. */
  readonly upstream: UpstreamDraft;
  /** Something of a plugin's own on this call, by its instance. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- whoever has the key knows what it stands for
  note<T>(key: object): T | undefined;
  setNote(key: object, value: unknown): void;
  /** Runs once when the exchange is over, also when it never reached `log`. For whatever was taken and has to be given back. */
  onEnd(listener: (end: ExchangeEnd) => void): void;
  /** Status of each try at an upstream, in order; 502 and 504 for those that failed. */
  readonly upstreamStatuses: readonly number[];
  /** The address that answered, `host:port`. */
  readonly upstreamAddress: string | undefined;
  /** Milliseconds from the last try's start to its answer's head. */
  readonly upstreamMs: number | undefined;
}

/** The request as it will go to the upstream. */
export interface UpstreamDraft {
  method: string;
  /** Path as sent (encoded), without the query. */
  path: string;
  /** Without the question mark. */
  query: string;
  /** The Host to send, instead of what the upstream's `pass_host` says. */
  host: string | undefined;
  readonly headers: HeaderEdit;
  /** Replaces the caller's body. */
  body: Uint8Array | undefined;
  /** Another upstream than the route's. */
  target: UpstreamTarget | undefined;
  scheme: string | undefined;
  /** The upstream is somebody else's: nothing about the tenant or the caller is told to it. */
  outside: boolean;
  /** Fields of the answer that go on, in lower case; undefined is all of them. */
  answerFields: ReadonlySet<string> | undefined;
  /**
   * Asked when a try has failed before its answer began; status 0 is none. True: this draft is for another try now. `mayPay` takes one from the tenant's
   * budget of retries; nothing is changed before it has said yes.
   */
  again: ((status: number, mayPay: () => boolean) => boolean) | undefined;
  /** Where other tries may go: their addresses are looked up while the first is under way. */
  others: readonly UpstreamTarget[];
  /** Told of each try when it begins. */
  began: (() => void) | undefined;
}

/** The answer's head while plugins work on it. */
export interface ResponseDraft {
  status: number;
  readonly headers: HeaderEdit;
  /** Whether an upstream made it. */
  readonly fromUpstream: boolean;
  /** The upstream's body goes on as this plan says, before any map or watcher sees it. Of its fields only those of an answer of its own count. */
  goesBy(plan: ResponsePlan): void;
  /** Replaces the body. */
  setBody(body: Uint8Array | string): void;
  /**
   * The whole body goes through `map`; over `bytesMax` the answer is passed on as it is, or with `cut` so much of it goes through the map and
   * the rest is dropped. May be asked for more than once: they run in order.
   */
  mapBody(bytesMax: number, map: (body: Uint8Array) => Uint8Array | string, over?: "pass" | "cut"): void;
  /** Sees the body as it goes by, without holding it up. */
  watchBody(watch: (piece: Uint8Array | undefined) => void): void;
}

/** An answer with a text body: what most refusals are made of in the dialect. */
export function jsonAnswer(status: number, body: unknown, headers: Answer["headers"] = {}): Answer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: `${JSON.stringify(body)}\n` };
}
