import type { HeaderEdit } from "../../../wire/index.ts";
import type { Call, Plugin, PluginOwner, PluginPorts, Profile } from "../../proxy/plugin.ts";
import { patternProblem } from "../shared/pattern-problem.ts";

/** Settings of cors: which pages of other origins may call. */
export interface CorsSettings {
  readonly allow_origins: string;
  readonly allow_methods: string;
  readonly allow_headers: string;
  readonly expose_headers?: string;
  readonly max_age: number;
  readonly allow_credential: boolean;
  readonly allow_origins_by_regex?: readonly string[];
  readonly allow_origins_by_metadata?: readonly string[];
  readonly timing_allow_origins?: string;
  readonly timing_allow_origins_by_regex?: readonly string[];
}

const ORIGINS = { type: "string", pattern: String.raw`^(\*|\*\*|null|\w+://[^,]+(,\w+://[^,]+)*)$` };
const NAMES = { type: "array", items: { type: "string", minLength: 1, maxLength: 4096 }, minItems: 1, uniqueItems: true };
const SCHEMA = {
  type: "object",
  properties: {
    allow_origins: { ...ORIGINS, default: "*" },
    allow_methods: { type: "string", default: "*" },
    allow_headers: { type: "string", default: "*" },
    expose_headers: { type: "string" },
    max_age: { type: "integer", default: 5 },
    allow_credential: { type: "boolean", default: false },
    allow_origins_by_regex: NAMES,
    allow_origins_by_metadata: NAMES,
    timing_allow_origins: ORIGINS,
    timing_allow_origins_by_regex: NAMES,
  },
};
const METADATA = { type: "object", properties: { allow_origins: { type: "object", additionalProperties: ORIGINS } } };

const EVERY_METHOD = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE";
const REFLECTS = "any page of the web may call with the caller's cookies: allow_origins is ** and allow_credential is true";

/** Answers preflights and says to browsers which origins may read an answer. */
export const cors: Plugin<CorsSettings> = {
  name: "cors",
  priority: 4000,
  schema: SCHEMA,
  metadata: METADATA,
  check(settings, profile) {
    const { allow_origins_by_regex: byPattern = [], timing_allow_origins_by_regex: timingByPattern = [] } = settings;
    if (settings.allow_credential) {
      const open = [
        settings.allow_origins,
        settings.allow_methods,
        settings.allow_headers,
        settings.expose_headers,
        settings.timing_allow_origins,
      ];
      if (open.includes("*")) return "you can not set '*' for other option when 'allow_credential' is true";
      if (profile === "strict" && settings.allow_origins === "**" && byPattern.length === 0) return REFLECTS;
    }
    for (const source of [...byPattern, ...timingByPattern]) {
      const wrong = patternProblem(source, "", profile);
      if (wrong) return wrong;
    }
    return undefined;
  },
  hazards(settings) {
    const found: string[] = [];
    if (settings.allow_credential && settings.allow_origins === "**") found.push(`cors: ${REFLECTS}.`);
    const patterns = [...(settings.allow_origins_by_regex ?? []), ...(settings.timing_allow_origins_by_regex ?? [])];
    if (patterns.some((source) => !source.startsWith("^") || !source.endsWith("$"))) {
      found.push("cors: a pattern of origins that is not held by ^ and $ also fits origins of others.");
    }
    return found;
  },
  create(settings, owner, ports) {
    const { profile } = owner;
    const allowed = compileAllowed(settings, owner, ports);
    const timing = compileTiming(settings, profile, ports);
    const varies = profile === "strict" ? !allowed.isConstant : settings.allow_origins !== "*";
    return {
      rewrite(call) {
        if (call.head.method !== "OPTIONS" || (profile === "strict" && !isPreflight(call))) return undefined;
        return { status: 200, headers: {}, body: "" };
      },
      header(call, response) {
        const [origin] = call.head.headers.all("origin");
        if (varies) response.headers.add("Vary", "Origin");
        const allow = allowed.find(origin);
        if (allow !== undefined) setHeaders(settings, allow, call, response.headers);
        const seen = timing(origin);
        if (seen !== undefined) response.headers.set("Timing-Allow-Origin", seen);
      },
    };
  },
};

/** What the Fetch standard sends ahead of a call; every other OPTIONS is the upstream's to answer. */
function isPreflight({ head }: Call): boolean {
  return head.headers.all("origin").length > 0 && head.headers.all("access-control-request-method").length > 0;
}

function setHeaders(settings: CorsSettings, origin: string, call: Call, headers: HeaderEdit): void {
  headers.set("Access-Control-Allow-Origin", origin);
  headers.set("Access-Control-Allow-Methods", settings.allow_methods === "**" ? EVERY_METHOD : settings.allow_methods);
  headers.set("Access-Control-Max-Age", String(settings.max_age));
  if (settings.expose_headers) headers.set("Access-Control-Expose-Headers", settings.expose_headers);
  if (settings.allow_headers !== "**") headers.set("Access-Control-Allow-Headers", settings.allow_headers);
  else {
    const asked = call.head.headers.all("access-control-request-headers");
    if (asked.length > 0) headers.set("Access-Control-Allow-Headers", asked.join(", "));
    else headers.remove("Access-Control-Allow-Headers");
  }
  if (settings.allow_credential) headers.set("Access-Control-Allow-Credentials", "true");
}

/** The value to allow for an origin, or undefined. */
type FindOrigin = (origin: string | undefined) => string | undefined;

function compileAllowed(
  settings: CorsSettings,
  owner: PluginOwner,
  ports: PluginPorts,
): { readonly isConstant: boolean; readonly find: FindOrigin } {
  const { allow_origins: origins, allow_origins_by_regex: patterns, allow_origins_by_metadata: names } = settings;
  const byMetadata = names && compileMetadata(names, owner.metadata);
  const own = patterns ? compilePatterns(patterns, owner.profile, ports) : compileOrigins(origins);
  // with names of metadata the open default of the settings' own list is not meant
  const usesOwn = !byMetadata || origins !== "*";
  return {
    isConstant: origins === "*" && !patterns && !byMetadata,
    find: (origin) => byMetadata?.(origin) ?? (usesOwn ? own(origin) : undefined),
  };
}

function compileTiming(settings: CorsSettings, profile: Profile, ports: PluginPorts): FindOrigin {
  const { timing_allow_origins: origins, timing_allow_origins_by_regex: patterns } = settings;
  if (patterns) return compilePatterns(patterns, profile, ports);
  return origins === undefined ? () => undefined : compileOrigins(origins);
}

function compileOrigins(list: string): FindOrigin {
  if (list === "*") return () => "*";
  if (list === "**") return (origin) => origin ?? "*";
  const known: ReadonlySet<string> = new Set(list.split(","));
  return (origin) => (origin !== undefined && known.has(origin) ? origin : undefined);
}

/** In the strict profile a pattern has to fit the whole origin: `.*\.example\.com` would also fit `https://example.com.attacker.net`. */
function compilePatterns(sources: readonly string[], profile: Profile, ports: PluginPorts): FindOrigin {
  const joined = sources.map((source) => `(?:${source})`).join("|");
  const pattern = ports.pattern(profile === "strict" ? `^(?:${joined})$` : joined, "");
  return (origin) => (origin !== undefined && pattern.test(origin) ? origin : undefined);
}

function compileMetadata(names: readonly string[], metadata: PluginOwner["metadata"]): FindOrigin {
  const known = (metadata?.["allow_origins"] ?? {}) as Readonly<Record<string, string>>; // checked against METADATA
  const finders = names.flatMap((name) => (Object.hasOwn(known, name) ? [compileOrigins(known[name] ?? "")] : []));
  return (origin) => {
    // even where everybody is allowed the origin itself is said, as there
    for (const find of finders) if (find(origin) !== undefined) return origin;
    return undefined;
  };
}
