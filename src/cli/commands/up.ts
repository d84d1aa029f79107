import { existsSync } from "node:fs";
import path from "node:path";
import { Fault, systemRandom, toFault } from "../../kernel/index.ts";
import { type App, createApp } from "../app.ts";
import { type DemoCredential, ensureDemo } from "../demo.ts";
import { announce } from "../installation.ts";
import { readSettings, type UpFlags } from "../options.ts";
import { PLACE_VARIABLE, superviseProcesses } from "../processes.ts";
import { loadRootKey, ROOT_KEY_VARIABLE } from "../root-key.ts";
import { readVariable, type Settings } from "../settings.ts";
import { findSiblings, type Siblings } from "../siblings.ts";
import { bold, print, progress } from "../terminal.ts";

const DAY_MS = 86_400_000;

/** Starts everything and stays until SIGINT or SIGTERM; with `gateway.processes` over 1, that many processes that share the ports. */
export async function up(flags: UpFlags): Promise<void> {
  const settings = readSettings(flags, process.env);
  const siblings = findSiblings(process.env[PLACE_VARIABLE], settings.gateway.processes);
  if (settings.gateway.processes > 1 && !siblings) return await superviseProcesses(settings);
  const rootKey = await loadRootKey(settings, process.env[ROOT_KEY_VARIABLE], systemRandom);
  if (!flags.json) announceFirstStart(settings);
  const app = await createApp({
    settings,
    rootKey,
    readVariable,
    ...(siblings && { siblings }),
  });
  const signal = firstSignal();
  process.on("SIGHUP", () => {
    // of several processes each is replaced, by the one that started them
    if (!siblings) app.reloadGateway().catch((error: unknown) => app.telemetry.report(toFault(error)));
  });
  try {
    const retract = siblings ? () => {} : announce(settings, app);
    // a signal while it gets ready ends it as well, and so does not getting ready: the open ports would keep the process alive
    await Promise.race([signal, getReady(app, settings, flags, siblings).then(() => signal)]).finally(retract);
  } finally {
    await app.close();
  }
  // the channel to the process that started this one would keep it alive
  if (siblings) process.disconnect();
}

/** Everything between the open ports and the word that they can be used. */
async function getReady(app: App, settings: Settings, flags: UpFlags, siblings: Siblings | undefined): Promise<void> {
  const platformToken = app.services.identity.tokens.issuePlatform({ sub: "operator", roles: ["admin"], lifetimeMs: DAY_MS });
  // what the demo does to itself is not worth the reader's eyes
  if (settings.logLevel !== "silent") app.telemetry.log.level = "warn";
  const isFirst = siblings === undefined || siblings.place === 0;
  const credentials = settings.demo && isFirst ? await ensureDemo(app, platformToken, flags.json ? () => {} : progress) : [];
  app.telemetry.log.level = settings.logLevel;
  await pointDefaultTenant(app, settings, process.env["AGENT_INVOKE_URL"]);
  const text = flags.json ? readyLine(app, credentials, platformToken) : welcome(app, settings, credentials);
  if (siblings) siblings.ready({ url: app.url, adminUrl: app.adminUrl }, text);
  else print(text);
}

/** AGENT_INVOKE_URL is the agent of the tenant that the operator names as default, and of no other. */
async function pointDefaultTenant({ services }: App, { defaultTenant: id }: Settings, invokeUrl: string | undefined): Promise<void> {
  if (id === undefined || invokeUrl === undefined) return;
  const tenant = await services.registry.find(id);
  if (!tenant) throw new Fault("invalid_settings", `no tenant ${id}`, { public: { detail: `defaultTenant: there is no tenant ${id}.` } });
  if (tenant.agentConfig.invokeUrl === invokeUrl) return;
  const protocol = tenant.agentConfig.protocol === "builtin" ? "webhook" : tenant.agentConfig.protocol;
  await services.registry.update(id, { agentConfig: { invokeUrl, protocol } });
}

function announceFirstStart({ data, database }: Settings): void {
  if (database.url === undefined && !existsSync(path.join(data, "pg")))
    progress(`Creating the data folder ${data} (a few seconds, only once) …`);
}

function readyLine({ url, adminUrl }: App, credentials: readonly DemoCredential[], platformToken: string): string {
  return JSON.stringify({ url, adminUrl, tenants: credentials.map(({ id, token }) => ({ id, token })), platformToken });
}

/** Resolves with the first signal to end. A second one ends the process at once. */
function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let signalled = false;
    const take = (): void => {
      if (signalled) process.exit(1);
      signalled = true;
      resolve();
    };
    process.on("SIGINT", take);
    process.on("SIGTERM", take);
  });
}

function welcome(app: App, settings: Settings, credentials: readonly DemoCredential[]): string {
  const where = `(health and metrics: ${app.adminUrl}, data: ${describeStore(settings)})`;
  const lines = [`\n${bold("Freehold")} ${app.services.version} is ready at ${bold(app.url)}   ${where}`];
  if (app.tlsUrl !== undefined) lines.push(`TLS: ${bold(app.tlsUrl)}`);
  if (credentials.length === 0) return [...lines, `\nMake a tenant:  freehold tenant create my-tenant --name "My tenant"\n`].join("\n");
  lines.push("\nTwo demo tenants, each with users, documents and an agent of its own:\n");
  for (const { id, token, apiKey } of credentials) {
    lines.push(`  ${bold(id.padEnd(7))} Authorization: Bearer ${settings.identity.developmentToken ? `${id}:user-1` : token}`);
    if (apiKey !== undefined) lines.push(`  ${"".padEnd(7)} x-api-key: ${apiKey}   (shown only now)`);
  }
  const [first] = credentials;
  if (first) lines.push(...tour(app.url, settings.identity.developmentToken ? `${first.id}:user-1` : first.token));
  return [...lines, "Stop with Ctrl-C. The same again with your own tenants: freehold up --no-demo\n"].join("\n");
}

function tour(url: string, token: string): readonly string[] {
  const call = (route: string, body?: string): string =>
    `curl -s ${url}${route} -H 'Authorization: Bearer ${token}'${body === undefined ? "" : ` -H 'Content-Type: application/json' -d '${body}'`}`;
  return [
    `\nPaste one of these into another terminal:\n`,
    `  ${call("/api/chat", '{"message":"How long do I have to return an order?"}')}\n`,
    `  ${call("/search", '{"query":"support at night","limit":3}')}\n`,
    `  ${call("/api/sessions")}\n`,
  ];
}

function describeStore({ data, database }: Settings): string {
  return database.url === undefined ? data : `PostgreSQL at ${new URL(database.url).host}`;
}
