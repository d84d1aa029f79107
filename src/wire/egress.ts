import { validateHeaderName, validateHeaderValue } from "node:http";
import type { LookupFunction } from "node:net";
import { type Dispatcher, errors, Pool } from "undici";
import { BoundedMap, Fault, type TenantId } from "../kernel/index.ts";
import { type EgressSocketRequest, openEgressSocket } from "./egress-socket.ts";
import { denied, type EgressPolicy, parseEgressUrl } from "./egress-url.ts";
import { createCheckedAddresses, createGuardedLookup, createLookup, type Lookup } from "./lookup.ts";
import type { OwnWebSocket } from "./websocket.ts";

/** One request to an address that a tenant has set. */
export interface EgressRequest {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly url: string;
  /** The fields of the connection and the framing, and Host, may not be among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** For the whole exchange: name, connection, answer and its body. */
  readonly timeoutMs: number;
  /** The most that is read of the answer's body. */
  readonly bytesMax: number;
  /** Ends the exchange; its reason is what is thrown then. */
  readonly signal?: AbortSignal;
}

/** The answer, whatever its status. Redirects are answers like others: they are never followed. */
export interface EgressResponse {
  readonly status: number;
  /** Lower-case names; a repeated field is joined with a comma. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body, once. It holds a connection until it is read, left or out of time. Throws `upstream_invalid` over `bytesMax`, `upstream_timeout`, `upstream_unreachable`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** The whole body, instead of `body`. */
  bytes(): Promise<Uint8Array>;
}

/** The one way out to an address that a tenant may set. */
export interface Egress {
  /** The URL as it would be called. Throws `egress_denied`; `public.detail` says why in general words. */
  check(url: string): URL;
  /**
   * An address of this URL's host, for connections that are made elsewhere: it was checked, and whoever connects to it and not to the name keeps
   * to the guard. Kept for a moment. Throws `egress_denied` and `upstream_unreachable`.
   */
  resolve(url: URL): Promise<string>;
  /**
   * Calls the address over connections that no other tenant uses. Throws `egress_denied`, `upstream_unreachable`, `upstream_timeout`,
   * `upstream_invalid`, and `overloaded` when too many requests of the tenant wait for this address.
   */
  request(tenant: TenantId | "platform", request: EgressRequest): Promise<EgressResponse>;
  /** Opens a WebSocket, under the same guard. Throws `egress_denied`, `upstream_unreachable`, and the signal's reason, which ends it at any time. */
  openSocket(request: EgressSocketRequest): Promise<OwnWebSocket>;
  /** Ends all connections, also those in use. */
  close(): Promise<void>;
}

/** What the guarded client is made of. */
export interface EgressOptions {
  readonly policy: EgressPolicy;
  /** Where names are resolved; the DNS servers of the system when absent. */
  readonly lookup?: Lookup;
  /** Pairs of tenant and origin whose connections are kept. */
  readonly poolsMax?: number;
}

/** Pairs of tenant and origin whose connections are kept at most. */
const POOLS_MAX = 1_000;
/** Connections of one tenant to one origin. */
export const POOL_CONNECTIONS_MAX = 32;
/** Requests of one tenant that wait for a connection to one origin. */
export const POOL_WAITING_MAX = 256;

const CONNECT_TIMEOUT_MS = 10_000;
const RESPONSE_HEADER_BYTES_MAX = 16 * 1024;
/** How long an unused connection is kept, whatever the other side offers. */
const KEEP_ALIVE_MS = 4_000;
const KEEP_ALIVE_MAX_MS = 30_000;

/** Fields by which a caller could choose another virtual host, another framing or a proxy's behaviour. */
const FORBIDDEN_FIELDS: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The guarded client. It knows no proxy settings, cookies, redirects, retries, compression or HTTP/2. */
export function createEgress(options: EgressOptions): Egress {
  const { policy } = options;
  const addresses = options.lookup ?? createLookup();
  const lookup = createGuardedLookup(addresses, policy);
  // an evicted pool lets its requests end; whatever goes wrong then has been told to those who made them
  const pools = new BoundedMap<string, Pool>(options.poolsMax ?? POOLS_MAX, (_key, pool) => void pool.close().catch(() => pool.destroy()));
  // destroying a pool leaves the connections that are still being made
  const closing = new AbortController();
  const poolOf = (tenant: string, origin: string): Pool => {
    const key = JSON.stringify([tenant, origin]);
    const pool = pools.get(key) ?? createPool(origin, lookup, closing.signal);
    pools.set(key, pool);
    return pool;
  };
  return {
    check: (url) => parseEgressUrl(url, policy),
    resolve: createCheckedAddresses(addresses, policy),
    async request(tenant, request) {
      const url = parseEgressUrl(request.url, policy);
      if (closing.signal.aborted) throw new Fault("dependency_unavailable", "the egress client is closed");
      return await call(poolOf(tenant, url.origin), url, request);
    },
    openSocket: (request) => openEgressSocket({ ...request, signal: AbortSignal.any([request.signal, closing.signal]) }, policy, lookup),
    async close() {
      closing.abort();
      const open = [...pools.entries()].map(([, pool]) => pool.destroy());
      pools.clear();
      await Promise.all(open);
    },
  };
}

function createPool(origin: string, lookup: LookupFunction, signal: AbortSignal): Pool {
  return new Pool(origin, {
    connections: POOL_CONNECTIONS_MAX,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    // the whole exchange has one time limit, kept by call()
    headersTimeout: 0,
    bodyTimeout: 0,
    // rejectUnauthorized is said, so that NODE_TLS_REJECT_UNAUTHORIZED cannot take it away
    connect: { lookup, signal, timeout: CONNECT_TIMEOUT_MS, rejectUnauthorized: true },
  });
}

async function call(pool: Pool, url: URL, request: EgressRequest): Promise<EgressResponse> {
  const headers = toHeaders(request.headers);
  if (pool.stats.queued >= POOL_WAITING_MAX) throw new Fault("overloaded", `${POOL_WAITING_MAX} requests wait for ${url.origin}`);
  const limit = new TimeLimit(request.timeoutMs, request.signal);
  try {
    const path = `${url.pathname}${url.search}`;
    const asked = pool.request({ method: request.method, path, headers, body: request.body ?? null, signal: limit.signal });
    const answer = await limit.race(asked);
    return toResponse(answer, request.bytesMax, limit);
  } catch (error) {
    limit.end();
    throw toEgressError(error, limit);
  }
}

function toHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  for (const [name, value] of Object.entries(given)) {
    if (FORBIDDEN_FIELDS.has(name.toLowerCase())) throw denied(`The header field ${name.toLowerCase()} may not be set.`);
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch (cause) {
      throw new Fault("egress_denied", "a header field that is not valid", { public: { detail: "A header field is not valid." }, cause });
    }
    headers[name] = value;
  }
  return headers;
}

function toResponse(answer: Dispatcher.ResponseData, bytesMax: number, limit: TimeLimit): EgressResponse {
  // told to whoever reads the body; without a listener it would end the process when nobody does
  answer.body.on("error", () => limit.end());
  const headers = fromHeaders(answer.headers);
  const reason = unusable(headers, bytesMax);
  if (reason !== undefined) {
    answer.body.destroy();
    throw new Fault("upstream_invalid", reason);
  }
  const body = readBounded(answer.body, bytesMax, limit);
  return { status: answer.statusCode, headers, body, bytes: () => concat(body) };
}

function fromHeaders(headers: Dispatcher.ResponseData["headers"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]),
  );
}

/** Why the answer cannot be used, known from its head. A compressed body could unpack to any size, and identity was asked for. */
function unusable(headers: Readonly<Record<string, string>>, bytesMax: number): string | undefined {
  const coding = headers["content-encoding"];
  if (coding !== undefined && coding.toLowerCase() !== "identity") return `content-encoding ${coding}`;
  return Number(headers["content-length"] ?? 0) > bytesMax ? `an answer over ${bytesMax} bytes` : undefined;
}

async function* readBounded(body: AsyncIterable<Uint8Array>, bytesMax: number, limit: TimeLimit): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const piece of body) {
      bytes += piece.length;
      if (bytes > bytesMax) throw new Fault("upstream_invalid", `an answer over ${bytesMax} bytes`);
      yield piece;
    }
  } catch (error) {
    throw toEgressError(error, limit);
  } finally {
    limit.end();
  }
}

async function concat(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The time limit of one exchange, joined with the caller's own signal. */
class TimeLimit {
  readonly signal: AbortSignal;
  readonly caller: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(timeoutMs: number, caller: AbortSignal | undefined) {
    caller?.throwIfAborted();
    const own = new AbortController();
    this.caller = caller;
    this.signal = caller ? AbortSignal.any([own.signal, caller]) : own.signal;
    this.#timer = setTimeout(() => own.abort(new Fault("upstream_timeout", `no whole answer within ${timeoutMs} ms`)), timeoutMs);
  }

  /** The result, unless the limit is reached before: undici looks at a signal only once the request has a connection. */
  async race<T>(result: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const stop = (): void => reject(this.signal.reason);
    this.signal.addEventListener("abort", stop, { once: true });
    try {
      return await Promise.race([result, promise]);
    } finally {
      this.signal.removeEventListener("abort", stop);
    }
  }

  /** The exchange is over: nothing keeps waiting for its limit. */
  end(): void {
    clearTimeout(this.#timer);
  }
}

function toEgressError(error: unknown, limit: TimeLimit): unknown {
  if (limit.signal.aborted) return limit.signal.reason; // the Fault of the time limit, or the caller's own reason
  if (error instanceof Fault) return error;
  const { code = "", message = String(error) } = error as { code?: string; message?: string }; // any Error, for its optional code
  if (TIMEOUT_CODES.has(code)) return new Fault("upstream_timeout", message, { cause: error });
  const invalid = error instanceof errors.HTTPParserError || INVALID_CODES.has(code);
  return new Fault(invalid ? "upstream_invalid" : "upstream_unreachable", `${code} ${message}`.trim(), { cause: error });
}

const TIMEOUT_CODES: ReadonlySet<string> = new Set(["UND_ERR_CONNECT_TIMEOUT", "ETIMEDOUT"]);
const INVALID_CODES: ReadonlySet<string> = new Set(["UND_ERR_HEADERS_OVERFLOW", "UND_ERR_RES_CONTENT_LENGTH_MISMATCH"]);
