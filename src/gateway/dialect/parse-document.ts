import type { Plugin, Profile } from "../proxy/plugin.ts";
import { checkCredentials, checkGroups, checkReferences, type ItemsOfDocument, sayHazards } from "./document-checks.ts";
import { type Item, parseCredentialId, readItems } from "./document-items.ts";
import { Findings, type Problem, sayProblem } from "./findings.ts";
import { ObjectChecks } from "./object-checks.ts";
import type {
  ConsumerSettings,
  GatewayDocument,
  PluginSetSettings,
  RouteSettings,
  ServiceSettings,
  SslSettings,
  UpstreamSettings,
} from "./objects.ts";
import { partOf } from "./place.ts";
import { isRecord } from "./schema/compiler.ts";
import { type Kind, KINDS, MAPPINGS, OTHER_KINDS } from "./schemas/kinds.ts";
import { readTenantLines } from "./tenant-lines.ts";

/** How a document is read. */
export interface DocumentOptions {
  readonly profile: Profile;
  readonly plugins: readonly Plugin[];
  /** What `$env://NAME` stands for; without it such a text cannot be resolved. */
  readonly variable?: (name: string) => string | undefined;
}

/** A document as it is served, and what is worth knowing about it. */
export interface ParsedDocument {
  readonly document: GatewayDocument;
  /** One sentence each, with the place first. */
  readonly warnings: readonly string[];
  /** Items of the apisix profile that were left out, and what is served there although it is doubtful: the strict profile refuses both. */
  readonly refused: readonly string[];
  readonly doubts: readonly string[];
}

const NAMES: ReadonlySet<string> = new Set([...KINDS, ...OTHER_KINDS, ...MAPPINGS, "plugins"]);

/**
 * Reads a whole document. In the strict profile everything that is unknown, invalid, ambiguous or dangling refuses it, all of it said at
 * once in an `invalid_settings`; in the apisix profile an item that cannot be served is left out, and each hazard is a warning.
 */
export function parseGatewayDocument(value: unknown, options: DocumentOptions): ParsedDocument {
  const read = readGatewayDocument(value, options);
  read.settle();
  return read;
}

/** A document as far as it can be read, with what refuses it. */
export interface ReadDocument extends ParsedDocument {
  readonly problems: readonly Problem[];
  /** Throws `invalid_settings` with all problems, if there are any. */
  settle(): void;
}

/** The same without refusing: for whoever can leave out what does not fit. */
export function readGatewayDocument(value: unknown, options: DocumentOptions): ReadDocument {
  const findings = new Findings(options.profile);
  const document = readDocument(value, options, findings);
  const { warnings, refused, doubts, problems } = findings;
  return { document, warnings, refused, doubts, problems, settle: () => findings.settle() };
}

/** Everything that refuses the document in this profile, and everything that is worth knowing about it, each with the place first. */
export function checkGatewayDocument(
  value: unknown,
  options: DocumentOptions,
): { readonly problems: readonly string[]; readonly warnings: readonly string[] } {
  const findings = new Findings(options.profile);
  readDocument(value, options, findings);
  return { problems: findings.problems.map(sayProblem), warnings: findings.warnings };
}

function readDocument(value: unknown, options: DocumentOptions, findings: Findings): GatewayDocument {
  const given = value ?? {};
  if (!isRecord(given)) findings.refuse(partOf("document"), "must be an object with lists of routes, upstreams, consumers and so on");
  const source = isRecord(given) ? given : {};
  checkNames(source, findings);
  const checks = new ObjectChecks({ ...options, warn: (message) => findings.warn(partOf("document"), message) });
  const lines = readTenantLines(source["tenants"], source["plans"], findings);
  const ruleOfPlugins = isRecord(source["plugins"]) ? [{ id: "plugins", plugins: source["plugins"] }] : [];
  const lists: Record<string, unknown> = {
    ...source,
    consumers: joined(source["consumers"], lines.consumers),
    consumer_groups: joined(source["consumer_groups"], lines.consumerGroups),
    global_rules: joined(source["global_rules"], ruleOfPlugins),
  };
  const variable = options.variable ?? (() => undefined);
  const read = (kind: Kind): Map<string, Item> => readItems(kind, lists[kind], checks, findings, variable);
  const items = Object.fromEntries(KINDS.map((kind) => [kind, read(kind)])) as unknown as ItemsOfDocument; // every kind is there
  checkGroups(items, checks.plugins, findings);
  checkReferences(items, checks.plugins, findings);
  checkCredentials(items.consumers, checks.plugins, findings);
  sayHazards(items, checks.plugins, findings);
  return toDocument(items, source["plugins"], lines);
}

/** A list of the document with what was made of its short forms; what is no list is left for the check to say. */
function joined(list: unknown, made: readonly unknown[]): unknown {
  if (made.length === 0) return list;
  return list === undefined || list === null || Array.isArray(list) ? [...(Array.isArray(list) ? (list as unknown[]) : []), ...made] : list;
}

function checkNames(source: Readonly<Record<string, unknown>>, findings: Findings): void {
  for (const name of Object.keys(source)) {
    if (OTHER_KINDS.includes(name)) findings.refuse(partOf(name), "there is nothing here that serves them");
    else if (!NAMES.has(name) && !name.endsWith("_conf_version")) findings.refuse(partOf(name), "is no part of a document");
  }
}

function toDocument(
  items: ItemsOfDocument,
  plugins: unknown,
  { tenants, plans }: Pick<GatewayDocument, "tenants" | "plans">,
): GatewayDocument {
  return {
    routes: [...items.routes.values()].map(({ object }) => object as unknown as RouteSettings), // as its schema says
    services: objects<ServiceSettings>(items.services),
    upstreams: objects<UpstreamSettings>(items.upstreams),
    consumers: toConsumers(items.consumers),
    consumer_groups: objects<PluginSetSettings>(items.consumer_groups),
    plugin_configs: objects<PluginSetSettings>(items.plugin_configs),
    global_rules: objects<PluginSetSettings>(items.global_rules),
    ssls: objects<SslSettings>(items.ssls),
    plugin_metadata: new Map([...items.plugin_metadata].map(([id, { object }]) => [id, withoutId(object)])),
    tenants,
    plans,
    plugins: enabledPlugins(plugins),
  };
}

function objects<Settings>(items: ReadonlyMap<string, Item>): Map<string, Settings> {
  return new Map([...items].map(([id, { object }]) => [id, object as Settings])); // as its schema says
}

function toConsumers(items: ReadonlyMap<string, Item>): Map<string, ConsumerSettings> {
  const consumers = new Map<
    string,
    ConsumerSettings & { readonly credentials: { id: string; plugins: Readonly<Record<string, unknown>> }[] }
  >();
  for (const { id, kind, object } of items.values()) {
    if (kind !== "credential") consumers.set(id, { ...object, username: id, credentials: [] });
  }
  for (const { id, object } of items.values()) {
    const credential = parseCredentialId(id);
    if (!credential) continue;
    const plugins = isRecord(object["plugins"]) ? object["plugins"] : {};
    consumers.get(credential.username)?.credentials.push({ id: credential.id, plugins });
  }
  return consumers;
}

function withoutId({ id: _id, ...rest }: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return rest;
}

function enabledPlugins(plugins: unknown): readonly string[] | undefined {
  if (!Array.isArray(plugins)) return undefined;
  return plugins.flatMap((each: unknown) => {
    const name = isRecord(each) ? each["name"] : each;
    return typeof name === "string" ? [name] : [];
  });
}
