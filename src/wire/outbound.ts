import { Agent, type Dispatcher } from "undici";
import { Fault } from "../kernel/index.ts";

/** One request to an address that the operator has set. */
export interface OutboundRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** For the whole exchange. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
  /** Whether the certificate is checked. */
  readonly verify: boolean;
}

/** The answer, whatever its status. */
export interface OutboundResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array;
}

/** Calls to services of the operator's own: any address, since whoever sets it runs the installation. Never for what a tenant sets. */
export interface Outbound {
  /** Redirects are not followed. Throws `upstream_unreachable`, `upstream_timeout` and `upstream_invalid`. */
  fetch(request: OutboundRequest): Promise<OutboundResponse>;
  close(): Promise<void>;
}

const KEEP_ALIVE_MS = 4_000;
/** Made by the connection. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "expect",
]);

/** A client with its own connections. */
export function createOutbound(): Outbound {
  const agents = [true, false].map((verify) => new Agent({ keepAliveTimeout: KEEP_ALIVE_MS, connect: { rejectUnauthorized: verify } }));
  const [checking, trusting] = agents;
  return {
    async fetch(request) {
      const { method, url, headers, body, timeoutMs, bytesMax, verify } = request;
      const signal = AbortSignal.timeout(timeoutMs);
      const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_FIELDS.has(name.toLowerCase())));
      const { origin, pathname, search } = new URL(url);
      try {
        const answer = await (verify ? checking : trusting)?.request({
          origin,
          path: `${pathname}${search}`,
          method,
          headers: sent,
          body: body ?? null,
          signal,
          headersTimeout: 0,
          bodyTimeout: 0,
        });
        if (!answer) throw new Fault("internal", "no client");
        return { status: answer.statusCode, headers: definedOf(answer.headers), body: await readAll(answer.body, bytesMax) };
      } catch (error) {
        if (error instanceof Fault) throw error;
        if (signal.aborted) throw new Fault("upstream_timeout", `no whole answer within ${timeoutMs} ms`);
        throw new Fault("upstream_unreachable", error instanceof Error ? error.message : String(error), { cause: error });
      }
    },
    async close() {
      await Promise.all(agents.map((agent) => agent.destroy()));
    },
  };
}

function definedOf(headers: Dispatcher.ResponseData["headers"]): Record<string, string | readonly string[]> {
  return Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

async function readAll(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > bytesMax) throw new Fault("upstream_invalid", `an answer over ${bytesMax} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
