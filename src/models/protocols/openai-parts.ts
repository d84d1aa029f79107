/** Fields of callers that mean something to OpenAI and its kin. */
export const OPENAI_FIELDS = ["accept", "openai-beta", "idempotency-key", "x-client-request-id"] as const;

/** Names that callers of OpenAI and its kin give; the last is the one of vLLM. */
export const OPENAI_NAMES = ["prompt_cache_key", "safety_identifier", "user", "cache_salt"] as const;

/** The object in an event, or undefined when there is none. */
export function parseData(data: string): Readonly<Record<string, unknown>> | undefined {
  if (data === "") return undefined;
  try {
    const value: unknown = JSON.parse(data);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined; // it goes on to the caller as it came, who will say so
  }
}

/** Whether a value is an object with members. */
export function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names of members whose text is no part of an answer. */
const NO_TEXT: ReadonlySet<string> = new Set(["role", "type", "id", "index"]);
const DEPTH_MAX = 8;

/** Bytes of all text in a piece of an answer, wherever the provider has put it: content, reasoning, arguments of tools. */
export function textBytes(value: unknown, depth = 0): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return 0;
  let bytes = 0;
  for (const [name, each] of Object.entries(value)) if (!NO_TEXT.has(name)) bytes += textBytes(each, depth + 1);
  return bytes;
}
