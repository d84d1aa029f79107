import type { Answer, HeaderEdit } from "../../../wire/index.ts";
import type { Call, Plugin, PluginInstance, PluginOwner, PluginPorts, ResponseDraft, Verdict } from "../../proxy/plugin.ts";
import { TENANT_VARY } from "../../proxy/tenant-vary.ts";
import { CacheStore, type StoredAnswer } from "./cache-store.ts";
import { type Directives, parseCacheControl, secondsOf, statedSeconds, varyNames } from "./freshness.ts";

/** Settings of proxy-cache: which answers are kept, under which key and for how long (seconds). */
export interface ProxyCacheSettings {
  readonly max_resp_body_size: number;
  readonly cache_zone: string;
  readonly cache_strategy: "disk" | "memory";
  readonly cache_key: readonly string[];
  readonly cache_http_status: readonly number[];
  readonly cache_method: readonly string[];
  readonly hide_cache_headers: boolean;
  readonly cache_control: boolean;
  readonly cache_bypass?: readonly string[];
  readonly no_cache?: readonly string[];
  readonly cache_ttl: number;
  readonly consumer_isolation: boolean;
  readonly cache_set_cookie: boolean;
}

const PARTS = { type: "array", minItems: 1, items: { type: "string", pattern: String.raw`(^[^\$].+$|^\$[0-9a-zA-Z_]+$)` } };
const SCHEMA = {
  type: "object",
  properties: {
    max_resp_body_size: { type: "integer", minimum: 1, default: 67_108_864 },
    cache_zone: { type: "string", minLength: 1, maxLength: 100, default: "disk_cache_one" },
    cache_strategy: { type: "string", enum: ["disk", "memory"], default: "disk" },
    cache_key: { ...PARTS, default: ["$host", "$request_uri"] },
    cache_http_status: {
      type: "array",
      minItems: 1,
      items: { type: "integer", minimum: 200, maximum: 599 },
      uniqueItems: true,
      default: [200, 301, 404],
    },
    cache_method: {
      type: "array",
      minItems: 1,
      items: { type: "string", enum: ["GET", "POST", "HEAD"] },
      uniqueItems: true,
      default: ["GET", "HEAD"],
    },
    hide_cache_headers: { type: "boolean", default: false },
    cache_control: { type: "boolean", default: false },
    cache_bypass: PARTS,
    no_cache: PARTS,
    cache_ttl: { type: "integer", minimum: 1, default: 300 },
    consumer_isolation: { type: "boolean", default: true },
    cache_set_cookie: { type: "boolean", default: false },
  },
};

/** All answers of one gateway, and of one tenant in it. */
const BOUNDS = { bytesMax: 64 * 1024 * 1024, tenantBytesMax: 8 * 1024 * 1024 };
/** A larger answer goes by without being held up. */
const ENTRY_BYTES_MAX = 2 * 1024 * 1024;
const STATUS_FIELD = "Apisix-Cache-Status";

/** Fields that say who calls: with one of them in the key the caller is in it already. */
const IDENTITY: ReadonlySet<string> = new Set(["$consumer_name", "$consumer_group_id", "$remote_user", "$http_authorization"]);
/** Fields about one exchange. They are made anew for each answer. */
const NOT_KEPT =
  /^(?:connection|keep-alive|proxy-authenticate|proxy-authorization|te|trailer|transfer-encoding|upgrade|content-length|apisix-cache-status|age|x-request-id|(?:x-)?ratelimit.*|x-apisix-.*)$/;

/** One store for each data plane, shared by all places where the plugin stands. */
const stores = new WeakMap<PluginPorts, { readonly store: CacheStore; spaces: number }>();

/** Keeps answers of upstreams in memory. What one tenant has made the gateway keep is never found by another. */
export const proxyCache: Plugin<ProxyCacheSettings> = {
  name: "proxy-cache",
  priority: 1085,
  schema: SCHEMA,
  check(settings, profile) {
    if (settings.cache_key.includes("$request_method")) return "cache_key variable $request_method unsupported";
    if (profile === "apisix") return undefined;
    if (settings.cache_set_cookie) return "cache_set_cookie would give the cookies of one caller to another";
    return settings.cache_method.includes("POST") ? "answers to POST depend on a body that no key holds" : undefined;
  },
  hazards(settings) {
    const found: string[] = [];
    if (settings.cache_strategy === "disk") found.push("proxy-cache keeps answers in memory, also where cache_strategy is disk.");
    if (settings.cache_set_cookie) found.push("proxy-cache with cache_set_cookie gives the cookies of one caller to another.");
    if (settings.cache_method.includes("POST")) found.push("proxy-cache keeps answers to POST by address, whatever the body was.");
    return found;
  },
  create: (settings, owner, ports) => new ProxyCache(settings, owner, ports),
};

/** What an earlier phase has found out about the call. */
interface CacheNote {
  readonly status: string;
  /** Where the answer goes, if it may be kept. */
  readonly key: string | undefined;
}

class ProxyCache implements PluginInstance {
  readonly #settings: ProxyCacheSettings;
  readonly #isStrict: boolean;
  readonly #ports: PluginPorts;
  readonly #store: CacheStore;
  /** Begins every key of this instance. */
  readonly #space: string;
  readonly #methods: ReadonlySet<string>;
  readonly #statuses: ReadonlySet<number>;
  readonly #addsCaller: boolean;

  constructor(settings: ProxyCacheSettings, owner: PluginOwner, ports: PluginPorts) {
    const shared = stores.get(ports) ?? { store: new CacheStore(BOUNDS), spaces: 0 };
    stores.set(ports, shared);
    this.#settings = settings;
    this.#isStrict = owner.profile === "strict";
    this.#ports = ports;
    this.#store = shared.store;
    this.#space = `${shared.spaces++} `;
    this.#methods = new Set(settings.cache_method);
    this.#statuses = new Set(settings.cache_http_status);
    this.#addsCaller = settings.consumer_isolation && !settings.cache_key.some((part) => IDENTITY.has(part));
  }

  access(call: Call): Verdict {
    const { method } = call.head;
    if (method === "PURGE") {
      const isThere = this.#store.remove(tenantOf(call), this.#keyOf(call, "GET"));
      return { status: isThere ? 200 : 404, headers: {}, body: this.#isStrict || isThere ? "" : undefined };
    }
    if (!this.#methods.has(method)) return this.#goOn(call, "MISS", undefined);
    const asked = parseCacheControl(call.head.headers.all("cache-control").join(","));
    const refuses = this.#settings.cache_control && (asked.has("no-store") || asked.has("no-cache"));
    if (refuses || isSet(this.#settings.cache_bypass, call)) return this.#goOn(call, "BYPASS", undefined);
    const key = this.#keyOf(call, method === "POST" ? "POST" : "GET");
    const known = this.#store.find(tenantOf(call), key).find(({ vary }) => vary.every(([name, value]) => fieldOf(call, name) === value));
    if (!known) {
      if (this.#settings.cache_control && asked.has("only-if-cached"))
        return { status: 504, headers: { "apisix-cache-status": "MISS" }, body: "" };
      return this.#goOn(call, "MISS", key);
    }
    const status = this.#stateOf(known, asked);
    return status === "HIT" ? this.#hit(known) : this.#goOn(call, status, key);
  }

  header(call: Call, response: ResponseDraft): void {
    const note = call.note<CacheNote>(this);
    if (!note) return;
    const stored = note.key === undefined ? undefined : this.#toStore(call, response);
    if (this.#settings.hide_cache_headers) {
      response.headers.remove("Expires");
      response.headers.remove("Cache-Control");
    }
    response.headers.set(STATUS_FIELD, note.status);
    if (note.key === undefined || !stored) return;
    const { key } = note;
    const headers = keptFields(response);
    const tenant = tenantOf(call);
    response.mapBody(Math.min(this.#settings.max_resp_body_size, ENTRY_BYTES_MAX), (body) => {
      this.#store.put(tenant, key, { ...stored, headers, body: Uint8Array.from(body) });
      return body;
    });
  }

  close(): void {
    this.#store.removeAll(this.#space);
  }

  #goOn(call: Call, status: string, key: string | undefined): undefined {
    call.setNote(this, { status, key } satisfies CacheNote);
    return undefined;
  }

  /** The parts are told from each other whatever is in them. */
  #keyOf(call: Call, method: "GET" | "POST"): string {
    const caller = this.#addsCaller ? (call.consumer?.username ?? call.context?.principal.id ?? "") : "";
    const parts = this.#settings.cache_key.map((part) => valueOf(part, call));
    return this.#space + JSON.stringify([method, call.route?.id ?? "", caller, ...parts]);
  }

  #stateOf(known: StoredAnswer, asked: Directives): "HIT" | "STALE" | "EXPIRED" {
    const ageMs = this.#ports.clock.now() - known.storedAt;
    // a clock that was set back makes nothing younger
    if (ageMs > known.ttlMs || ageMs < 0) return "EXPIRED";
    if (!this.#settings.cache_control) return "HIT";
    const maxAge = secondsOf(asked, "max-age");
    const minFresh = secondsOf(asked, "min-fresh");
    const isStale = (maxAge !== undefined && ageMs > maxAge * 1000) || (minFresh !== undefined && known.ttlMs - ageMs < minFresh * 1000);
    return isStale ? "STALE" : "HIT";
  }

  #hit({ status, headers, body, storedAt }: StoredAnswer): Answer {
    const age = String(Math.floor((this.#ports.clock.now() - storedAt) / 1000));
    return { status, headers: { ...headers, age, "apisix-cache-status": "HIT" }, body };
  }

  /** How the answer is kept, or undefined when it may not be. */
  #toStore(call: Call, response: ResponseDraft): Omit<StoredAnswer, "headers" | "body"> | undefined {
    const { headers, status } = response;
    const { clock } = this.#ports;
    const isOpen =
      response.fromUpstream && this.#statuses.has(status) && call.head.method !== "HEAD" && !isSet(this.#settings.no_cache, call);
    if (!isOpen || (headers.get("Content-Type") ?? "").startsWith("text/event-stream")) return undefined;
    const said = parseCacheControl(headers.get("Cache-Control"));
    if (said.has("private") || said.has("no-store") || said.has("no-cache")) return undefined;
    if (headers.get("Set-Cookie") !== undefined && !this.#settings.cache_set_cookie) return undefined;
    // RFC 9111, 3.5
    const isPublic = said.has("public") || said.has("s-maxage") || said.has("must-revalidate");
    if (call.head.headers.all("authorization").length > 0 && !isPublic) return undefined;
    const names = varyNames(upstreamsVary(headers));
    if (!names) return undefined;
    const now = clock.now();
    const seconds = this.#ttlOf(statedSeconds(headers, said, now));
    if (seconds <= 0) return undefined;
    // what was encoded for one caller is not for one who cannot decode it
    const fields =
      headers.get("Content-Encoding") !== undefined && !names.includes("accept-encoding") ? [...names, "accept-encoding"] : names;
    return { status, vary: fields.map((name) => [name, fieldOf(call, name)] as const), storedAt: now, ttlMs: seconds * 1000 };
  }

  #ttlOf(stated: number | undefined): number {
    const { cache_control: follows, cache_ttl: own } = this.#settings;
    if (follows) return stated ?? 0;
    return this.#isStrict && stated !== undefined ? Math.min(stated, own) : own;
  }
}

/** Without what the gateway itself adds: the tenant is in the key, and the caller too unless the settings say otherwise. */
function upstreamsVary(headers: HeaderEdit): string {
  const fields = headers.fields().filter(([name, value]) => name.toLowerCase() === "vary" && value !== TENANT_VARY);
  return fields.map(([, value]) => value).join(",");
}

function tenantOf({ context }: Call): string {
  return context?.tenant.uuid ?? "";
}

function fieldOf({ head }: Call, name: string): string {
  return head.headers.all(name).join(", ");
}

function valueOf(part: string, call: Call): string {
  return part.startsWith("$") ? String(call.variable(part.slice(1)) ?? "") : part;
}

/** Whether the parts together are anything but empty and 0. */
function isSet(parts: readonly string[] | undefined, call: Call): boolean {
  const joined = parts?.map((part) => valueOf(part, call)).join("") ?? "";
  return joined !== "" && joined !== "0";
}

function keptFields({ headers }: ResponseDraft): Answer["headers"] {
  const kept: Record<string, string[]> = {};
  for (const [name, value] of headers.fields()) {
    const folded = name.toLowerCase();
    if (!NOT_KEPT.test(folded)) (kept[folded] ??= []).push(value);
  }
  return kept;
}
