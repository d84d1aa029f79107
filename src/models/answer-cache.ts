import { createHash } from "node:crypto";
import type { Clock } from "../kernel/index.ts";
import { CACHE_TTL_MS_MAX, type CacheKey, type TenantCache } from "../stores/cache/index.ts";
import type { Answer } from "../wire/index.ts";
import type { ModelRequest } from "./request.ts";
import type { TenantModels } from "./settings/schema.ts";
import { SimilarAnswers } from "./similar-answers.ts";
import { questionOf } from "./similar-question.ts";

/** Larger answers are not kept: in base64, and sealed, they would be more than a cache takes. */
const KEPT_BYTES_MAX = 760 * 1024;
/** Of those that are like a question, so many are looked for. */
const SIMILAR_MAX = 3;

/** What was answered, as it is kept. */
interface Kept {
  readonly type: string;
  readonly target: string;
  readonly body: string;
}

/** How an answer was found: by the same bytes, or by a question that is like it. */
export type FoundBy = "hit" | "similar";

/** An answer that was kept. */
export interface FoundAnswer {
  readonly by: FoundBy;
  readonly answer: Answer;
  readonly target: string;
}

/** Where the answers of a tenant to such a request are kept. */
export interface AnswerPlace {
  readonly cache: TenantCache;
  readonly settings: NonNullable<TenantModels["cache"]>;
  /** Of the guardrails that look at it; empty without any. */
  readonly name: string;
  readonly request: ModelRequest;
  /** Models that the request can be sent to. */
  readonly targets: readonly string[];
  readonly clock: Clock;
  /** What a text means, or undefined when that cannot be had. */
  readonly embed: (asked: { readonly model: string; readonly text: string }) => Promise<readonly number[] | undefined>;
}

/**
 * What a tenant has kept for a request, and what keeps the answer to it: for the same bytes, and, where the tenant wants that, for questions that are like it
 * in requests that are otherwise the same byte for byte. Streams are neither kept nor answered so.
 */
export async function openAnswers(
  place: AnswerPlace,
): Promise<{ readonly found: FoundAnswer | undefined; readonly keeper: AnswerKeeper | undefined }> {
  const { request } = place;
  if (request.stream) return { found: undefined, keeper: undefined };
  const digest = createHash("sha256").update(request.body).digest("base64url");
  const same = await findAnswer(place, digest, "hit");
  if (same) return { found: same, keeper: undefined };
  const similar = await openSimilar(place);
  for (const like of ((await similar?.digests()) ?? []).slice(0, SIMILAR_MAX)) {
    const found = await findAnswer(place, like, "similar");
    if (found && place.targets.includes(found.target)) return { found, keeper: undefined };
  }
  return { found: undefined, keeper: new AnswerKeeper(place, digest, similar) };
}

async function findAnswer(place: AnswerPlace, digest: string, by: FoundBy): Promise<FoundAnswer | undefined> {
  const kept = await place.cache.get(keyOf(place, digest));
  if (!isKept(kept)) return undefined;
  const headers = { "content-type": kept.type, "x-freehold-model": kept.target, "x-freehold-cache": by };
  return { by, answer: { status: 200, headers, body: Buffer.from(kept.body, "base64") }, target: kept.target };
}

async function openSimilar({ cache, clock, name, request, settings, embed }: AnswerPlace): Promise<SimilarAnswers | undefined> {
  const { similar } = settings;
  const question = similar && (await questionOf(request));
  if (!question) return undefined;
  const { model, threshold } = similar;
  const vector = await embed({ model, text: question.text });
  return vector && new SimilarAnswers({ cache, clock, name: [name, request.protocol.name, model], question, vector, threshold });
}

/** Collects one answer while it goes by, to be kept when it is whole. */
export class AnswerKeeper {
  readonly #place: AnswerPlace;
  readonly #digest: string;
  readonly #similar: SimilarAnswers | undefined;
  #pieces: Uint8Array[] | undefined = [];
  #bytes = 0;

  constructor(place: AnswerPlace, digest: string, similar: SimilarAnswers | undefined) {
    this.#place = place;
    this.#digest = digest;
    this.#similar = similar;
  }

  see(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (this.#bytes > KEPT_BYTES_MAX) this.#pieces = undefined;
    this.#pieces?.push(Buffer.from(piece));
  }

  /** The answer is whole. What cannot be kept is not kept. */
  async keep(type: string, target: string): Promise<void> {
    if (!this.#pieces) return;
    const ttlMs = Math.min(this.#place.settings.ttlMs, CACHE_TTL_MS_MAX);
    const body = Buffer.concat(this.#pieces).toString("base64");
    await this.#place.cache.set(keyOf(this.#place, this.#digest), { type, target, body }, ttlMs);
    await this.#similar?.add(this.#digest, ttlMs);
  }
}

/** The cache is the tenant's; in it a request is named by all its bytes. */
function keyOf({ name, request }: AnswerPlace, digest: string): CacheKey {
  return ["model-answer", name, request.protocol.name, digest];
}

function isKept(value: unknown): value is Kept {
  return typeof value === "object" && value !== null && "type" in value && "target" in value && "body" in value;
}
