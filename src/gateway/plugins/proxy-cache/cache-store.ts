import type { Answer } from "../../../wire/index.ts";

/** An answer that is kept. */
export interface StoredAnswer {
  readonly status: number;
  readonly headers: Answer["headers"];
  readonly body: Uint8Array;
  /** Request fields that it depends on, as they were: name in lower case, value. */
  readonly vary: readonly (readonly [name: string, value: string])[];
  /** Wall clock, milliseconds. */
  readonly storedAt: number;
  readonly ttlMs: number;
}

/** Bounds of everything that is kept. */
export interface CacheBounds {
  readonly bytesMax: number;
  /** One tenant's part of it. */
  readonly tenantBytesMax: number;
}

/** More answers than these of one key would be one for each caller. */
const VARIANTS_MAX = 16;
/** What an entry costs besides its bytes. */
const ENTRY_BYTES = 512;

interface Group {
  variants: StoredAnswer[];
  bytes: number;
}
interface Share {
  readonly groups: Map<string, Group>;
  bytes: number;
}

/**
 * Answers in memory, each in the part of one tenant: a look-up names the tenant and sees nothing of others. A tenant that fills its part
 * makes room from its own, the longest unused first; when all is full, the tenant that has not been there for longest gives way.
 */
export class CacheStore {
  readonly #bounds: CacheBounds;
  // in the order of their last use
  readonly #shares = new Map<string, Share>();
  #bytes = 0;

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Every answer that is kept under this key. */
  find(tenant: string, key: string): readonly StoredAnswer[] {
    const share = this.#shares.get(tenant);
    const group = share?.groups.get(key);
    if (!share || !group) return [];
    putLast(this.#shares, tenant, share);
    putLast(share.groups, key, group);
    return group.variants;
  }

  /** Keeps the answer in place of the one with the same values of the fields it depends on. One that is larger than its tenant's part is not kept. */
  put(tenant: string, key: string, answer: StoredAnswer): void {
    const size = sizeOf(key, answer);
    if (size > this.#bounds.tenantBytesMax) return;
    const share = this.#shares.get(tenant) ?? { groups: new Map<string, Group>(), bytes: 0 };
    const group = share.groups.get(key) ?? { variants: [], bytes: 0 };
    const others = group.variants.filter((known) => !sameVary(known.vary, answer.vary)).slice(-(VARIANTS_MAX - 1));
    const bytes = others.reduce((sum, known) => sum + sizeOf(key, known), size);
    this.#count(share, bytes - group.bytes);
    group.variants = [...others, answer];
    group.bytes = bytes;
    putLast(share.groups, key, group);
    putLast(this.#shares, tenant, share);
    while (share.bytes > this.#bounds.tenantBytesMax) this.#dropOldest(tenant, share);
    while (this.#bytes > this.#bounds.bytesMax) {
      const [oldest] = this.#shares;
      if (!oldest) break;
      this.#dropOldest(...oldest);
    }
  }

  /** Forgets everything under this key. Whether there was anything. */
  remove(tenant: string, key: string): boolean {
    const share = this.#shares.get(tenant);
    const group = share?.groups.get(key);
    if (!share || !group) return false;
    share.groups.delete(key);
    this.#count(share, -group.bytes);
    if (share.groups.size === 0) this.#shares.delete(tenant);
    return true;
  }

  /** Forgets every key that begins so. */
  removeAll(prefix: string): void {
    for (const [tenant, share] of this.#shares) {
      for (const key of share.groups.keys()) if (key.startsWith(prefix)) this.remove(tenant, key);
    }
  }

  #dropOldest(tenant: string, share: Share): void {
    for (const key of share.groups.keys()) {
      this.remove(tenant, key);
      return;
    }
  }

  #count(share: Share, bytes: number): void {
    share.bytes += bytes;
    this.#bytes += bytes;
  }
}

function putLast<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
}

function sameVary(one: StoredAnswer["vary"], other: StoredAnswer["vary"]): boolean {
  return one.length === other.length && one.every(([name, value], i) => other[i]?.[0] === name && other[i][1] === value);
}

function sizeOf(key: string, { body, headers, vary }: StoredAnswer): number {
  // characters of texts that stay take up to two bytes
  return ENTRY_BYTES + body.length + 2 * (key.length + JSON.stringify([headers, vary]).length);
}
