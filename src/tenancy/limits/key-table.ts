import { BoundedMap } from "../../kernel/index.ts";
import type { LimitKey } from "./limits.ts";

/** What a table can tell about its entries. */
export interface TableEntry {
  /** Monotonic milliseconds from which on the entry is worth as much as none. */
  readonly expiresMs: number;
}

type Group<E> = BoundedMap<string, E>;

interface TenantEntries<E> {
  readonly groups: BoundedMap<string | number, Group<E>>;
  size: number;
}

/** Entries that are over and may go when one comes. Two, so that the table shrinks while it is in use. */
const SWEPT_MAX = 2;

/**
 * Entries by key, never more than `entriesMax`. When it is full, a tenant that has more than its even part loses an entry of its own, otherwise
 * the tenant that was idle for longest does; within a tenant the same holds for the groups of `groupOf`, and a group loses what was not used
 * for longest. So nobody's flood of keys resets the counters of others, nor a flood at one route those of another.
 */
export class KeyTable<E extends TableEntry> {
  readonly #entriesMax: number;
  readonly #tenants: BoundedMap<string, TenantEntries<E>>;
  #size = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
    this.#tenants = new BoundedMap(entriesMax);
  }

  get(key: LimitKey): E | undefined {
    return this.#tenants.get(key[0])?.groups.get(groupOf(key))?.get(textOf(key));
  }

  /** Puts in an entry for a key that has none. */
  add(key: LimitKey, entry: E, nowMs: number): void {
    const groupKey = groupOf(key);
    this.#sweep(key[0], groupKey, nowMs);
    if (this.#size >= this.#entriesMax) this.#makeRoom(key[0], groupKey);
    let own = this.#tenants.get(key[0]);
    if (!own) {
      own = { groups: new BoundedMap(this.#entriesMax), size: 0 };
      this.#tenants.set(key[0], own);
    }
    let group = own.groups.get(groupKey);
    if (!group) {
      group = new BoundedMap(this.#entriesMax);
      own.groups.set(groupKey, group);
    }
    group.set(textOf(key), entry);
    own.size++;
    this.#size++;
  }

  #sweep(tenant: string, groupKey: string | number, nowMs: number): void {
    const own = this.#tenants.peek(tenant);
    const group = own?.groups.peek(groupKey);
    if (!own || !group) return;
    let left = SWEPT_MAX;
    for (const [text, { expiresMs }] of group.entries()) {
      if (left-- === 0 || expiresMs > nowMs) return;
      this.#remove(tenant, own, groupKey, group, text);
    }
  }

  #makeRoom(tenant: string, groupKey: string | number): void {
    const own = this.#tenants.peek(tenant);
    const [victim, entries] = own && own.size * this.#tenants.size > this.#entriesMax ? [tenant, own] : first(this.#tenants);
    const sameGroup = entries === own ? own.groups.peek(groupKey) : undefined;
    const [victimGroup, group] =
      sameGroup && sameGroup.size * entries.groups.size >= entries.size ? [groupKey, sameGroup] : first(entries.groups);
    this.#remove(victim, entries, victimGroup, group, first(group)[0]);
  }

  #remove(tenant: string, entries: TenantEntries<E>, groupKey: string | number, group: Group<E>, text: string): void {
    group.delete(text);
    entries.size--;
    this.#size--;
    if (group.size === 0) entries.groups.delete(groupKey);
    if (entries.size === 0) this.#tenants.delete(tenant);
  }
}

function first<K, V>(map: BoundedMap<K, V>): [K, V] {
  for (const entry of map.entries()) return entry;
  throw new RangeError("an empty table has nothing to give up");
}

/**
 * The first step to an entry within its tenant: the part before the last one, as keys of three parts are the common case; of other keys the
 * number of parts, which is no text. Steps and not one joined text: joining and hashing it is most of what a decision costs.
 */
export function groupOf(key: LimitKey): string | number {
  return key.length === 3 ? (key[1] ?? "") : key.length;
}

/** The last step, for each group a different text for each key. */
export function textOf(key: LimitKey): string {
  if (key.length === 3) return key[2] ?? "";
  return key.length === 2 ? (key[1] ?? "") : keyText(key);
}

/** The whole key as one text, a different one for each list: every part follows its length. */
export function keyText(key: LimitKey): string {
  return key.map((part) => `${part.length}:${part}`).join("");
}
