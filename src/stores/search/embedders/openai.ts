import { Fault, type Json, parseJson, type Secret } from "../../../kernel/index.ts";
import { DIMENSIONS_MAX, type Embedder, toUnitLength } from "../embedder.ts";

/** A model behind an OpenAI-compatible `/v1/embeddings`. */
export interface OpenAiEmbedderSettings {
  /** The base address, up to and including `/v1`. */
  readonly url: string;
  readonly model: string;
  readonly apiKey?: Secret;
  /** The dimensions that the model's vectors have; an answer with another number is refused. */
  readonly dimensions: number;
  /** Asks the server for vectors of `dimensions`, where the model can give shorter ones. Many servers refuse a request that says so. */
  readonly requestDimensions?: boolean;
  /** For one request of at most 64 texts; 30 seconds when absent. */
  readonly timeoutMs?: number;
}

/** What the embedder needs of the guarded HTTP client. Throws `upstream_timeout` and whatever else that client refuses with. */
export interface EmbedderPorts {
  post(
    url: string,
    headers: Readonly<Record<string, string>>,
    body: string,
    timeoutMs: number,
    bounds: { readonly bytesMax: number; readonly signal?: AbortSignal },
  ): Promise<{ readonly status: number; readonly bytes: Uint8Array }>;
}

/** Texts in one request. */
const BATCH_MAX = 64;
const TIMEOUT_MS = 30_000;
const MODEL_LENGTH_MAX = 256;
/** What one number may take in the answer, comma and spaces included, and everything around the numbers. */
const NUMBER_BYTES_MAX = 32;
const FRAME_BYTES_MAX = 64 * 1024;
const DEPTH_MAX = 16;

/**
 * An embedder over a server that speaks OpenAI's embeddings API. Nothing is kept between calls. An answer is used only when it has
 * exactly one vector per text, in a known order, of the right dimension and of finite numbers; otherwise `upstream_invalid`.
 * What the server says is never repeated, and neither is the key.
 */
export function createOpenAiEmbedder(settings: OpenAiEmbedderSettings, ports: EmbedderPorts): Embedder {
  const { model, dimensions } = settings;
  const url = embeddingsUrl(settings);
  return {
    name: `openai:${model}/${dimensions}`,
    dimensions,
    async embed(texts, signal) {
      const vectors: Float32Array[] = texts.map(() => new Float32Array(dimensions));
      // servers refuse texts without content; they keep the zero vector
      const asked = texts.flatMap((text, at) => (text.trim() === "" ? [] : [{ text, at }]));
      for (let from = 0; from < asked.length; from += BATCH_MAX) {
        signal?.throwIfAborted();
        const batch = asked.slice(from, from + BATCH_MAX);
        const answer = await askServer(
          url,
          settings,
          ports,
          batch.map(({ text }) => text),
          signal,
        );
        batch.forEach(({ at }, index) => (vectors[at] = answer[index] ?? new Float32Array(dimensions)));
      }
      return vectors;
    },
  };
}

function embeddingsUrl({ url, model, dimensions }: OpenAiEmbedderSettings): string {
  const parsed = URL.parse(url);
  if (
    !parsed ||
    !/^https?:$/.test(parsed.protocol) ||
    parsed.username !== "" ||
    parsed.password !== "" ||
    parsed.search + parsed.hash !== ""
  ) {
    throw invalidSetting("url", "The address of the embedding server must be http(s), without user, query or fragment.");
  }
  if (model.length === 0 || model.length > MODEL_LENGTH_MAX)
    throw invalidSetting("model", "The embedding server needs the name of a model.");
  if (!Number.isSafeInteger(dimensions) || dimensions < 1 || dimensions > DIMENSIONS_MAX) {
    throw invalidSetting("dimensions", `The dimensions must be a whole number from 1 to ${DIMENSIONS_MAX}.`);
  }
  return `${parsed.href.replace(/\/+$/, "")}/embeddings`;
}

async function askServer(
  url: string,
  settings: OpenAiEmbedderSettings,
  ports: EmbedderPorts,
  input: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  const { model, dimensions, apiKey, requestDimensions, timeoutMs = TIMEOUT_MS } = settings;
  const body = JSON.stringify({ model, input, encoding_format: "float", ...(requestDimensions ? { dimensions } : {}) });
  const headers = {
    "content-type": "application/json",
    accept: "application/json",
    ...(apiKey ? { authorization: `Bearer ${apiKey.reveal()}` } : {}),
  };
  const bytesMax = input.length * dimensions * NUMBER_BYTES_MAX + FRAME_BYTES_MAX;
  let answer: Awaited<ReturnType<EmbedderPorts["post"]>>;
  try {
    answer = await ports.post(url, headers, body, timeoutMs, { bytesMax, ...(signal ? { signal } : {}) });
  } catch (error) {
    if (signal?.aborted || error instanceof Fault) throw error;
    // an error of a foreign client can hold the request, and so the key: it is not passed on
    throw new Fault("upstream_unreachable", "the embedding server cannot be reached");
  }
  if (answer.status !== 200) throw unusable(`status ${answer.status}`);
  return readVectors(readJson(answer.bytes, bytesMax), input.length, dimensions);
}

function readJson(bytes: Uint8Array, bytesMax: number): Json {
  try {
    return parseJson(bytes, { bytesMax, depthMax: DEPTH_MAX });
  } catch (error) {
    throw unusable(error instanceof Error ? error.message : "no JSON");
  }
}

function readVectors(answer: Json, count: number, dimensions: number): Float32Array[] {
  const data = field(answer, "data");
  if (!Array.isArray(data)) throw unusable("no list of vectors");
  if (data.length !== count) throw unusable(`${data.length} vectors for ${count} texts`);
  const vectors = new Map<number, Float32Array>();
  for (const item of data) {
    const index = field(item, "index");
    if (typeof index !== "number" || !Number.isSafeInteger(index) || index < 0 || index >= count)
      throw unusable("an index that was not asked for");
    if (vectors.has(index)) throw unusable("an index twice");
    vectors.set(index, readVector(field(item, "embedding"), dimensions));
  }
  return [...vectors].toSorted(([a], [b]) => a - b).map(([, vector]) => vector);
}

function readVector(embedding: Json | undefined, dimensions: number): Float32Array {
  if (!Array.isArray(embedding) || embedding.length !== dimensions) throw unusable(`a vector that has not ${dimensions} dimensions`);
  const numbers = embedding.filter((value) => typeof value === "number");
  if (numbers.length !== dimensions || !numbers.every((value) => Number.isFinite(value)))
    throw unusable("a vector of something else than numbers");
  return toUnitLength(numbers);
}

function field(value: Json, name: string): Json | undefined {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw unusable("not an object where one belongs");
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

function unusable(reason: string): Fault {
  return new Fault("upstream_invalid", `the embedding server gave an answer that cannot be used: ${reason}`);
}

function invalidSetting(name: string, detail: string): Fault {
  return new Fault("invalid_settings", `embedding server: ${name}`, { public: { field: name, detail } });
}
