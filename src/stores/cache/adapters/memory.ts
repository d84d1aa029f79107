import { BoundedMap, type Clock, type HeapItem, IndexedHeap } from "../../../kernel/index.ts";
import type { CacheEngine } from "../port.ts";

/** How much memory values may take. */
export interface MemoryCacheBounds {
  /** All tenants together. */
  readonly bytesMax: number;
  readonly bytesPerTenantMax: number;
}

/** What an entry takes besides its value: key, maps, list. */
const ENTRY_BYTES = 400;

interface Entry {
  readonly value: Buffer;
  readonly untilMs: number;
}

/** The values of one tenant, the one not used for longest first. */
interface Part extends HeapItem {
  readonly tenant: string;
  readonly entries: BoundedMap<string, Entry>;
  bytes: number;
}

/** What is cleared here is gone at once, so there is but one. */
const GENERATION = "memory";

/**
 * Values in this process's memory, which is never more than the bounds. When all of it is used, room is made by whoever has most: a tenant that
 * has no more than its equal part of the whole loses nothing to another.
 */
export function createMemoryCache(bounds: MemoryCacheBounds, clock: Clock): CacheEngine {
  return new MemoryCache(bounds, clock);
}

class MemoryCache implements CacheEngine {
  readonly #bounds: MemoryCacheBounds;
  readonly #clock: Clock;
  readonly #parts = new Map<string, Part>();
  readonly #largest = new IndexedHeap<Part>((a, b) => a.bytes > b.bytes);
  #bytes = 0;

  constructor(bounds: MemoryCacheBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  async lookup(tenant: string, digest: string) {
    const part = this.#parts.get(tenant);
    const entry = part?.entries.get(digest);
    if (part && entry && entry.untilMs <= this.#clock.monotonic()) this.#drop(part, digest);
    else if (entry) return { generation: GENERATION, stored: entry.value };
    return { generation: GENERATION, stored: undefined };
  }

  async generation(): Promise<string> {
    return GENERATION;
  }

  async store(tenant: string, digest: string, value: Buffer, ttlMs: number): Promise<void> {
    const entry = { value, untilMs: this.#clock.monotonic() + ttlMs };
    const size = sizeOf(entry);
    const { bytesMax, bytesPerTenantMax } = this.#bounds;
    await this.remove(tenant, digest);
    if (size > bytesPerTenantMax || size > bytesMax) return;
    this.#makeRoom(tenant, bytesPerTenantMax - size);
    const part = this.#partOf(tenant);
    part.entries.set(digest, entry);
    this.#resize(part, size);
    while (this.#bytes > bytesMax && this.#largest.first) this.#dropOldest(this.#largest.first);
  }

  async remove(tenant: string, digest: string): Promise<boolean> {
    const part = this.#parts.get(tenant);
    if (part) this.#drop(part, digest);
    return true;
  }

  async clear(tenant: string): Promise<boolean> {
    await this.erase(tenant);
    return true;
  }

  distrust(): void {
    // there is nothing in the middle of which it could be
  }

  async measure(tenant: string) {
    const part = this.#parts.get(tenant);
    return { items: part?.entries.size ?? 0, bytes: part?.bytes ?? 0 };
  }

  async erase(tenant: string): Promise<void> {
    const part = this.#parts.get(tenant);
    if (!part) return;
    part.entries.clear();
    this.#resize(part, -part.bytes);
  }

  async close(): Promise<void> {
    for (const tenant of this.#parts.keys()) await this.erase(tenant);
  }

  #partOf(tenant: string): Part {
    const known = this.#parts.get(tenant);
    if (known) return known;
    const entries = new BoundedMap<string, Entry>(Math.ceil(this.#bounds.bytesPerTenantMax / ENTRY_BYTES));
    const part: Part = { tenant, entries, bytes: 0, at: -1 };
    this.#parts.set(tenant, part);
    this.#largest.add(part);
    return part;
  }

  #makeRoom(tenant: string, bytesMax: number): void {
    const part = this.#parts.get(tenant);
    if (!part) return;
    while (part.bytes > bytesMax) this.#dropOldest(part);
  }

  #dropOldest(part: Part): void {
    for (const [digest] of part.entries.entries()) return this.#drop(part, digest);
  }

  #drop(part: Part, digest: string): void {
    const entry = part.entries.peek(digest);
    if (!entry) return;
    part.entries.delete(digest);
    this.#resize(part, -sizeOf(entry));
  }

  #resize(part: Part, change: number): void {
    this.#bytes += change;
    part.bytes += change;
    if (part.entries.size > 0) return this.#largest.moved(part);
    this.#largest.remove(part);
    this.#parts.delete(part.tenant);
  }
}

function sizeOf({ value }: Entry): number {
  return value.length + ENTRY_BYTES;
}
