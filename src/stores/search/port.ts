import type { Json } from "../../kernel/index.ts";
import type { Queryable } from "../data/index.ts";

/** What can be found. */
export const SEARCH_KINDS = ["document", "user"] as const;
export type SearchKind = (typeof SEARCH_KINDS)[number];

/** Something that is to be found. */
export interface SearchItem {
  readonly kind: SearchKind;
  /** The caller's own id. Tenants may use the same ones. */
  readonly ref: string;
  readonly title: string;
  /** At most 1 MiB. */
  readonly text: string;
  /** What comes back with each hit and can be filtered by: userId, metadata … The name `tenantId` is the store's own and is overwritten. */
  readonly payload: Readonly<Record<string, Json>>;
}

/** An item divided into passages with their vectors, ready for `put` of the same tenant. What is inside is the store's own. */
export interface PreparedItem {
  readonly kind: SearchKind;
  readonly ref: string;
  /** How many passages it has: at least one. */
  readonly passages: number;
}

/** Something that can be found, by its name. */
export interface SearchItemName {
  readonly kind: SearchKind;
  readonly ref: string;
}

/** A passage that was found. */
export interface SearchHit {
  readonly kind: SearchKind;
  readonly ref: string;
  /** Which passage of the item, counted from 0. */
  readonly part: number;
  readonly title: string;
  readonly text: string;
  /**
   * Above 0, at most 1, rounded to 6 decimals. It comes from ranks only: half of it from the place among the likest vectors, half from
   * the place among the best full-text matches (reciprocal rank fusion, k = 60). 1 is first in both; first in only one is 0.5.
   * It orders the hits of one query and says nothing across queries.
   */
  readonly score: number;
  /** As it was put, with the `tenantId` of the tenant. */
  readonly payload: Readonly<Record<string, Json>>;
}

/** A question. */
export interface SearchQuery {
  /** 1 to 2,000 characters that are not all white space. Of a long one, full text takes the longest words; quotation marks and a minus move hits up and down, they do not exclude. */
  readonly query: string;
  /** 1 to 50 passages. */
  readonly limit: number;
  /** What every hit must have: these values under these names of its payload; `kind` is the item's kind. */
  readonly filter?: Readonly<Record<string, string | number | boolean>>;
}

/** Search over what one tenant has put, and nothing else. No statistic is kept across items, so nobody else's texts move a score. */
export interface TenantSearch {
  /** Divides and embeds the item; no database. Throws `malformed_request`, `body_too_large` and what the embedder throws. */
  prepare(item: SearchItem, signal?: AbortSignal): Promise<PreparedItem>;
  /**
   * The same in parts of at most 100 passages, from this passage on. Each is put by itself, in order: all before `from` must be there, and the item is
   * whole once the last was put.
   */
  prepareParts(item: SearchItem, from: number, signal?: AbortSignal): AsyncIterable<PreparedItem>;
  /** How many passages of this item can be found by what they mean: those that the embedder of today has seen. */
  countCurrent(item: SearchItemName): Promise<number>;
  /** Items that another embedder has seen, at most 500, in the order of kind and ref after this one. They are found by their words only. */
  stale(after?: SearchItemName): Promise<readonly SearchItemName[]>;
  /** Puts the item in the place of whatever has its kind and ref, inside the caller's transaction. */
  put(tx: Queryable, item: PreparedItem): Promise<void>;
  /** Removes the item, if it is there. */
  remove(tx: Queryable, kind: SearchKind, ref: string): Promise<void>;
  /**
   * The passages that fit best, best first: exact, over all passages of the tenant. Not to be called inside a transaction of the tenant.
   * Throws `malformed_request`, `tenant_mismatch` for a filter that names another tenant, and what the embedder throws.
   */
  query(query: SearchQuery, signal?: AbortSignal): Promise<readonly SearchHit[]>;
}
