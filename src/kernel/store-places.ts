import type { StoreTenant } from "./store-lifecycle.ts";

/** A store of which a tenant's part can be moved while the tenant is served. */
export type MovableStore = "data" | "search" | "files";

/** Where a tenant's part of a store beside the data is: with everybody's, or in a place that holds nothing but it. */
export const STORE_PLACES = ["shared", "own"] as const;
export type StorePlace = (typeof STORE_PLACES)[number];

/** What a move of a tenant's part of one store did. */
export interface StoreMove {
  readonly source: string;
  readonly target: string;
  /** Its tables, or whatever else it is made of, with how many items each has and a checksum over them: the same in both places. */
  readonly parts: readonly { readonly name: string; readonly items: number; readonly sum: string }[];
  /** Changes that were made while it was being copied, and that came after it. */
  readonly changes: number;
  /** For how long writes of the tenant waited. */
  readonly fenceMs: number;
  readonly elapsedMs: number;
}

/** What a move may be told. */
export interface StoreMoveOptions {
  /** Called after each step has been done, with its name. */
  readonly onStep?: (step: string) => Promise<void> | void;
}

/**
 * How a store moves a tenant's part of it, the same for every store: copy, follow what changes meanwhile, hold the tenant's writes for a
 * moment, compare count and checksum, switch, keep the old place until it is confirmed.
 */
export interface StorePlaces {
  readonly store: MovableStore;
  /** The places there are, whether or not this installation has all of them. */
  readonly places: readonly string[];
  placeOf(tenant: StoreTenant): Promise<string>;
  /**
   * Moves the tenant's part. No write is lost and none is refused. When anything fails before the switch, all of it is taken back; what was
   * killed is taken up or taken back by the next call. Throws `conflict` where it is there already, or while an old place is kept,
   * `in_progress` while another process moves it, and `invalid_settings` where this installation has no such place.
   */
  move(tenant: StoreTenant, place: string, options?: StoreMoveOptions): Promise<StoreMove>;
  /** Deletes the place that the tenant has left, for good. Nothing happens where there is none. */
  confirm(tenant: StoreTenant, options?: StoreMoveOptions): Promise<void>;
}
