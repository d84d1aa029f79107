import { readFileSync, writeFileSync } from "node:fs";
import {
  checkGatewayDocument,
  type Explanation,
  exportDocument,
  findTenantGaps,
  PLUGINS,
  readGatewayText,
  splitDocument,
  type TextFormat,
  writeExport,
} from "../../gateway/index.ts";
import { Fault, type Json, systemClock, systemRandom, toFault, uuidV7 } from "../../kernel/index.ts";
import { type Management, withManagement } from "../installation.ts";
import { type CommonFlags, readSettings } from "../options.ts";
import { print, printOne, printRows, progress } from "../terminal.ts";
import { tenantPath } from "./tenant.ts";

type Profile = "strict" | "apisix";
type FileDocument = Readonly<Record<string, unknown>>;

/** The flags of `route check`. */
export interface RouteCheckFlags {
  readonly profile: Profile;
  readonly json?: boolean;
}

/** The flags of `import apisix`: the profile is the one that the file is read by, not that of the installation. */
export interface ImportFlags extends Omit<CommonFlags, "profile"> {
  readonly profile?: Profile;
}

/** The flags of `export apisix`. */
export interface ExportFlags extends CommonFlags {
  readonly out?: string;
}

/** What was found in a file. */
interface Checked {
  readonly file: string;
  readonly profile: Profile;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  /** How many objects of which kind. */
  readonly objects: Readonly<Record<string, number>>;
  readonly document: FileDocument;
}

const CONFIGS = "/apisix/admin/configs";
/** The export has credentials in it. */
const OWNER_ONLY = 0o600;

/** Checks a gateway document without an installation. The exit code is 1 when something refuses it. */
export function checkRoutes(file: string, { profile, json }: RouteCheckFlags): void {
  const checked = checkFile(file, profile, (name) => process.env[name]);
  const { problems, warnings, objects } = checked;
  if (problems.length > 0) process.exitCode = 1;
  if (json) return print(JSON.stringify({ file, profile, ok: problems.length === 0, problems, warnings, objects }));
  for (const line of findings(checked)) print(line);
  print(verdict(checked));
}

/** Checks a document and puts it in the place of what the installation had stored before. The settings file is not touched. */
export async function importApisix(file: string, { profile, ...flags }: ImportFlags): Promise<void> {
  const { profile: installed, tenantRequired } = readSettings(flags, process.env).gateway;
  // what stands for a secret is resolved by the process that serves, which may know more variables than this shell
  const checked = checkFile(file, profile ?? installed, (name) => process.env[name] ?? `$env://${name}`);
  const { problems, warnings, objects, document } = checked;
  if (!flags.json) for (const line of findings(checked)) progress(line);
  if (problems.length > 0) throw refused(flags.json ? problems.join("; ") : `${verdict(checked)} Nothing was imported.`);
  if (profile !== undefined && profile !== installed)
    progress(`This installation serves by the profile ${installed}; gateway.profile in its settings changes that.`);
  // never the digest of an earlier import: single objects may have been changed since
  const digest = uuidV7(systemClock, systemRandom);
  await withManagement(flags, (management) => management.call("PUT", CONFIGS, document as Json, { "x-digest": digest })); // read from YAML or JSON
  const hints = tenantRequired ? hintsOf(document) : [];
  if (flags.json) return print(JSON.stringify({ file, profile: checked.profile, stored: objects, warnings, hints }));
  printRows(
    Object.entries(objects).map(([kind, stored]) => ({ kind, stored })),
    ["kind", "stored"],
    false,
  );
  for (const hint of hints) progress(`note  ${hint}`);
}

/** Writes the document in force as stock APISIX can load it, with what cannot be said there as a comment, or on standard error for JSON. */
export async function exportApisix({ out, ...flags }: ExportFlags): Promise<void> {
  const { profile } = readSettings(flags, process.env).gateway;
  const source = await withManagement(flags, (management) => management.call("GET", CONFIGS));
  const exported = exportDocument(source as FileDocument, { profile, plugins: PLUGINS }); // a document is a mapping
  const format = out === undefined ? (flags.json ? "json" : "yaml") : formatOf(out);
  const text = writeExport(exported, format);
  if (format === "json") for (const note of exported.notes) progress(`APISIX cannot say  ${note}`);
  if (out === undefined) return void process.stdout.write(text);
  writeFileSync(out, text, { mode: OWNER_ONLY });
  progress(`${out} is written, with credentials in it. What APISIX cannot say: ${number(exported.notes.length, "note")}.`);
}

/** Says which route, upstream and plugins a request of the tenant would meet. A path stands for itself at localhost. */
export async function explainRoute(tenant: string, method: string, address: string, flags: CommonFlags): Promise<void> {
  const url = toUrl(address);
  const query = new URLSearchParams({ tenant, method: method.toUpperCase(), url });
  const answer = await withManagement(flags, async (management) => {
    await assertTenant(management, tenant);
    return await management.call("GET", `/admin/v1/gateway/explain?${query.toString()}`);
  });
  if (flags.json) return print(JSON.stringify(answer));
  const { route, upstream, plugins } = answer as unknown as Explanation; // the call's own shape
  print(`${method.toUpperCase()} ${url} as the tenant ${tenant}\n`);
  if (route) {
    const name = route.name === undefined ? "" : ` (${route.name})`;
    printOne({ route: route.id + name, "chosen by": route.because, upstream: upstream ?? "none: a plugin answers, or nobody" }, false);
  } else
    print("No route of the gateway document takes it. It is answered by the platform where the path is its own, and else refused (404).");
  if (plugins.length === 0) return print("\nNo plugin runs.");
  print(
    "\nPlugins by falling priority, their order within each phase: rewrite, then access, then the answer. --json shows their settings.\n",
  );
  printRows(
    plugins.map(({ priority, name: plugin, from, overrides }) => ({
      priority,
      plugin,
      "set by": toWords(from),
      "instead of": overrides.map(toWords),
    })),
    ["priority", "plugin", "set by", "instead of"],
    false,
  );
}

/** A tenant that there is not would be explained as nobody. */
async function assertTenant(management: Management, tenant: string): Promise<void> {
  try {
    await management.call("GET", tenantPath(tenant));
  } catch (error) {
    if (toFault(error).code !== "not_found") throw error;
    const detail = `There is no tenant ${tenant}; \`freehold tenant list\` names them all.`;
    throw new Fault("not_found", detail, { public: { detail } });
  }
}

function checkFile(file: string, profile: Profile, variable: (name: string) => string | undefined): Checked {
  const text = readText(file);
  try {
    const value = readGatewayText(text, formatOf(file), (name) => process.env[name]) ?? {};
    const document = typeof value === "object" && !Array.isArray(value) ? { ...value } : {};
    return { file, profile, ...checkGatewayDocument(value, { profile, plugins: PLUGINS, variable }), objects: count(document), document };
  } catch (error) {
    const fault = toFault(error);
    if (fault.code !== "invalid_settings") throw error;
    return { file, profile, problems: [fault.public.detail ?? fault.message], warnings: [], objects: {}, document: {} };
  }
}

/** APISIX knows no tenants: what of it is closed here, where each request is for one. */
function hintsOf(document: FileDocument): readonly string[] {
  const { routes, consumers } = findTenantGaps(document, PLUGINS);
  const unbound = "bound to no tenant, so they are refused (401). The plugin tenant-context with a tenant_id binds a consumer.";
  const closed =
    "no plugin proves the caller, so only tokens and keys of the platform open them. The plugin tenant-resolver with required: false opens a route to everybody.";
  return [
    ...(consumers.length > 0 ? [`consumers ${consumers.join(", ")}: ${unbound}`] : []),
    ...(routes.length > 0 ? [`routes ${routes.join(", ")}: ${closed}`] : []),
  ];
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw refused(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function count(document: FileDocument): Record<string, number> {
  const objects: Record<string, number> = {};
  for (const { kind, id } of splitDocument(document)) {
    const name = kind === "consumers" && id.includes("/credentials/") ? "credentials" : kind;
    objects[name] = (objects[name] ?? 0) + 1;
  }
  return objects;
}

function findings({ problems, warnings }: Checked): readonly string[] {
  return [...problems.map((text) => `problem  ${text}`), ...warnings.map((text) => `warning  ${text}`)];
}

function verdict({ file, profile, problems, warnings, objects }: Checked): string {
  if (problems.length > 0) return `${file} is refused by the profile ${profile}: ${number(problems.length, "problem")}.`;
  const found = Object.entries(objects).map(([kind, amount]) => `${kind}: ${amount}`);
  const said = warnings.length === 0 ? "" : `, with ${number(warnings.length, "warning")}`;
  return `${file} can be served by the profile ${profile}${said} (${found.join(", ") || "it is empty"}).`;
}

function number(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}

function formatOf(file: string): TextFormat {
  return file.endsWith(".json") ? "json" : "yaml";
}

function toUrl(address: string): string {
  const url = URL.parse(address, "http://localhost");
  if (url && /^https?:$/.test(url.protocol) && /^(?:\/|https?:)/i.test(address)) return url.href;
  throw refused(`${address} is no address: give a path (/v1/chat) or a whole URL (https://api.example.com/v1/chat).`);
}

/** `plan:starter` as people say it. */
function toWords(owner: string): string {
  if (owner.startsWith("default:")) return "default";
  return owner.replace(":", " ").replaceAll("_", " ");
}

function refused(detail: string, cause?: unknown): Fault {
  return new Fault("invalid_settings", detail, { public: { detail }, ...(cause !== undefined && { cause }) });
}
