/** Tokens of one answer. Those of the prompt that came from the provider's cache or went into it are part of the input. */
export interface TokenUsage {
  readonly input: number;
  readonly output: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
}

/** More than this in one answer is no count. */
const TOKENS_MAX = 20_000_000;

/** Nothing used. */
export const NO_USAGE: TokenUsage = { input: 0, output: 0, cachedInput: 0, cacheWrite: 0 };

/** What a provider says was used: a count, or something that cannot be one, or nothing. */
export type ReportedUsage =
  | { readonly kind: "counted"; readonly usage: TokenUsage }
  | { readonly kind: "rejected"; readonly reason: string }
  | { readonly kind: "missing" };

type Fields = Readonly<Record<string, unknown>>;

/** The usage of OpenAI's protocols: `prompt_tokens` and `completion_tokens`, or `input_tokens` and `output_tokens`. */
export function readOpenaiUsage(value: unknown): ReportedUsage {
  if (!isFields(value)) return { kind: value === undefined || value === null ? "missing" : "rejected", reason: "no object" };
  const details = value["prompt_tokens_details"] ?? value["input_tokens_details"];
  return check({
    input: value["prompt_tokens"] ?? value["input_tokens"],
    // embeddings have no answer to count
    output: value["completion_tokens"] ?? value["output_tokens"] ?? 0,
    cachedInput: isFields(details) ? (details["cached_tokens"] ?? 0) : 0,
    cacheWrite: 0,
  });
}

/** The usage of Anthropic's protocol, whose `input_tokens` do not count what the cache took or gave. */
export function readAnthropicUsage(value: unknown): ReportedUsage {
  if (!isFields(value)) return { kind: value === undefined || value === null ? "missing" : "rejected", reason: "no object" };
  const [plain, written, read] = [value["input_tokens"], value["cache_creation_input_tokens"] ?? 0, value["cache_read_input_tokens"] ?? 0];
  const whole = [plain, written, read].every(isCount) ? Number(plain) + Number(written) + Number(read) : plain;
  return check({ input: whole, output: value["output_tokens"], cachedInput: read, cacheWrite: written });
}

/** The usage of Bedrock's Converse, whose `inputTokens` do not count what the cache took or gave. */
export function readConverseUsage(value: unknown): ReportedUsage {
  if (!isFields(value)) return readAnthropicUsage(value);
  return readAnthropicUsage({
    input_tokens: value["inputTokens"],
    output_tokens: value["outputTokens"],
    cache_creation_input_tokens: value["cacheWriteInputTokens"],
    cache_read_input_tokens: value["cacheReadInputTokens"],
  });
}

function check({ input, output, cachedInput, cacheWrite }: Readonly<Record<keyof TokenUsage, unknown>>): ReportedUsage {
  for (const [name, count] of Object.entries({ input, output, cachedInput, cacheWrite })) {
    if (!isCount(count)) return { kind: "rejected", reason: `${name} is no count of tokens` };
  }
  const usage = { input: Number(input), output: Number(output), cachedInput: Number(cachedInput), cacheWrite: Number(cacheWrite) };
  if (usage.cachedInput + usage.cacheWrite > usage.input) return { kind: "rejected", reason: "more of the cache than of the prompt" };
  return { kind: "counted", usage };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= TOKENS_MAX;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
