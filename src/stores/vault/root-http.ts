import { Fault } from "../../kernel/index.ts";

/** A call to a key management service. */
export interface RootCall {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

/** Sends a call, signed where the service wants that, and gives the answer whatever its status. */
export type SendToRoot = (call: RootCall) => Promise<{ readonly status: number; readonly body: Uint8Array }>;

const BOUNDS = { timeoutMs: 5_000, bytesMax: 64 * 1024 };

/**
 * The JSON object that the service answers with 200. Every other outcome is `dependency_unavailable`: the name of the service's own error
 * goes into the message, never a body, which could repeat what was sent.
 */
export async function callRoot(send: SendToRoot, call: Omit<RootCall, keyof typeof BOUNDS>): Promise<Readonly<Record<string, unknown>>> {
  const answer = await send({ ...call, ...BOUNDS }).catch((error: unknown) => {
    throw unavailable("the key management service does not answer", error);
  });
  const body = parse(answer.body);
  if (answer.status === 200 && body) return body;
  const type = typeof body?.["__type"] === "string" ? body["__type"].replaceAll(/[^\w.#]/g, "").slice(0, 100) : "";
  throw unavailable(`the key management service answered ${answer.status} ${type}`.trim());
}

/** The text in this field of an answer. */
export function textOf(answer: Readonly<Record<string, unknown>>, field: string): string {
  const value = answer[field];
  if (typeof value !== "string" || value === "") throw unavailable(`the answer of the key management service has no ${field}`);
  return value;
}

/** A fault of a root key that cannot be used now. */
export function unavailable(message: string, cause?: unknown): Fault {
  const detail = "The key management service cannot be reached or refuses its key.";
  return new Fault("dependency_unavailable", message, { cause, public: { detail, retryAfterMs: 1_000 } });
}

function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // no JSON: the status alone says what happened
  }
}
