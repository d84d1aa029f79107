import { request } from "undici";
import { Fault, type Json } from "../kernel/index.ts";

const TIMEOUT_MS = 60_000;

/** One call to a Freehold by its operator's own tools. */
export interface ApiCall {
  readonly url: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Without one the call is nobody's. */
  readonly token?: string;
  readonly body?: Json;
  /** Further fields. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The status and the JSON of the answer; null where it has no body. Throws `upstream_unreachable` with the address when nobody answers. */
export async function callApi({ url, method, token, body, headers }: ApiCall): Promise<{ readonly status: number; readonly body: Json }> {
  try {
    const response = await request(url, {
      method,
      headers: {
        ...headers,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    });
    const text = await response.body.text();
    return { status: response.statusCode, body: text === "" ? null : (JSON.parse(text) as Json) }; // JSON.parse gives nothing but Json
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Fault("upstream_unreachable", `${url}: ${reason}`, {
      cause,
      public: { detail: `${new URL(url).origin} does not answer: ${reason}.` },
    });
  }
}
