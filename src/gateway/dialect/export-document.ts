import { stringify } from "yaml";
import type { Plugin, Profile } from "../proxy/plugin.ts";
import { ExportNotes } from "./export-notes.ts";
import { mentionsOwnVariable, PluginExport } from "./export-plugins.ts";
import { exportUpstream } from "./export-upstream.ts";
import { Findings } from "./findings.ts";
import type { TextFormat } from "./read-text.ts";
import { isRecord } from "./schema/compiler.ts";
import { type SourceDocument, splitDocument } from "./source-document.ts";
import { findTenantGaps } from "./tenant-gaps.ts";
import { readTenantLines } from "./tenant-lines.ts";

/** How the document that is exported was written. */
export interface ExportOptions {
  readonly profile: Profile;
  readonly plugins: readonly Plugin[];
}

/** A document of stock APISIX 3.18, and one line for each thing of the original that it cannot say, with the place first. */
export interface ExportedDocument {
  readonly document: Readonly<Record<string, readonly unknown[]>>;
  readonly notes: readonly string[];
}

type Settings = Readonly<Record<string, unknown>>;

/** The singular of each list, for places. */
const NOUNS: Readonly<Record<string, string>> = {
  ssls: "ssl",
  plugin_metadata: "plugin_metadata",
  upstreams: "upstream",
  services: "service",
  plugin_configs: "plugin_config",
  consumer_groups: "consumer_group",
  consumers: "consumer",
  global_rules: "global_rule",
  routes: "route",
};
/** Each of them makes a route one that APISIX takes; a plugin config alone does not. */
const SOURCES_OF_ROUTES = ["plugins", "upstream", "upstream_id", "service_id"] as const;

/** The document in words that stock APISIX knows: tenants are consumers and plans consumer groups, and what is ours is left out and named. */
export function exportDocument(source: SourceDocument, options: ExportOptions): ExportedDocument {
  return new Exporter(source, options).run();
}

/** The text of an export: YAML with the notes as a comment and the mark at its end, or JSON without the notes, which has no comments. */
export function writeExport({ document, notes }: ExportedDocument, format: TextFormat): string {
  if (format === "json") return `${JSON.stringify(document, undefined, 2)}\n`;
  const known =
    notes.length === 0
      ? ["Everything that it says can be said there."]
      : ["What stock APISIX cannot say:", ...notes.map((line) => `- ${line}`)];
  const head = ["Written by `freehold export apisix` for Apache APISIX 3.18, standalone.", ...known].map((line) => `# ${line}\n`);
  // a reader of YAML 1.1 takes `on` for a boolean
  return `${head.join("")}${stringify(document, { aliasDuplicateObjects: false, lineWidth: 0, compat: "yaml-1.1" })}#END\n`;
}

class Exporter {
  readonly #source: SourceDocument;
  readonly #options: ExportOptions;
  readonly #strict: boolean;
  readonly #notes = new ExportNotes();
  readonly #plugins: PluginExport;
  /** As written, by list and id. */
  readonly #written = new Map<string, Map<string, Settings>>();
  readonly #made: Record<string, unknown[]> = {};

  constructor(source: SourceDocument, options: ExportOptions) {
    this.#source = source;
    this.#options = options;
    this.#strict = options.profile === "strict";
    this.#plugins = new PluginExport(options.profile, options.plugins, this.#notes);
  }

  run(): ExportedDocument {
    for (const { kind, id, value } of splitDocument(this.#source)) {
      if (!isRecord(value) || NOUNS[kind] === undefined) continue;
      const list = this.#written.get(kind) ?? new Map<string, Settings>();
      this.#written.set(kind, list.set(id, value));
    }
    this.#sayGaps();
    const { plugins } = this.#source;
    if (isRecord(plugins))
      this.#written.set("global_rules", new Map([...this.#list("global_rules"), ["plugins", { id: "plugins", plugins }]]));
    for (const kind of Object.keys(NOUNS)) for (const [id, value] of this.#list(kind)) this.#add(kind, this.#object(kind, id, value));
    this.#addTenants();
    if (Array.isArray(plugins)) for (const each of plugins as unknown[]) this.#add("plugins", this.#enabled(each));
    return { document: this.#made, notes: this.#notes.lines() };
  }

  #list(kind: string): ReadonlyMap<string, Settings> {
    return this.#written.get(kind) ?? new Map();
  }

  #add(kind: string, value: unknown): void {
    if (value !== undefined) (this.#made[kind] ??= []).push(value);
  }

  #object(kind: string, id: string, value: Settings): unknown {
    const place = `${NOUNS[kind] ?? kind} ${id}`;
    const { modifiedIndex: _ofTheApi, ...own } = value;
    if (kind === "ssls") return own;
    if (kind === "plugin_metadata") return this.#metadata(id, own);
    if (kind === "upstreams") return exportUpstream(place, own, this.#strict, this.#notes);
    return this.#holder(place, kind === "routes" ? this.#route(place, own) : own);
  }

  #holder(place: string, value: Settings): Settings {
    const { plugins, upstream } = value;
    return {
      ...value,
      ...(plugins !== undefined && { plugins: this.#plugins.set(place, plugins) }),
      ...(isRecord(upstream) && { upstream: exportUpstream(place, upstream, this.#strict, this.#notes) }),
    };
  }

  #route(place: string, value: Settings): Settings {
    const uris = [value["uri"], ...(Array.isArray(value["uris"]) ? (value["uris"] as unknown[]) : [])];
    if (uris.some((uri) => typeof uri === "string" && /\/[:*]\w/.test(uri)))
      this.#notes.say(place, "parts of the path have names, which needs apisix.router.http: radixtree_uri_with_parameter there");
    if (mentionsOwnVariable(value["vars"]))
      this.#notes.say(
        place,
        "vars ask for tenant_id, tenant_tier or principal, which have no value when APISIX chooses: it is never chosen",
      );
    const { plugin_config_id: id, ...rest } = value;
    if (id === undefined || SOURCES_OF_ROUTES.some((field) => value[field] !== undefined)) return value;
    return { ...rest, plugins: this.#pluginsOf("plugin_configs", id) ?? {} };
  }

  #sayGaps(): void {
    const { routes, consumers } = findTenantGaps(this.#source, this.#options.plugins);
    for (const id of routes)
      this.#notes.say(
        `route ${id}`,
        "only proved tenants come through, by the platform's own tokens and keys; STOCK APISIX SERVES IT TO EVERYBODY",
      );
    for (const id of consumers)
      this.#notes.say(`consumer ${id}`, "is bound to no tenant, so it is refused wherever one is required; stock APISIX lets it through");
  }

  #pluginsOf(kind: string, id: unknown): unknown {
    return typeof id === "string" || typeof id === "number" ? this.#list(kind).get(String(id))?.["plugins"] : undefined;
  }

  #metadata(id: string, value: Settings): Settings | undefined {
    const name = this.#plugins.nameOf(id);
    return name === undefined ? undefined : { ...value, id: name };
  }

  #enabled(entry: unknown): Settings | undefined {
    const given = isRecord(entry) ? entry : { name: entry };
    const name = this.#plugins.nameOf(String(given["name"]));
    return name === undefined ? undefined : { ...given, name };
  }

  #addTenants(): void {
    const { tenants, plans, consumers, consumerGroups } = readTenantLines(
      this.#source["tenants"],
      this.#source["plans"],
      new Findings("apisix"),
    );
    for (const group of consumerGroups) this.#add("consumer_groups", this.#holder(`plan ${String(group["id"])}`, group));
    for (const [id, { weight }] of plans)
      if (weight !== undefined) this.#notes.say(`plan ${id}`, "weight (the plan's share of fair upstreams) is left out");
    for (const consumer of consumers) {
      // its name says whom it stands for
      const { "tenant-context": _binding, ...plugins } = isRecord(consumer["plugins"]) ? consumer["plugins"] : {};
      this.#add("consumers", this.#holder(`tenant ${String(consumer["username"] ?? consumer["id"])}`, { ...consumer, plugins }));
    }
    if (tenants.size > 0)
      this.#notes.say("tenants", "suspension, quotas in the database, keys and tokens of the platform and the audit trail are not there");
  }
}
