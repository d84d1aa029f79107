import { createChat } from "../agents/index.ts";
import {
  askForReindex,
  createRouteTable,
  type GatewayParts,
  type HealthReport,
  indexDocuments,
  indexUsers,
  type Services,
} from "../control/index.ts";
import {
  createGatewayConfig,
  createLiveRequests,
  createPipeline,
  type DataPlane,
  type GatewayConfig,
  type GatewayDocument,
  type LiveRequests,
  type Pipeline,
  PLUGINS,
} from "../gateway/index.ts";
import { createKeyring, type Keyring, parseTenantId, Secret, systemClock, systemRandom, type Tenant, toFault } from "../kernel/index.ts";
import type { DataStore } from "../stores/data/index.ts";
import type { EventLag, EventWorker } from "../stores/events/index.ts";
import type { Stores, TenantScope } from "../stores/index.ts";
import { createLexicalEmbedder, createOpenAiEmbedder, type Embedder } from "../stores/search/index.ts";
import { createRateLimiter, type RateLimiter } from "../tenancy/limits/index.ts";
import type { Lifecycle } from "../tenancy/lifecycle/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";
import { createEgress, createHttpServer, type Egress, type HttpServer, type HttpServerOptions } from "../wire/index.ts";
import { certificatesOf } from "./certificates.ts";
import { Closing } from "./closing.ts";
import { type DataPlaneRooms, openDataPlane, openLimits } from "./data-plane.ts";
import { DocumentTenants } from "./document-tenants.ts";
import { openChannels } from "./open-channels.ts";
import { prepareTables } from "./open-data.ts";
import { openIdentity } from "./open-identity.ts";
import { asItself, carryOutJournal, openJournal, openLifecycle, resealAllColumns } from "./open-lifecycle.ts";
import { openInvoker } from "./open-invoker.ts";
import { openRetention } from "./open-retention.ts";
import { openWorker } from "./open-worker.ts";
import { openModels } from "./open-models.ts";
import { openStorage } from "./open-storage.ts";
import { openTenants } from "./open-tenants.ts";
import { keepKeysCurrent } from "./open-vault.ts";
import { createTelemetry, type LogLines, type Telemetry } from "./telemetry.ts";
import type { Settings } from "./settings.ts";
import type { Siblings } from "./siblings.ts";
import { PROGRAM_VERSION } from "./program-version.ts";

/** A running Freehold. */
export interface App {
  readonly url: string;
  readonly adminUrl: string;
  /** Where TLS is served, if it is. */
  readonly tlsUrl: string | undefined;
  readonly services: Services;
  readonly stores: Stores;
  readonly telemetry: Telemetry;
  /** Reads the gateway's settings file now instead of at its next poll. Throws `invalid_settings`, and then what was served goes on. */
  reloadGateway(): Promise<void>;
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
  const { settings, logLines: lines } = inputs;
  const keyring = createKeyring(inputs.rootKey);
  inputs.siblings?.onMetrics(() => telemetry.ownMetrics());
  const late: { worker?: EventWorker } = {};
  const lag = async (): Promise<EventLag> => (await late.worker?.lag()) ?? { pending: 0, oldestMs: 0, deadLetters: 0 };
  const telemetry = createTelemetry({ level: settings.logLevel, sample: settings.accessLog.sample, lag, lines });
  const egress = createEgress({ policy: { loopback: settings.profile === "development", ports: EGRESS_PORTS } });
  closing.add(() => egress.close());
  const tenancy = await openTenancy(inputs, { keyring, egress, telemetry }, closing);
  const { data, vault, audit, registry, stores, worker, lifecycle } = tenancy;
  late.worker = worker;
  const limits = openLimits({ settings, siblings: inputs.siblings, telemetry });
  closing.add(() => limits.close());
  const identity = openIdentity(settings, keyring, registry, audit, egress, telemetry, limits);
  const models = await openModels({ data, vault, keyring, egress, audit, telemetry }, closing);
  const invoker = openInvoker({ egress, registry, limits, stores, audit, telemetry, modelGateway: models.modelGateway });
  closing.add(() => invoker.close());
  const limiter = createRateLimiter(systemClock);
  const channels = await openChannels({ ...tenancy, settings, keyring, identity, limiter, limits, invoker, egress, telemetry }, closing);
  const services: Services = {
    registry,
    identity,
    audit,
    worker,
    lifecycle,
    places: stores.places,
    resealColumns: () => resealAllColumns({ data, vault, registry }),
    keyring,
    vault,
    ...models,
    chat: createChat({ invoker, clock: systemClock, random: systemRandom }),
    channels,
    clock: systemClock,
    random: systemRandom,
    health: async () => healthOf(data),
    metrics: async () => await telemetry.metrics(await inputs.siblings?.metrics()),
    version: PROGRAM_VERSION,
  };
  await worker.start();
  closing.add(() => worker.close());
  lifecycle.start();
  openRetention({ registry, stores, ...models, report: telemetry.report }, closing);
  const live = createLiveRequests();
  endWithTenants(live, registry, telemetry);
  forgetSuspended(stores, registry, telemetry);
  const { modelGateway } = models;
  const rooms = { settings, identity, registry, lifecycle, audit, telemetry, live, limits, modelGateway };
  const gateway = await openGateway(inputs, rooms, closing);
  const { servers, pipeline } = await listen(settings, services, { stores, telemetry, limiter }, gateway, live);
  closing.add(async () => {
    pipeline.leave();
    await Promise.all(servers.flatMap((server) => (server ? [server.close(CLOSE_GRACE_MS)] : [])));
  });
  await identity.warm();
  const [main, admin, tls] = servers;
  return {
    url: main.url,
    tlsUrl: tls?.url,
    adminUrl: admin.url,
    services,
    stores,
    telemetry,
    reloadGateway: () => gateway.config.reload(),
    close: () => closing.run(),
  };
}

/** What the tenancy of an installation is opened with. */
interface TenancyPorts {
  readonly keyring: Keyring;
  readonly egress: Egress;
  readonly telemetry: Telemetry;
}

/** The stores, who the tenants are, and their life. What a restored backup has brought back is taken back before this returns. */
async function openTenancy(inputs: AppInputs, { keyring, egress, telemetry }: TenancyPorts, closing: Closing) {
  const { settings } = inputs;
  const { report } = telemetry;
  const storage = await openStorage({ settings, keyring, readVariable: inputs.readVariable, report }, (step) => closing.add(step));
  const { data, vault } = storage;
  await prepareTables(data, settings.profile, (message) => telemetry.log.warn(message));
  const journal = openJournal(settings, keyring);
  const embedder = createEmbedder(inputs, egress);
  const checkUrl = (url: string): void => void egress.check(url);
  const lookForStale = (scope: TenantScope): void => void askForReindex(scope).catch((error: unknown) => report(toFault(error)));
  const { audit, registry, stores } = await openTenants(
    { storage, keyring, embedder, report, checkUrl, notes: journal, lookForStale },
    (step) => closing.add(step),
  );
  const keyed = { data, vault, registry };
  const keeping = keepKeysCurrent({ ...keyed, resealColumns: (signal) => resealAllColumns(keyed, signal) }, telemetry);
  closing.add(() => keeping.stop());
  const worker = openWorker({ data, keyring, registry, audit, telemetry }, [indexUsers(stores), indexDocuments(stores)]);
  const beside = stores.lifecycles;
  const lifecycle = openLifecycle({ settings, data, keyring, embedder, registry, vault, beside, audit, journal, worker, report });
  closing.add(() => lifecycle.close());
  await carryOutJournal(lifecycle, telemetry.log);
  return { data, vault, audit, registry, stores, worker, lifecycle };
}

/** The document in force and what serves it. */
interface OpenGateway extends GatewayParts {
  readonly dataPlane: DataPlane;
}

/** What is proxied: the document in force, served by the data plane from now on, also when it changes. */
async function openGateway(
  inputs: AppInputs,
  rooms: DataPlaneRooms & { readonly lifecycle: Lifecycle },
  closing: Closing,
): Promise<OpenGateway> {
  const { registry, lifecycle, telemetry } = rooms;
  const { file, profile } = inputs.settings.gateway;
  const plane = openDataPlane(rooms);
  closing.add(() => plane.close());
  const config = await createGatewayConfig({
    profile,
    plugins: PLUGINS,
    file,
    objects: registry.gateway,
    variable: inputs.readVariable,
    storedVariables: inputs.settings.gateway.storedVariables,
    report: telemetry.report,
    warn: (message) => telemetry.log.warn(message),
  });
  closing.add(() => config.close());
  const tenants = new DocumentTenants({ registry, lifecycle, report: telemetry.report });
  const serve = async (document: GatewayDocument, fresh: boolean): Promise<void> => {
    await tenants.register(document);
    await plane.dataPlane.apply(document, { fresh });
  };
  config.onChange((document, { fresh }) => serve(document, fresh));
  await serve(config.current(), false);
  await config.announce();
  return { config, dataPlane: plane.dataPlane };
}

/** The listening ports: for callers, for operators, and for callers over TLS where that is wanted. */
type Ports = readonly [main: HttpServer, admin: HttpServer, tls?: HttpServer];

async function listen(
  settings: Settings,
  services: Services,
  { stores, telemetry, limiter }: { readonly stores: Stores; readonly telemetry: Telemetry; readonly limiter: RateLimiter },
  gateway: OpenGateway,
  live: LiveRequests,
): Promise<{ readonly servers: Ports; readonly pipeline: Pipeline }> {
  const pipeline = createPipeline({
    identity: services.identity,
    limiter,
    stores,
    audit: services.audit,
    clock: systemClock,
    random: systemRandom,
    observe: telemetry.observe,
    live,
    origins: settings.origins,
  });
  const routes = createRouteTable(services, gateway);
  const { platformFirst, profile, connectionsMax, tlsPort } = settings.gateway;
  const shared = {
    handler: pipeline.handlerFor(routes.main, {
      dataPlane: () => (isServing(gateway.config) ? gateway.dataPlane : undefined),
      platformFirst,
    }),
    // requests that are sent at once are begun one after the other there
    bounds: { connectionsMax, ...(profile === "apisix" && { pipelinedMax: 1 }) },
    methods: METHODS,
    ...(profile === "apisix" && { targets: "lenient" as const }),
  };
  const listening: HttpServer[] = [];
  const start = async (options: HttpServerOptions): Promise<HttpServer> => {
    const server = await createHttpServer(options);
    listening.push(server);
    return server;
  };
  try {
    const main = await start({ ...shared, host: settings.host, port: settings.port });
    // never on another address: metrics and set-up are for this machine (and whoever it lets in by its own means)
    const admin = await start({ host: "127.0.0.1", port: settings.adminPort, handler: pipeline.handlerFor(routes.admin) });
    if (tlsPort === undefined) return { servers: [main, admin], pipeline };
    const tls = await start({ ...shared, host: settings.host, port: tlsPort, tls: certificatesOf(gateway.config) });
    return { servers: [main, admin, tls], pipeline };
  } catch (error) {
    for (const server of listening) await server.close(0);
    throw error;
  }
}

/** While nothing is configured, everything is the platform's, and so is the word that something is not found. */
function isServing(config: GatewayConfig): boolean {
  const { routes, global_rules: rules } = config.current();
  return config.profile === "apisix" || routes.length > 0 || rules.size > 0;
}

/** Ends what is under way for a tenant as soon as this process knows that the tenant may no longer be served. */
function endWithTenants(live: LiveRequests, registry: Registry, { report }: Telemetry): void {
  const endIfNotServed = async ({ id, uuid }: Tenant): Promise<void> => {
    const now = await registry.find(id);
    // the name can have gone to another tenant
    if (now?.uuid !== uuid || (now.status !== "active" && now.status !== "moving")) live.stop(uuid);
  };
  registry.onTenantChange((ids) => {
    const changed = new Set(ids);
    for (const tenant of live.tenants().values())
      if (changed.has(tenant.id)) endIfNotServed(tenant).catch((error: unknown) => report(toFault(error)));
  });
}

/** What is cached of a tenant goes as soon as this process knows that it is suspended. */
function forgetSuspended(stores: Stores, registry: Registry, { report }: Telemetry): void {
  const forget = async (text: string): Promise<void> => {
    const id = parseTenantId(text);
    const tenant = id && (await registry.find(id));
    if (tenant?.status === "suspended") await stores.scope(asItself(tenant, tenant)).cache.clear();
  };
  registry.onTenantChange((ids) => {
    for (const text of ids) forget(text).catch((error: unknown) => report(toFault(error)));
  });
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

function healthOf(data: DataStore): HealthReport {
  const database = data.health();
  return { ok: database.ok, parts: { database: database.ok ? "ok" : database.reason } };
}
