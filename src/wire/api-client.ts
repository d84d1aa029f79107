import { type Dispatcher, request } from "undici";
import { Fault, type Json } from "../kernel/index.ts";

const TIMEOUT_MS = 60_000;

/** One call to a Freehold by its operator's own tools. */
export interface ApiCall {
  readonly url: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Without one the call is nobody's. */
  readonly token?: string;
  readonly body?: Json;
  /** Sent as they are, in place of a body. */
  readonly bytes?: Uint8Array;
  /** Further fields. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The status and the JSON of the answer; null where it has no body. Throws `upstream_unreachable` with the address when no whole answer comes. */
export async function callApi(call: ApiCall): Promise<{ readonly status: number; readonly body: Json }> {
  let begun = false;
  try {
    const response = await send(call);
    begun = true;
    const text = await response.body.text();
    return { status: response.statusCode, body: text === "" ? null : (JSON.parse(text) as Json) }; // JSON.parse gives nothing but Json
  } catch (cause) {
    throw unreachable(call.url, cause, begun);
  }
}

/**
 * The bytes of a large answer as they come; or, where the status is no success, the JSON of the problem. Throws `upstream_unreachable` when
 * nobody answers, and out of the bytes when they break off.
 */
export async function downloadFromApi(call: ApiCall): Promise<{ readonly bytes: AsyncIterable<Uint8Array> } | { readonly problem: Json }> {
  try {
    const response = await send(call);
    if (response.statusCode < 300) return { bytes: bytesOf(call.url, response.body) };
    return { problem: (await response.body.json()) as Json }; // a problem is JSON
  } catch (cause) {
    throw unreachable(call.url, cause);
  }
}

async function* bytesOf(url: string, body: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body) yield piece as Uint8Array; // it has no encoding
  } catch (cause) {
    throw unreachable(url, cause, true);
  }
}

async function send({ url, method, token, body, bytes, headers }: ApiCall): Promise<Dispatcher.ResponseData> {
  return await request(url, {
    method,
    headers: {
      ...headers,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(bytes !== undefined && { "content-type": "application/octet-stream" }),
    },
    body: bytes ?? (body === undefined ? null : JSON.stringify(body)),
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
  });
}

function unreachable(url: string, cause: unknown, begun = false): Fault {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Fault("upstream_unreachable", `${url}: ${reason}`, {
    cause,
    public: { detail: `${new URL(url).origin} ${begun ? "gave no whole answer" : "does not answer"}: ${reason}.` },
  });
}
