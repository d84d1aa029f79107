import type { Plugin, Profile } from "../proxy/plugin.ts";
import { exportUpstream } from "./export-upstream.ts";
import type { ExportNotes } from "./export-notes.ts";
import { isRecord } from "./schema/compiler.ts";

type Settings = Readonly<Record<string, unknown>>;

/** Plugins that only Freehold has. */
const OWN_PLUGINS: ReadonlySet<string> = new Set(["tenant-resolver", "tenant-context"]);
/** What says the same once tenants are consumers and plans are consumer groups; known there only after the consumer is proved. */
const STANDS_FOR: Readonly<Record<string, string>> = { tenant_id: "consumer_name", tenant_tier: "consumer_group_id" };
const OWN_VARIABLE = /\$\{?(?:tenant_id|tenant_tier|principal)\b/;
const OWN_NAMES: ReadonlySet<unknown> = new Set(["tenant_id", "tenant_tier", "principal"]);
const TOO_MANY_REQUESTS = 429;

/** Puts plugins into the words of stock APISIX, under its defaults instead of those of the profile that they were written for. */
export class PluginExport {
  readonly #strict: boolean;
  readonly #notes: ExportNotes;
  readonly #byName = new Map<string, Plugin>();

  constructor(profile: Profile, plugins: readonly Plugin[], notes: ExportNotes) {
    this.#strict = profile === "strict";
    this.#notes = notes;
    for (const plugin of plugins) for (const name of [plugin.name, ...(plugin.aliases ?? [])]) this.#byName.set(name, plugin);
  }

  /** The plugin's name there; undefined for a plugin that is not there. */
  nameOf(name: string): string | undefined {
    return OWN_PLUGINS.has(name) ? undefined : (this.#byName.get(name)?.name ?? name);
  }

  /** The set at this place. On consumers plugins of kind `auth` hold credentials, which are the same there. */
  set(place: string, set: unknown): Record<string, unknown> {
    const made: Record<string, unknown> = {};
    for (const [name, settings] of Object.entries(isRecord(set) ? set : {})) {
      const known = this.nameOf(name);
      if (known === undefined) this.#sayOwn(place, name, settings);
      else made[known] = this.#settings(place, known, settings);
    }
    return made;
  }

  #settings(place: string, name: string, settings: unknown): unknown {
    if (!isRecord(settings)) return settings;
    const made = this.#converted(place, name, settings);
    if (mentionsOwnVariable(made))
      this.#notes.say(place, `${name} uses tenant_id, tenant_tier or principal, which have no value in stock APISIX`);
    return made;
  }

  #converted(place: string, name: string, settings: Settings): Settings {
    switch (name) {
      case "limit-count":
      case "limit-req":
      case "limit-conn":
        return this.#limit(place, name, settings);
      case "api-breaker":
        return this.#breaker(place, settings);
      case "traffic-split":
        return { ...settings, ...mapped(settings, "rules", (rule) => this.#split(place, rule)) };
      case "workflow":
        return { ...settings, ...mapped(settings, "rules", (rule) => this.#rule(place, rule)) };
      case "multi-auth":
        return { ...settings, ...mapped(settings, "auth_plugins", (ways) => this.set(place, ways)) };
      case "proxy-cache":
        this.#notes.say(place, "proxy-cache keeps each tenant's answers apart; in stock APISIX one tenant gets what is kept of another");
        return settings;
      default:
        return this.#auth(place, name, settings);
    }
  }

  #limit(place: string, name: string, settings: Settings): Settings {
    const { per_tenant: perTenant = this.#strict, ...rest } = settings;
    const made: Settings = {
      ...rest,
      ...mapped(rest, "rules", (rule) => ({ ...rule, key: exportTemplate(rule["key"]) })),
      ...(rest["key"] !== undefined && { key: this.#key(rest["key"], rest["key_type"]) }),
      ...(this.#strict && rest["rejected_code"] === undefined && { rejected_code: TOO_MANY_REQUESTS }),
    };
    const rules = Array.isArray(made["rules"]) ? (made["rules"] as readonly Settings[]) : [made];
    const isByTenant = rules.every(({ key }) => typeof key === "string" && /\bconsumer_name\b/.test(key));
    if (perTenant === true && !isByTenant)
      this.#notes.say(place, `${name} counts each tenant by itself; in stock APISIX all tenants with the same key share one counter`);
    return made;
  }

  #key(key: unknown, type: unknown): unknown {
    if (typeof key !== "string" || type === "constant") return key;
    if (type === "var_combination") return exportTemplate(key);
    const name = this.#strict && key.startsWith("$") ? key.slice(1) : key;
    return STANDS_FOR[name] ?? name;
  }

  #breaker(place: string, settings: Settings): Settings {
    const { per_tenant: perTenant = this.#strict, ...rest } = settings;
    if (perTenant === true)
      this.#notes.say(place, "api-breaker breaks for each tenant by itself; in stock APISIX one tenant's failures cut off all others");
    return rest;
  }

  #split(place: string, rule: Settings): Settings {
    return {
      ...rule,
      ...mapped(rule, "weighted_upstreams", (share) =>
        isRecord(share["upstream"])
          ? { ...share, upstream: exportUpstream(place, share["upstream"], this.#strict, this.#notes) }
          : { ...share },
      ),
    };
  }

  #rule(place: string, rule: Settings): Settings {
    const actions = (Array.isArray(rule["actions"]) ? rule["actions"] : []).map((action) => {
      if (!Array.isArray(action) || typeof action[0] !== "string") return action as unknown;
      const name = this.nameOf(action[0]) ?? action[0];
      return action.length === 1 ? [name] : [name, this.#settings(place, name, action[1])];
    });
    return { ...rule, actions };
  }

  /** Here a credential ends at the gateway unless the settings send it on; there it is the other way round. */
  #auth(place: string, name: string, settings: Settings): Settings {
    const plugin = this.#byName.get(name);
    const properties = plugin?.schema["properties"];
    const isOfConsumer = place.startsWith("consumer") || place.startsWith("tenant");
    if (!this.#strict || plugin?.kind !== "auth" || isOfConsumer || !isRecord(properties) || !("hide_credentials" in properties))
      return settings;
    if ("query" in properties && settings["query"] === undefined)
      this.#notes.say(place, `${name} takes credentials from a header field only; stock APISIX also takes them from the query`);
    return { hide_credentials: true, ...settings };
  }

  #sayOwn(place: string, name: string, settings: unknown): void {
    const tenant = isRecord(settings) ? String(settings["tenant_id"]) : "";
    if (name === "tenant-resolver")
      this.#notes.say(place, "tenant-resolver (tenants named by header, path or token, checked against the proof) is left out");
    else if (place.startsWith("consumer"))
      this.#notes.say(place, `the binding to the tenant ${tenant} is left out: it is only a consumer there, counted by its own name`);
    else
      this.#notes.say(place, `tenant-context lets nobody but ${tenant} through; it is left out, and every proved consumer comes through`);
  }
}

/** The list under the name with each mapping in it put through `map`; nothing where there is no such list. */
function mapped(settings: Settings, name: string, map: (entry: Settings) => Settings): Record<string, unknown> {
  const list = settings[name];
  return Array.isArray(list) ? { [name]: list.map((entry: unknown) => (isRecord(entry) ? map(entry) : entry)) } : {};
}

function exportTemplate(text: unknown): unknown {
  if (typeof text !== "string") return text;
  return text.replaceAll(/(\$\{?)(tenant_id|tenant_tier)\b/g, (_whole, open: string, name: string) => `${open}${STANDS_FOR[name] ?? name}`);
}

/** Whether a text in it has a variable of ours in a template, or a condition or limit goes by one. */
export function mentionsOwnVariable(value: unknown): boolean {
  if (typeof value === "string") return OWN_VARIABLE.test(value);
  if (Array.isArray(value)) return OWN_NAMES.has(value[0]) || value.some(mentionsOwnVariable);
  if (!isRecord(value)) return false;
  return OWN_NAMES.has(value["key"]) || Object.values(value).some(mentionsOwnVariable);
}
