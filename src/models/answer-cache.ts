import { createHash } from "node:crypto";
import type { CacheKey, TenantCache } from "../stores/cache/index.ts";
import type { Answer } from "../wire/index.ts";
import type { ModelRequest } from "./request.ts";

/** Larger answers are not kept. */
const KEPT_BYTES_MAX = 1024 * 1024;

/** What was answered, as it is kept. */
interface Kept {
  readonly type: string;
  readonly target: string;
  readonly body: string;
}

/** The kept answer to a request of this tenant that was the same byte for byte, or undefined. `name` is of the guardrails that have looked at it. Streams are neither kept nor answered so. */
export async function findAnswer(
  cache: TenantCache,
  name: string,
  request: ModelRequest,
): Promise<{ readonly answer: Answer; readonly target: string } | undefined> {
  if (request.stream) return undefined;
  const kept = await cache.get(keyOf(name, request));
  if (!isKept(kept)) return undefined;
  const headers = { "content-type": kept.type, "x-freehold-model": kept.target, "x-freehold-cache": "hit" };
  return { answer: { status: 200, headers, body: Buffer.from(kept.body, "base64") }, target: kept.target };
}

/** Where an answer is kept, for what, and how long. */
export interface KeepPlace {
  readonly cache: TenantCache;
  /** Of the guardrails that look at it; empty without any. */
  readonly name: string;
  readonly request: ModelRequest;
  readonly ttlMs: number;
}

/** Collects one answer while it goes by, to be kept when it is whole. */
export class AnswerKeeper {
  readonly #place: KeepPlace;
  #pieces: Uint8Array[] | undefined = [];
  #bytes = 0;

  constructor(place: KeepPlace) {
    this.#place = place;
  }

  see(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (this.#bytes > KEPT_BYTES_MAX) this.#pieces = undefined;
    this.#pieces?.push(Buffer.from(piece));
  }

  /** The answer is whole. What cannot be kept is not kept. */
  async keep(type: string, target: string): Promise<void> {
    const { cache, name, request, ttlMs } = this.#place;
    if (!this.#pieces || request.stream) return;
    const body = Buffer.concat(this.#pieces).toString("base64");
    await cache.set(keyOf(name, request), { type, target, body }, ttlMs);
  }
}

/** The cache is the tenant's; in it a request is named by all its bytes. */
function keyOf(name: string, { protocol, body }: ModelRequest): CacheKey {
  return ["model-answer", name, protocol.name, createHash("sha256").update(body).digest("base64url")];
}

function isKept(value: unknown): value is Kept {
  return typeof value === "object" && value !== null && "type" in value && "target" in value && "body" in value;
}
