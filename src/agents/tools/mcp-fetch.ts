import type { StoreTenant } from "../../kernel/index.ts";
import type { Egress, EgressResponse } from "../../wire/index.ts";
import { upstreamInvalid } from "../upstream-invalid.ts";

/** What the library of the protocol calls out through. */
export type McpFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** Where and how long one server may be called for one answer. */
export interface McpLine {
  readonly egress: Egress;
  readonly tenant: StoreTenant;
  readonly url: URL;
  /** What goes along with each request. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Told of what ends it all: the library does not hear of streams that break off. */
  readonly onBroken: (reason: unknown) => void;
}

/** Bytes that are read of one server for one answer. */
const BYTES_MAX = 4 * 1024 * 1024;
/** Requests that one server gets for one answer: it can ask for more of them, by questions of its own. */
const REQUESTS_MAX = 64;
const METHODS = ["POST", "DELETE"] as const;

/**
 * Calls of one server for one answer through the guarded client: to its one address, over the tenant's own connections, within bounds. Redirects are
 * refused; a stream that would stay open for what the server has to say is not opened.
 */
export function createMcpFetch({ egress, tenant, url, headers, timeoutMs, onBroken }: McpLine): McpFetch {
  let requests = 0;
  let bytes = 0;

  async function* counted(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const piece of pieces) {
        bytes += piece.length;
        yield piece;
      }
    } catch (error) {
      onBroken(error);
      throw error;
    }
  }

  return async (target, init = {}) => {
    const method = METHODS.find((name) => name === init.method);
    if (method === undefined) return new Response(null, { status: 405 });
    if (new URL(target).href !== url.href) throw upstreamInvalid("The MCP server leads to another address, which is not followed.");
    if (++requests > REQUESTS_MAX) {
      const fault = upstreamInvalid(`The MCP server asked for more than ${REQUESTS_MAX} requests.`);
      onBroken(fault);
      throw fault;
    }
    const answer = await egress.request(tenant.id, {
      method,
      url: url.href,
      headers: { ...Object.fromEntries(new Headers(init.headers)), ...headers },
      ...(typeof init.body === "string" && { body: init.body }),
      timeoutMs,
      bytesMax: Math.max(0, BYTES_MAX - bytes),
      ...(init.signal && { signal: init.signal }),
    });
    return await toResponse(answer, counted(answer.body));
  };
}

async function toResponse({ status, headers }: EgressResponse, body: AsyncGenerator<Uint8Array, void, void>): Promise<Response> {
  const isRedirect = status >= 300 && status < 400;
  const isEmpty = status === 204 || status === 205;
  const isKnown = status >= 200 && status < 600;
  if (isKnown && !isRedirect && !isEmpty) return new Response(ReadableStream.from(body), { status, headers });
  await body.return();
  if (isRedirect) throw upstreamInvalid("The MCP server answered with a redirect, which is not followed.");
  if (!isKnown) throw upstreamInvalid(`The MCP server answered with status ${status}.`);
  return new Response(null, { status, headers });
}
