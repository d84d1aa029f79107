import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { randomBytes } from "node:crypto";
import { type AccessRecord, createDataPlane, createLiveRequests, type DataPlane, type DataPlanePorts } from "../../src/gateway/index.ts";
import { parseGatewayDocument } from "../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../src/gateway/plugins/index.ts";
import type { Plugin, Profile } from "../../src/gateway/proxy/plugin.ts";
import { createKeyring, createTenantContext, Fault, systemClock, systemRandom, type Tenant } from "../../src/kernel/index.ts";
import type { AuditEvent } from "../../src/tenancy/audit/index.ts";
import { createIdentity, createSigningKey, type Identity, identitySettings } from "../../src/tenancy/identity/index.ts";
import { createFailureCounter } from "../../src/cli/open-identity.ts";
import { createFairQueue, createLimits } from "../../src/tenancy/limits/index.ts";
import { createHttpServer, createUpstreamPool, type HttpServer, type HttpServerOptions, probe } from "../../src/wire/index.ts";
import { tenantOf } from "./tenants.ts";

/** Where to leave what must be closed when the test is over: a test context, or the `after` of a suite. */
export interface Ending {
  after(close: () => Promise<void> | void): void;
}

/** One request as it reached an upstream. */
export interface Received {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** A server that answers 200 with what it received as JSON, unless the test says otherwise. */
export interface Echo {
  readonly port: number;
  /** `127.0.0.1:port`, as a node is written. */
  readonly node: string;
  readonly received: Received[];
  /** Answers instead of the echo. */
  answer: ((received: Received, response: ServerResponse) => void) | undefined;
  close(): Promise<void>;
}

/** An upstream of its own for one test. */
export async function startEcho(ending: Ending): Promise<Echo> {
  const received: Received[] = [];
  const server = createServer((message, response) => {
    const pieces: Buffer[] = [];
    message.on("data", (piece: Buffer) => pieces.push(piece));
    message.on("end", () => {
      const { method = "", url: target = "", headers, rawHeaders } = message;
      const one: Received = { method, target, headers, rawHeaders, body: Buffer.concat(pieces).toString("utf8") };
      received.push(one);
      if (echo.answer) echo.answer(one, response);
      else response.writeHead(200, { "content-type": "application/json", "x-echo": String(echo.port) }).end(JSON.stringify(one));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // it listens on TCP
  const echo: Echo = {
    port,
    node: `127.0.0.1:${port}`,
    received,
    answer: undefined,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  let closed = false;
  const close = echo.close;
  echo.close = async () => {
    if (!closed) await close();
    closed = true;
  };
  ending.after(() => echo.close());
  return echo;
}

/** How a data plane under test differs from the usual one. */
export interface PlaneOptions {
  readonly profile?: Profile;
  readonly plugins?: readonly Plugin[];
  /** Names of active tenants, or whole ones; `acme` and `globex` when nothing is said. */
  readonly tenants?: readonly (string | Tenant)[];
  /** By the profile when nothing is said. */
  readonly resolverRequired?: boolean;
  readonly trustedAddresses?: readonly string[];
  /** Failed credentials per address and minute; as good as none when nothing is said. */
  readonly failuresMax?: number;
  readonly ports?: Partial<DataPlanePorts>;
  /** Bounds of the port, or its certificates. */
  readonly server?: Partial<HttpServerOptions>;
}

/** One answer as it came back. */
export interface PlaneReply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly text: string;
  json(): Record<string, unknown>;
  /** The answer of the echo: what it received. */
  echoed(): Received;
}

/** What is sent besides method and path. */
export interface PlaneRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  /** Adds the development token of a user of this tenant. */
  readonly as?: string;
  readonly localAddress?: string;
}

/** A running data plane on a port of its own. */
export interface TestPlane {
  readonly plane: DataPlane;
  readonly url: string;
  readonly port: number;
  readonly identity: Identity;
  readonly tenants: Map<string, Tenant>;
  readonly records: AccessRecord[];
  readonly warnings: string[];
  readonly audits: AuditEvent[];
  /** Checks and serves a document as it is written. */
  apply(document: unknown, options?: { readonly fresh?: boolean }): Promise<readonly string[]>;
  send(path: string, request?: PlaneRequest): Promise<PlaneReply>;
  /** Sends bytes on a connection of their own and gives everything that came back until it closed. */
  raw(bytes: string): Promise<string>;
}

/** A data plane that serves this document through the wire's own server, with a real identity, real limits and a real pool. */
export async function startPlane(ending: Ending, document: unknown, options: PlaneOptions = {}): Promise<TestPlane> {
  const { profile = "strict", plugins = PLUGINS } = options;
  const tenants = new Map(
    (options.tenants ?? ["acme", "globex"]).map((tenant) => toTenant(tenant)).map((tenant) => [tenant.id as string, tenant]),
  );
  const records: AccessRecord[] = [];
  const warnings: string[] = [];
  const audits: AuditEvent[] = [];
  const identity = createTestIdentity(tenants, audits, options.failuresMax ?? 1_000_000);
  const limits = createLimits({ clock: systemClock });
  const pool = createUpstreamPool();
  const ports: DataPlanePorts = {
    profile,
    plugins,
    clock: systemClock,
    random: systemRandom,
    limits,
    fairQueue: ({ concurrency, queue, deadline_ms: deadlineMs }) =>
      createFairQueue({ concurrency, queueMax: queue, deadlineMs, clock: systemClock }),
    pool,
    resolverRequired: options.resolverRequired ?? profile === "strict",
    trustedAddresses: options.trustedAddresses ?? [],
    identify: (head, requestId) => identity.identify(head, requestId, NO_TRACE),
    findTenant: (id) => tenants.get(id),
    contextOf,
    signContext: (context, audience) => identity.signContext(context, audience),
    claimedTenant: () => undefined,
    noteFailure: (address) => identity.noteFailure(address),
    live: createLiveRequests(),
    fetch: fetchPlain,
    probe,
    audit: { record: (event) => void audits.push(event) },
    warn: (message) => void warnings.push(message),
    observe: (record) => void records.push(record),
    ...options.ports,
  };
  const plane = createDataPlane(ports);
  const server = await createHttpServer({
    host: "127.0.0.1",
    port: 0,
    handler: { handle: (exchange) => plane.handle(exchange), upgrade: (exchange) => plane.upgrade(exchange), refuse },
    methods: METHODS,
    ...LENIENT[profile],
    ...options.server,
  });
  ending.after(async () => {
    await server.close(0);
    await plane.close();
    pool.close();
    await limits.close();
  });
  const apply: TestPlane["apply"] = async (next, how) => {
    const parsed = parseGatewayDocument(next, { profile, plugins });
    await plane.apply(parsed.document, how);
    return parsed.warnings;
  };
  warnings.push(...(await apply(document)));
  return {
    plane,
    ...addressOf(server),
    identity,
    tenants,
    records,
    warnings,
    audits,
    apply,
    send: sender(server),
    raw: rawSender(server),
  };
}

/** Those of every server and PURGE, with which callers empty their part of a cache. */
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]);
const NO_TRACE = { traceId: "0".repeat(31) + "1", spanId: "0".repeat(15) + "1", sampled: false };
const LENIENT = { strict: {}, apisix: { targets: "lenient" } } as const;

const contextOf: DataPlanePorts["contextOf"] = (tenant, consumer, requestId) =>
  createTenantContext({
    tenant,
    principal: { realm: "tenant", kind: "api_key", id: consumer, roles: ["member"], scopes: [] },
    provedBy: "api_key",
    requestId,
    trace: NO_TRACE,
  });

function toTenant(tenant: string | Tenant): Tenant {
  return typeof tenant === "string" ? tenantOf(tenant) : tenant;
}

function createTestIdentity(tenants: ReadonlyMap<string, Tenant>, audits: AuditEvent[], failuresMax: number): Identity {
  const settings = identitySettings.parse({
    profile: "development",
    developmentToken: true,
    baseDomains: ["api.example.com"],
    failedCredentials: { max: failuresMax },
  });
  return createIdentity(settings, {
    clock: systemClock,
    keyring: createKeyring(randomBytes(32)),
    findTenant: (id) => tenants.get(id),
    findKey: () => undefined,
    hasChannel: () => false,
    tenantOfHost: () => undefined,
    fetchBytes: () => Promise.reject(new Fault("upstream_unreachable", "no issuer has keys to fetch")),
    keySetFailed: () => undefined,
    countFailure: createFailureCounter(createLimits({ clock: systemClock })),
    audit: ({ actorTenant, claimedTenant, remoteAddress, ...event }) => {
      const found = actorTenant === null ? undefined : tenants.get(actorTenant);
      const actor = found ? { id: found.id, uuid: found.uuid } : null;
      audits.push({ ...event, source: remoteAddress, targetTenant: claimedTenant, actorTenant: actor });
    },
    signingKey: createSigningKey(),
  });
}

function refuse(fault: Fault): { status: number; headers: Record<string, string>; body: string } {
  return { status: fault.status, headers: { "content-type": "text/plain", ...fault.public.headers }, body: fault.code };
}

function addressOf(server: HttpServer): { readonly url: string; readonly port: number } {
  return { url: server.url, port: Number(new URL(server.url).port) };
}

function sender(server: HttpServer): TestPlane["send"] {
  const { port } = addressOf(server);
  return async (path, { method = "GET", headers = {}, body, as, localAddress } = {}) => {
    const credential = as === undefined ? {} : { authorization: `Bearer ${as}:user-1` };
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const all = { ...credential, ...length, ...headers };
    const outgoing = request({ host: "127.0.0.1", port, method, path, headers: all, agent: false, localAddress });
    outgoing.end(body);
    const [response] = (await once(outgoing, "response")) as [IncomingMessage]; // the event's only argument
    const pieces = (await response.toArray()) as Buffer[]; // no encoding is set
    const text = Buffer.concat(pieces).toString("utf8");
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      rawHeaders: response.rawHeaders,
      text,
      json: () => JSON.parse(text) as Record<string, unknown>,
      echoed: () => JSON.parse(text) as Received,
    };
  };
}

function rawSender(server: HttpServer): TestPlane["raw"] {
  const { port } = addressOf(server);
  return async (bytes) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.write(Buffer.from(bytes, "latin1"));
    const pieces: Buffer[] = [];
    try {
      for await (const piece of socket) pieces.push(piece as Buffer); // no encoding is set
    } catch (error) {
      // a refused request may end in a reset: what came before it counts
      if (!(error instanceof Error && "code" in error && error.code === "ECONNRESET")) throw error;
    }
    return Buffer.concat(pieces).toString("latin1");
  };
}

/** Calls of plugins to addresses that the operator has configured. */
const fetchPlain: DataPlanePorts["fetch"] = async ({ method, url, headers, body, timeoutMs, bytesMax }) => {
  const outgoing = request(url, { method, headers, agent: false, signal: AbortSignal.timeout(timeoutMs) });
  outgoing.end(body);
  try {
    const [response] = (await once(outgoing, "response")) as [IncomingMessage]; // the event's only argument
    const whole = Buffer.concat((await response.toArray()) as Buffer[]); // no encoding is set
    if (whole.length > bytesMax) throw new Fault("upstream_invalid", "too large");
    const fields = Object.entries(response.headersDistinct).map(([name, values]) => [name, values ?? []] as const);
    return { status: response.statusCode ?? 0, headers: Object.fromEntries(fields), body: whole };
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault(outgoing.destroyed && String(error).includes("Timeout") ? "upstream_timeout" : "upstream_unreachable", String(error));
  }
};
