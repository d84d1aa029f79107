import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach } from "node:test";
import pg from "pg";
import { type App, createApp } from "../../src/cli/app.ts";
import { parseSettings } from "../../src/cli/settings.ts";
import { type Clock, createKeyring, systemClock } from "../../src/kernel/index.ts";
import { createTokenIssuer, ownSigningKey, type TokenIssuer } from "../../src/tenancy/identity/index.ts";
import { freshDatabase } from "./databases.ts";
import { Client } from "./freehold-client.ts";
import { bearer, type Credentials, seedRows, seedTenants, type TenantName } from "./freehold-seed.ts";
import { type RecordedAgent, says, startRecordedAgent } from "./recorded-agent.ts";
import { assertNoCanary, CANARY, tenantIdOf } from "./tenants.ts";

/** The base domain under which `{tenant}.` names a tenant. */
export const BASE_DOMAIN = "freehold.example";
/** A browser origin that may open sockets besides the own host. */
export const ALLOWED_ORIGIN = "https://console.example";

/** A whole Freehold in this process with five tenants; what reaches tenant a, or anybody unknown, is kept and searched for b's canary. */
export interface Freehold {
  readonly app: App;
  readonly credentials: Readonly<Record<TenantName, Credentials>>;
  readonly platform: { readonly admin: Readonly<Record<string, string>>; readonly viewer: Readonly<Record<string, string>> };
  readonly agents: Readonly<Record<TenantName, RecordedAgent>>;
  /** An issuer with the platform's own key at another time. */
  issuerAt(clock: Clock): TokenIssuer;
  /** Somebody of the attacker's side: all that reaches it is searched for the canary after every test. */
  as(credential: Readonly<Record<string, string>>, port?: "main" | "admin"): Client;
  /** Somebody who may see b's values. */
  trusted(credential: Readonly<Record<string, string>>, port?: "main" | "admin"): Client;
  /** Runs SQL as the engine's superuser. */
  sql<R extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** One hash per table: of the rows of this tenant, or of everything but the audit trails. Events under way are waited for. */
  fingerprint(of: TenantName | "everything"): Promise<Readonly<Record<string, string>>>;
  /** The lines of the log so far. */
  readonly logLines: readonly string[];
  /** Another process's view of the same database: a second app, with these settings instead of its own. */
  second(settings?: FreeholdOptions["settings"]): Promise<App>;
  /** What a real other process opens the same with. */
  readonly outside: { readonly settings: Readonly<Record<string, unknown>>; readonly rootKey: Buffer };
  assertNothingReachedA(): Promise<void>;
  close(): Promise<void>;
}

/** Settings of the process under test that a suite may change. */
export interface FreeholdOptions {
  readonly settings?: Readonly<Record<string, unknown>>;
  /** What the environment has. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** Starts one over a PostgreSQL database of its own, seeded. `guard` ends it with the suite. */
export async function startFreehold(options: FreeholdOptions = {}): Promise<Freehold> {
  const url = await freshDatabase();
  const rootKey = randomBytes(32);
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-run-"));
  const logLines: string[] = [];
  const outside = { settings: { ...usualSettings(url, folder), ...options.settings }, rootKey };
  const open = (others: FreeholdOptions["settings"] = {}): Promise<App> =>
    createApp({
      settings: parseSettings({ ...outside.settings, ...others }, "test"),
      rootKey,
      readVariable: (name) => options.variables?.[name],
      logLines: { write: (line) => void logLines.push(line) },
    });
  const app = await open();
  const { tokens } = app.services.identity;
  const platform = {
    admin: bearer(tokens.issuePlatform({ sub: "operator", roles: ["admin"], lifetimeMs: 3_600_000 })),
    viewer: bearer(tokens.issuePlatform({ sub: "onlooker", roles: ["viewer"], lifetimeMs: 3_600_000 })),
  };
  const agents = await startAgents();
  const credentials = await seedTenants(app, new Client(app.url, platform.admin), (name) => agents[name].url);
  const administrator = new pg.Client({ connectionString: url });
  await administrator.connect();
  await seedRows(administrator);
  await endTenants(app, administrator);
  return new RunningFreehold({ app, platform, agents, credentials, administrator, logLines, outside, folder, open });
}

/** Checks after every test of the suite that nothing of b reached a, and ends the Freehold with the suite. */
export function guard(freehold: Freehold): void {
  afterEach(() => freehold.assertNothingReachedA());
  after(() => freehold.close());
}

function usualSettings(url: string, folder: string): Record<string, unknown> {
  return {
    profile: "development",
    port: 0,
    adminPort: 0,
    data: folder,
    database: { url, connectionsMax: 10 },
    demo: false,
    logLevel: "debug",
    origins: [ALLOWED_ORIGIN],
    identity: { baseDomains: [BASE_DOMAIN], failedCredentials: { max: 1_000_000 } },
  };
}

async function startAgents(): Promise<Readonly<Record<TenantName, RecordedAgent>>> {
  const [a, b, s, d, p] = await Promise.all([
    startRecordedAgent(says("The answer of a.")),
    startRecordedAgent(says(`The answer of b. ${CANARY}`)),
    startRecordedAgent(says("The answer of s.")),
    startRecordedAgent(says("The answer of d.")),
    startRecordedAgent(says("The answer of p.")),
  ]);
  return { a, b, s, d, p };
}

/** Brings s, d and p into the states that are not served. */
async function endTenants({ services }: App, administrator: pg.Client): Promise<void> {
  await services.worker.drain();
  await services.registry.setStatus(tenantIdOf("s"), "suspended");
  await services.registry.setStatus(tenantIdOf("d"), "deleting");
  // no call makes a tenant that is not ready yet: half a registration is what a crash would leave
  await administrator.query("update freehold.tenants set status = 'provisioning', version = version + 1 where id = 'p'");
  await services.registry.update(tenantIdOf("a"), {}); // returns when every change before it is seen
}

interface Parts extends Pick<Freehold, "app" | "platform" | "agents" | "credentials" | "outside"> {
  readonly administrator: pg.Client;
  readonly logLines: readonly string[];
  readonly folder: string;
  readonly open: (settings?: FreeholdOptions["settings"]) => Promise<App>;
}

class RunningFreehold implements Freehold {
  readonly app: App;
  readonly platform: Freehold["platform"];
  readonly agents: Freehold["agents"];
  readonly credentials: Freehold["credentials"];
  readonly logLines: readonly string[];
  readonly outside: Freehold["outside"];
  readonly #parts: Parts;
  readonly #seen: (Uint8Array | string)[] = [];
  readonly #others: App[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.app = parts.app;
    this.platform = parts.platform;
    this.agents = parts.agents;
    this.credentials = parts.credentials;
    this.logLines = parts.logLines;
    this.outside = parts.outside;
  }

  // functions that keep their `this`: suites take single ones out
  readonly issuerAt = (clock: Clock): TokenIssuer => createTokenIssuer(ownSigningKey(createKeyring(this.outside.rootKey)), clock);

  readonly as = (credential: Readonly<Record<string, string>>, port: "main" | "admin" = "main"): Client =>
    new Client(this.#url(port), credential, (bytes) => void this.#seen.push(bytes));

  readonly trusted = (credential: Readonly<Record<string, string>>, port: "main" | "admin" = "main"): Client =>
    new Client(this.#url(port), credential);

  readonly sql = async <R extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<R[]> => {
    const { rows } = await this.#parts.administrator.query<R>(text, [...values]);
    return rows;
  };

  readonly fingerprint = async (of: TenantName | "everything"): Promise<Readonly<Record<string, string>>> => {
    await this.app.services.worker.drain();
    const tables = of === "everything" ? await this.#tables("") : await this.#tables("and column_name = 'tenant_id'");
    const where = of === "everything" ? "" : `where tenant_id = (select uuid from freehold.tenants where id = '${of}')`;
    const parts = tables.map((table) => `select '${table}' as name, ${HASH} as hash from freehold.${table} x ${where}`);
    if (of !== "everything") parts.push(`select 'tenants' as name, ${HASH} as hash from freehold.tenants x where id = '${of}'`);
    const rows = await this.sql<{ name: string; hash: string }>(parts.join(" union all "));
    return Object.fromEntries(rows.map(({ name, hash }) => [name, hash]));
  };

  readonly second = async (settings?: FreeholdOptions["settings"]): Promise<App> => {
    const other = await this.#parts.open(settings);
    this.#others.push(other);
    return other;
  };

  async assertNothingReachedA(): Promise<void> {
    for (const piece of this.#seen.splice(0)) assertNoCanary(piece);
    for (const request of this.agents.a.received) assertNoCanary(JSON.stringify(request));
    for (const line of this.logLines) if (!line.includes('"tenantId":"b"')) assertNoCanary(line);
    await this.app.services.audit.flush();
    const trail = await this.sql<{ entry: string }>(
      "select e::text as entry from freehold.audit_entries e where tenant_id = (select uuid from freehold.tenants where id = 'a')",
    );
    for (const { entry } of trail) assertNoCanary(entry);
  }

  async close(): Promise<void> {
    const { administrator, folder } = this.#parts;
    for (const app of [this.app, ...this.#others]) await app.close();
    await administrator.end();
    for (const agent of Object.values(this.agents)) agent.close();
    rmSync(folder, { recursive: true, force: true });
  }

  #url(port: "main" | "admin"): string {
    return port === "main" ? this.app.url : this.app.adminUrl;
  }

  async #tables(condition: string): Promise<readonly string[]> {
    const rows = await this.sql<{ name: string }>(
      `select distinct table_name as name from information_schema.columns where table_schema = 'freehold' ${condition}
       and table_name not in (${condition === "" ? "'audit_entries'," : ""} 'registry_changes', 'gateway_processes', 'isolation_probe', 'migrations') order by 1`,
    );
    return rows.map(({ name }) => name);
  }
}

const HASH = "md5(coalesce(string_agg(x::text, '|' order by x::text), ''))";

/** A clock that is behind by this much. */
export function clockBehind(ms: number): Clock {
  return { now: () => systemClock.now() - ms, monotonic: () => systemClock.monotonic() };
}
