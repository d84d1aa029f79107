import { Fault, type Json, parseJson, type StoreTenant } from "../../kernel/index.ts";
import type { Egress, EgressRequest } from "../../wire/index.ts";

/** One call to a platform. */
export interface PlatformRequest extends Pick<EgressRequest, "method" | "url" | "headers" | "body"> {
  readonly signal?: AbortSignal;
}

/** What a platform answered. */
export interface PlatformAnswer {
  readonly status: number;
  /** Undefined when it is no JSON. */
  readonly body: Json | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** Calls to a platform's API, over connections that are the tenant's own. Throws what the guarded client throws; an answer is an answer. */
export type PlatformApi = (tenant: StoreTenant, request: PlatformRequest) => Promise<PlatformAnswer>;

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 256 * 1024;
const RETRY_MS_MAX = 30_000;

/** Platforms through the guarded client. */
export function createPlatformApi(egress: Egress): PlatformApi {
  return async (tenant, { signal, ...request }) => {
    const response = await egress.request(tenant.id, {
      ...request,
      timeoutMs: TIMEOUT_MS,
      bytesMax: ANSWER_BYTES_MAX,
      ...(signal && { signal }),
    });
    const bytes = await response.bytes();
    return { status: response.status, headers: response.headers, body: readAnswer(bytes) };
  };
}

/** Throws what is worth another try: the platform is busy, or broken. */
export function assertUsable(platform: string, { status, headers }: PlatformAnswer): void {
  if (status === 429) {
    const seconds = Number(headers["retry-after"] ?? "1");
    const retryAfterMs = Math.min(RETRY_MS_MAX, Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds * 1000)) : 1_000);
    throw new Fault("rate_limited", `${platform} asks to wait ${retryAfterMs} ms`, { public: { retryAfterMs } });
  }
  if (status >= 500) throw new Fault("upstream_invalid", `${platform} answered ${status}`);
}

/** The fault of a value that a tenant has given. */
export function invalidChannel(field: string, detail: string): Fault {
  return new Fault("invalid_settings", detail, { public: { detail, field } });
}

function readAnswer(bytes: Uint8Array): Json | undefined {
  try {
    return parseJson(bytes, { bytesMax: ANSWER_BYTES_MAX, depthMax: 32 });
  } catch {
    return undefined; // some answers are plain text, and what is not JSON says nothing
  }
}
