import { toFault } from "../../kernel/index.ts";
import type { Plugin, Profile } from "../proxy/plugin.ts";
import { compileExpression } from "../routing/expression.ts";
import { createPatternCompiler, type PatternCompiler } from "../routing/pattern.ts";
import { isRecord, type SchemaCheck } from "./schema/compiler.ts";
import { createSchemaCheck } from "./schema/schema-check.ts";
import { show } from "./schema/scalar-checks.ts";

/** Where a set of plugins stands: on a consumer or credential, plugins of kind `auth` hold credentials instead of settings. */
export type PluginPlace = "route" | "consumer";

/** What every plugin's settings may carry besides their own. */
const META = {
  type: "object",
  properties: {
    disable: { type: "boolean" },
    priority: { type: "integer" },
    filter: { type: "array" },
    error_response: { oneOf: [{ type: "string" }, { type: "object" }] },
    pre_function: { type: "string" },
  },
  additionalProperties: false,
} as const;

const LIMITERS: ReadonlySet<string> = new Set(["limit-req", "limit-count", "limit-conn"]);

/** What the checks of plugins are made with. */
export interface PluginCheckOptions {
  readonly profile: Profile;
  readonly plugins: readonly Plugin[];
  /** Takes what is allowed and dangerous. */
  readonly warn?: (message: string) => void;
}

/** Checks settings of plugins by their own schemas, with their defaults. */
export class PluginChecks {
  readonly #profile: Profile;
  readonly #byName = new Map<string, Plugin>();
  readonly #compiled = new Map<unknown, SchemaCheck>();
  readonly #meta: SchemaCheck;
  readonly #pattern: PatternCompiler;

  constructor({ profile, plugins, warn }: PluginCheckOptions) {
    this.#profile = profile;
    this.#pattern = createPatternCompiler(profile, (message) => warn?.(message));
    this.#meta = createSchemaCheck({ type: "object", properties: { _meta: META } }, { emptyIsEither: true });
    for (const plugin of plugins) for (const name of [plugin.name, ...(plugin.aliases ?? [])]) this.#byName.set(name, plugin);
  }

  get profile(): Profile {
    return this.#profile;
  }

  /** The plugin that answers to the name. */
  find(name: string): Plugin | undefined {
    return this.#byName.get(name);
  }

  /** What is wrong with a set of plugins, or undefined; aliases are replaced by the plugin's own name. */
  checkSet(set: unknown, place: PluginPlace): string | undefined {
    if (!isRecord(set)) return undefined;
    for (const [name, settings] of Object.entries(set)) {
      const plugin = this.#byName.get(name);
      if (!plugin) return `unknown plugin [${name}]`;
      if (!isRecord(settings)) {
        if (!this.#isEmpty(settings)) return `invalid plugin conf ${show(settings)} for plugin [${name}]`;
        set[name] = {};
      }
      const wrong = this.#check(plugin, name, set[name] as Record<string, unknown>, place); // seen to be one just now
      if (wrong !== undefined) return wrong;
      if (name === plugin.name) continue;
      if (Object.hasOwn(set, plugin.name)) return `${name} and ${plugin.name} are the same plugin`;
      set[plugin.name] = set[name];
      delete set[name];
    }
    return undefined;
  }

  /** A name with nothing behind it in YAML is null, which the dialect takes for no settings. */
  #isEmpty(settings: unknown): boolean {
    return (settings === null && this.#profile === "apisix") || (Array.isArray(settings) && settings.length === 0);
  }

  /** What is wrong with the settings of one plugin, without anything around the text. */
  checkOne(plugin: Plugin, settings: Record<string, unknown>, place: PluginPlace): string | undefined {
    const { _meta: meta, ...own } = settings;
    const consumer = place === "consumer" && plugin.kind === "auth" ? plugin.consumer : undefined;
    if (this.#profile === "strict" && LIMITERS.has(plugin.name)) nameTheVariable(own);
    const wrong = this.#schema(consumer?.schema ?? plugin.schema)(own);
    if (wrong !== undefined) return wrong;
    Object.assign(settings, own, meta !== undefined && { _meta: meta });
    // a plugin reads its settings by the type that its schema has just been held against
    return consumer ? consumer.check?.(own) : plugin.check?.(own, this.#profile);
  }

  /** What is wrong with a plugin's metadata, or undefined. */
  checkMetadata(plugin: Plugin, value: unknown): string | undefined {
    return plugin.metadata ? this.#schema(plugin.metadata)(value) : undefined;
  }

  /** What is wrong with a condition, or undefined. */
  checkExpression(source: unknown): string | undefined {
    if (!Array.isArray(source)) return undefined;
    try {
      compileExpression(source, this.#pattern);
      return undefined;
    } catch (error) {
      return `failed to validate the 'vars' expression: ${toFault(error).message}`;
    }
  }

  #check(plugin: Plugin, name: string, settings: Record<string, unknown>, place: PluginPlace): string | undefined {
    const within = (text: string): string => `failed to check the configuration of plugin ${name} err: ${text}`;
    const wrongMeta = this.#meta(settings);
    if (wrongMeta !== undefined) return within(wrongMeta);
    const meta = isRecord(settings["_meta"]) ? settings["_meta"] : {};
    if (meta["pre_function"] !== undefined) return within("pre_function is Lua, which is not run here");
    const wrongFilter = this.checkExpression(meta["filter"]);
    if (wrongFilter !== undefined) return wrongFilter;
    const wrong = this.checkOne(plugin, settings, place);
    return wrong === undefined ? undefined : within(wrong);
  }

  #schema(schema: unknown): SchemaCheck {
    const known = this.#compiled.get(schema);
    if (known) return known;
    const compiled = createSchemaCheck(schema, { emptyIsEither: true, pattern: this.#pattern });
    this.#compiled.set(schema, compiled);
    return compiled;
  }
}

/** `$tenant_id` under `key_type: var` means the variable: as it is written, APISIX would count by the client's address. */
function nameTheVariable(settings: Record<string, unknown>): void {
  const { key, key_type: type = "var" } = settings;
  if (type === "var" && typeof key === "string" && /^\$\w+$/.test(key)) settings["key"] = key.slice(1);
}
