import { readFileSync } from "node:fs";
import path from "node:path";
import { createChat, createInvoker, type SearchPassages } from "../agents/index.ts";
import { createRouteTable, type HealthReport, indexUsers, type Services } from "../control/index.ts";
import {
  createPipeline,
  type DataPlane,
  type GatewayDocument,
  parseGatewayDocument,
  type Pipeline,
  PLUGINS,
  readGatewayText,
} from "../gateway/index.ts";
import {
  createKeyring,
  createTenantContext,
  Fault,
  type Keyring,
  Secret,
  systemClock,
  systemRandom,
  type Tenant,
  toFault,
} from "../kernel/index.ts";
import { createDataStore, type DataStore } from "../stores/data/index.ts";
import { type ContextOpener, createEventStore, createPostgresBus, createWorker, type EventWorker } from "../stores/events/index.ts";
import { createStores, type Stores } from "../stores/index.ts";
import { createLexicalEmbedder, createOpenAiEmbedder, createSearchStore, type Embedder } from "../stores/search/index.ts";
import { type Audit, createAudit } from "../tenancy/audit/index.ts";
import { type ApiKeyRecord, createIdentity, type Identity, ownSigningKey } from "../tenancy/identity/index.ts";
import { createRateLimiter } from "../tenancy/limits/index.ts";
import { createRegistry, type Registry, type StoredKey } from "../tenancy/registry/index.ts";
import { createEgress, createHttpServer, type Egress, type HttpServer } from "../wire/index.ts";
import { openDataPlane } from "./data-plane.ts";
import { createTelemetry, type LogLines, type Telemetry } from "./telemetry.ts";
import type { Settings } from "./settings.ts";
import type { Siblings } from "./siblings.ts";

/** A running Freehold. */
export interface App {
  readonly url: string;
  readonly adminUrl: string;
  /** Where TLS is served, if it is. */
  readonly tlsUrl: string | undefined;
  readonly services: Services;
  readonly stores: Stores;
  readonly telemetry: Telemetry;
  /** Ends in order: no new requests, those under way finish, everything written. */
  close(): Promise<void>;
}

/** What `main` reads from outside and hands in. */
export interface AppInputs {
  readonly settings: Settings;
  readonly rootKey: Buffer;
  /** Reads an environment variable that the settings name. */
  readonly readVariable: (name: string) => string | undefined;
  /** Takes the lines of the log instead of standard error. */
  readonly logLines?: LogLines;
  /** The other processes of this machine, where this is one of several. */
  readonly siblings?: Siblings;
}

/** What callers may use: PURGE empties a caller's part of a cache. */
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]);
const EGRESS_PORTS = [443, 8443];
const CLOSE_GRACE_MS = 10_000;
const KEY_SET_BYTES_MAX = 64 * 1024;
const KEY_SET_TIMEOUT_MS = 5_000;

/** Things to close, the last opened first. */
class Closing {
  readonly #steps: (() => Promise<void>)[] = [];

  add(step: () => Promise<void>): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps.toReversed()) await step();
    this.#steps.length = 0;
  }
}

/** Opens stores, rooms and ports in this order. If one fails, those before it are closed and the fault is thrown. */
export async function createApp(inputs: AppInputs): Promise<App> {
  const closing = new Closing();
  try {
    return await open(inputs, closing);
  } catch (error) {
    await closing.run();
    throw error;
  }
}

async function open(inputs: AppInputs, closing: Closing): Promise<App> {
  const { settings } = inputs;
  const keyring = createKeyring(inputs.rootKey);
  inputs.siblings?.onMetrics(() => telemetry.ownMetrics());
  const late: { worker?: EventWorker } = {};
  const telemetry = createTelemetry(
    settings.logLevel,
    async () => (await late.worker?.lag()) ?? { pending: 0, oldestMs: 0, deadLetters: 0 },
    inputs.logLines,
  );
  const egress = createEgress({ policy: { loopback: settings.profile === "development", ports: EGRESS_PORTS } });
  closing.add(() => egress.close());

  const data = await openData(settings, keyring, telemetry);
  closing.add(() => data.close());
  const audit = createAudit({ data, clock: systemClock, random: systemRandom, report: telemetry.report });
  closing.add(() => audit.close());
  const registry = await createRegistry({
    system: data.system,
    keyring,
    random: systemRandom,
    clock: systemClock,
    checkUrl: (url) => void egress.check(url),
    report: telemetry.report,
  });
  closing.add(() => registry.close());

  const stores = createStores({
    data,
    search: createSearchStore({ data, embedder: createEmbedder(inputs, egress) }),
    events: createEventStore({ keyring, clock: systemClock, random: systemRandom }),
  });
  const worker = openWorker(data, keyring, registry, stores, audit, telemetry);
  late.worker = worker;
  const identity = openIdentity(settings, keyring, registry, audit, egress, telemetry);
  const invoker = createInvoker({ egress, clock: systemClock, searchPassages: passagesOf(stores) });
  const services: Services = {
    registry,
    identity,
    audit,
    worker,
    keyring,
    chat: createChat({ invoker, clock: systemClock, random: systemRandom }),
    clock: systemClock,
    random: systemRandom,
    health: async () => healthOf(data),
    metrics: async () => await telemetry.metrics(await inputs.siblings?.metrics()),
    version: programVersion(),
  };
  await worker.start();
  closing.add(() => worker.close());
  const plane = openDataPlane({ settings, identity, registry, audit, telemetry, siblings: inputs.siblings });
  closing.add(() => plane.close());
  await plane.dataPlane.apply(readDocument(inputs, telemetry));
  const { servers, pipeline } = await listen(settings, services, stores, telemetry, plane.dataPlane);
  closing.add(async () => {
    pipeline.leave();
    await Promise.all(servers.map((server) => server.close(CLOSE_GRACE_MS)));
  });
  await identity.warm();
  const [main, admin] = servers;
  return { url: main.url, tlsUrl: undefined, adminUrl: admin.url, services, stores, telemetry, close: () => closing.run() };
}

function readDocument({ settings, readVariable }: AppInputs, telemetry: Telemetry): GatewayDocument {
  const { file, profile } = settings.gateway;
  const value = file === undefined ? {} : readGatewayText(readFileSync(file, "utf8"), "yaml", readVariable);
  const { document, warnings } = parseGatewayDocument(value, { profile, plugins: PLUGINS, variable: readVariable });
  for (const warning of warnings) telemetry.log.warn(warning);
  return document;
}

async function openData(settings: Settings, keyring: Keyring, telemetry: Telemetry): Promise<DataStore> {
  const { url, connectionsMax } = settings.database;
  const location =
    url === undefined ? { kind: "embedded" as const, folder: settings.data } : { kind: "postgres" as const, url, connectionsMax };
  return await createDataStore(location, { keyring, random: systemRandom, report: telemetry.report });
}

async function listen(
  settings: Settings,
  services: Services,
  stores: Stores,
  telemetry: Telemetry,
  dataPlane: DataPlane,
): Promise<{ readonly servers: readonly [HttpServer, HttpServer]; readonly pipeline: Pipeline }> {
  const pipeline = createPipeline({
    identity: services.identity,
    limiter: createRateLimiter(systemClock),
    stores,
    audit: services.audit,
    clock: systemClock,
    random: systemRandom,
    observe: telemetry.observe,
    origins: settings.origins,
  });
  services.registry.onTenantChange((ids) => {
    for (const [uuid, { id }] of pipeline.live.tenants()) {
      if (ids.includes(id))
        endIfNotServed(services.registry, id, () => pipeline.live.stop(uuid)).catch((error: unknown) => telemetry.report(toFault(error)));
    }
  });
  const routes = createRouteTable(services);
  const { platformFirst, profile, connectionsMax, file } = settings.gateway;
  const proxied = { dataPlane: () => (file === undefined ? undefined : dataPlane), platformFirst };
  const main = await createHttpServer({
    host: settings.host,
    port: settings.port,
    handler: pipeline.handlerFor(routes.main, proxied),
    bounds: { connectionsMax },
    methods: METHODS,
    ...(profile === "apisix" && { targets: "lenient" as const }),
  });
  try {
    // never on another address: metrics and set-up are for this machine (and whoever it lets in by its own means)
    const admin = await createHttpServer({ host: "127.0.0.1", port: settings.adminPort, handler: pipeline.handlerFor(routes.admin) });
    return { servers: [main, admin], pipeline };
  } catch (error) {
    await main.close(0);
    throw error;
  }
}

async function endIfNotServed(registry: Registry, id: Tenant["id"], end: () => void): Promise<void> {
  const tenant = await registry.find(id);
  if (tenant?.status !== "active" && tenant?.status !== "moving") end();
}

function openIdentity(
  settings: Settings,
  keyring: Keyring,
  registry: Registry,
  audit: Audit,
  egress: Egress,
  telemetry: Telemetry,
): Identity {
  return createIdentity(settings.identity, {
    clock: systemClock,
    keyring,
    signingKey: ownSigningKey(keyring),
    findTenant: (id) => registry.find(id),
    findKey: (id) => {
      const found = registry.findKey(id);
      return found instanceof Promise ? found.then(toKeyRecord) : toKeyRecord(found);
    },
    tenantOfHost: (host) => registry.tenantOfHost(host),
    fetchBytes: async (url) => await fetchKeySet(egress, url),
    keySetFailed: (_issuer, fault) => telemetry.report(fault),
    audit: (entry) => {
      const { actorTenant, claimedTenant, remoteAddress, ...event } = entry;
      const tenant = actorTenant === null ? undefined : registry.find(actorTenant);
      const record = (found: Tenant | undefined): void =>
        audit.record({
          ...event,
          source: remoteAddress,
          targetTenant: claimedTenant,
          actorTenant: found ? { id: found.id, uuid: found.uuid } : null,
        });
      if (tenant instanceof Promise) tenant.then(record, () => record(undefined));
      else record(tenant);
    },
  });
}

async function fetchKeySet(egress: Egress, url: string): Promise<Uint8Array> {
  const headers = { accept: "application/json" };
  const response = await egress.request("platform", {
    method: "GET",
    url,
    headers,
    timeoutMs: KEY_SET_TIMEOUT_MS,
    bytesMax: KEY_SET_BYTES_MAX,
  });
  if (response.status !== 200) throw new Fault("upstream_invalid", `the key set answered with status ${response.status}`);
  return await response.bytes();
}

/** A stored key never changes: what was made of it is the same object each time, by which identity knows it again. */
const keyRecords = new WeakMap<StoredKey, ApiKeyRecord>();

function toKeyRecord(key: StoredKey | undefined): ApiKeyRecord | undefined {
  if (!key) return undefined;
  const known = keyRecords.get(key);
  if (known) return known;
  const record = recordOf(key);
  keyRecords.set(key, record);
  return record;
}

function recordOf(key: StoredKey): ApiKeyRecord {
  const { id, hash, roles, scopes, tenantId } = key;
  const facts = { id, hash, scopes, expiresAtMs: key.expiresAt?.getTime() ?? null, revokedAtMs: key.revokedAt?.getTime() ?? null };
  return tenantId === null
    ? { ...facts, realm: "platform", tenantId, roles: roles.filter((role) => role !== "member") }
    : { ...facts, realm: "tenant", tenantId, roles: roles.filter((role) => role !== "viewer") };
}

function createEmbedder({ settings, readVariable }: AppInputs, egress: Egress): Embedder {
  const { embedder } = settings.search;
  if (embedder.kind === "lexical") return createLexicalEmbedder();
  const key = embedder.apiKeyEnv === undefined ? undefined : readVariable(embedder.apiKeyEnv);
  const { url, model, dimensions } = embedder;
  return createOpenAiEmbedder(
    { url, model, dimensions, ...(key !== undefined && { apiKey: new Secret(key) }) },
    {
      post: async (target, headers, body, timeoutMs, bounds) => {
        const response = await egress.request("platform", { method: "POST", url: target, headers, body, timeoutMs, ...bounds });
        return { status: response.status, bytes: await response.bytes() };
      },
    },
  );
}

function openWorker(
  data: DataStore,
  keyring: Keyring,
  registry: Registry,
  stores: Stores,
  audit: Audit,
  telemetry: Telemetry,
): EventWorker {
  const consumers = [indexUsers(stores)];
  return createWorker({
    bus: createPostgresBus(data, consumers),
    data,
    keyring,
    clock: systemClock,
    random: systemRandom,
    consumers,
    openContext: contextOpener(registry),
    report: {
      onFault: telemetry.report,
      onQuarantine: async ({ reason, tenantUuid, consumer, eventId }) => {
        audit.record({
          action: "event_quarantined",
          reason,
          actor: null,
          actorTenant: null,
          targetTenant: null,
          requestId: eventId,
          source: "worker",
          detail: { tenantUuid, consumer },
        });
      },
    },
  });
}

/** Events are handled as the tenant itself, with the rights of an admin of it, and only while it is served. */
function contextOpener(registry: Registry): ContextOpener {
  return async (tenantUuid, _tenantId, event) => {
    const tenant = await registry.find(event.tenantId);
    if (!tenant || tenant.uuid !== tenantUuid) return { ok: false, reason: "unknown" };
    if (tenant.status === "deleting" || tenant.status === "erased") return { ok: false, reason: "deleted" };
    if (tenant.status !== "active") return { ok: false, reason: "suspended" };
    return {
      ok: true,
      context: createTenantContext({
        tenant,
        principal: { realm: "tenant", kind: "user", id: "event-worker", roles: ["admin"], scopes: [] },
        provedBy: "event",
        requestId: event.id,
        trace: event.trace,
      }),
    };
  };
}

/** Passages for the built-in agent: the best points of the tenant's documents. */
function passagesOf(stores: Stores): SearchPassages {
  return async (context, query, limit) => {
    const hits = await stores.scope(context).search.query({ query, limit, filter: { kind: "document" } });
    return hits.map(({ ref, title, text, score }) => ({ documentId: ref, title, text, score }));
  };
}

function healthOf(data: DataStore): HealthReport {
  const database = data.health();
  return { ok: database.ok, parts: { database: database.ok ? "ok" : database.reason } };
}

function programVersion(): string {
  const text = readFileSync(path.join(import.meta.dirname, "../../package.json"), "utf8");
  const { version } = JSON.parse(text) as { version: string }; // our own file
  return version;
}
