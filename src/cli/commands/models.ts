import { stringify } from "yaml";
import type { Json } from "../../kernel/index.ts";
import { NANO } from "../../models/index.ts";
import { secretOf } from "../environment-secret.ts";
import { type Management, withManagement } from "../installation.ts";
import type { CommonFlags } from "../options.ts";
import { print, printOne, printRows } from "../terminal.ts";
import { readYamlFile } from "../yaml-file.ts";
import { tenantPath } from "./tenant.ts";
import { tenantToken } from "./token.ts";

/** The flags of `models show` and `models set`. */
export interface ModelsFlags extends CommonFlags {
  /** Whose; the platform's unless set. */
  readonly tenant?: string;
}

/** The flags of `models key`. */
export interface ModelKeyFlags extends CommonFlags {
  readonly keyEnv: string;
  readonly remove?: boolean;
}

/** The flags of `models usage`. */
export interface ModelUsageFlags extends CommonFlags {
  readonly from?: string;
  readonly to?: string;
}

/** The flags of `models ledger`. */
export interface ModelLedgerFlags extends CommonFlags {
  readonly limit?: string;
}

/** The flags of `models test`. */
export interface ModelTestFlags extends CommonFlags {
  readonly message: string;
}

/** A document as the calls give it. */
interface Versioned {
  readonly document: Json;
  readonly version: number;
  readonly keys?: readonly string[];
}

/** An answer of Chat Completions, as far as it is shown. */
interface Completion {
  readonly choices?: readonly { readonly message?: { readonly content?: string | null } }[];
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number };
}

const PLATFORM = "/admin/v1/models";
const DECIMALS = 6;

function documentPath(tenant: string | undefined): string {
  return tenant === undefined ? PLATFORM : `${tenantPath(tenant)}/models`;
}

/** Prints the platform's providers, models, routes and plans, or what a tenant is given beside them, as a file that `models set` takes. */
export async function showModels({ tenant, ...flags }: ModelsFlags): Promise<void> {
  const answer = await withManagement(flags, (management) => management.call("GET", documentPath(tenant)));
  if (flags.json) return print(JSON.stringify(answer));
  const { document, version, keys } = answer as unknown as Versioned; // the call's own shape
  print(`# version ${version}${keys ? `; providers with a key: ${keys.join(", ") || "none"}` : ""}`);
  print(stringify(document).trimEnd());
}

/** Puts a file in the place of the platform's providers, models, routes and plans, or of what a tenant is given. */
export async function setModels(file: string, { tenant, ...flags }: ModelsFlags): Promise<void> {
  const document = readYamlFile(file) as Json; // the call checks it
  const answer = await withManagement(flags, (management) => management.call("PUT", documentPath(tenant), { document }));
  const { version } = answer as unknown as Versioned; // the call's own shape
  printOne({ of: tenant ?? "the platform", file, version }, flags.json);
}

/** Sets the platform's key for a provider, or takes it away. The key comes from the environment: on a command line, others could read it. */
export async function setModelKey(provider: string, { keyEnv, remove, ...flags }: ModelKeyFlags): Promise<void> {
  const key = remove ? null : secretOf(keyEnv);
  await withManagement(flags, (management) => management.call("PUT", `${PLATFORM}/keys/${encodeURIComponent(provider)}`, { key }));
  printOne({ provider, key: remove ? "removed" : "set" }, flags.json);
}

/** Prints what a tenant has used, by model and principal; this month unless said otherwise. */
export async function modelUsage(tenant: string, { from, to, ...flags }: ModelUsageFlags): Promise<void> {
  const query = queryOf({ from: timeOf(from), to: timeOf(to) });
  const answer = await withManagement(flags, (management) => management.call("GET", `${tenantPath(tenant)}/models/usage${query}`));
  if (flags.json) return print(JSON.stringify(answer));
  const { usage } = answer as { usage: Record<string, unknown>[] }; // the call's own shape
  printRows(usage.map(priced), ["model", "principal", "attempts", "input", "cachedInput", "output", "cost"], false);
}

/** Prints the newest tries of a tenant at providers. */
export async function modelLedger(tenant: string, { limit, ...flags }: ModelLedgerFlags): Promise<void> {
  const path = `${tenantPath(tenant)}/models/ledger${queryOf({ limit })}`;
  const answer = await withManagement(flags, (management) => management.call("GET", path));
  const { lines } = answer as { lines: Record<string, unknown>[] }; // the call's own shape
  const columns = ["at", "model", "target", "provider", "outcome", "status", "input", "output", "cost", "totalMs"];
  printRows(flags.json ? lines : lines.map(priced), columns, flags.json);
}

/** Asks a model as one of the tenant, the whole way that its requests go, and prints the answer and what it used. Throws what the tenant would be told. */
export async function testModel(tenant: string, model: string, { message, ...flags }: ModelTestFlags): Promise<void> {
  const startedMs = performance.now();
  const answer = await withManagement(flags, (management) =>
    ask(management, tenant, { model, messages: [{ role: "user", content: message }] }),
  );
  const { choices, usage } = answer as Completion; // what is shown of it is checked by the protocol's clients, and told as missing otherwise
  printOne(
    {
      tenant,
      model,
      answer: choices?.[0]?.message?.content ?? null,
      input: usage?.prompt_tokens,
      output: usage?.completion_tokens,
      elapsedMs: Math.round(performance.now() - startedMs),
    },
    flags.json,
  );
}

async function ask(management: Management, tenant: string, body: Json): Promise<Json> {
  const token = await tenantToken(management, tenant, { user: "command-line", role: "member", lifetimeSeconds: 60 });
  return await management.as(token, "POST", "/v1/chat/completions", body);
}

function priced(row: Record<string, unknown>): Record<string, unknown> {
  return { ...row, cost: typeof row["cost"] === "number" ? (row["cost"] / NANO).toFixed(DECIMALS) : null };
}

/** A day means its beginning, in UTC. */
function timeOf(text: string | undefined): string | undefined {
  return text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text;
}

function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(values).flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]]));
  return given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`;
}
