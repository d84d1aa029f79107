import type { BucketShape } from "./bucket-use.ts";
import type { WindowShape } from "./window-use.ts";

/**
 * Where gateways share limits. A gateway takes leases of what is left and answers from them; what it leased counts as used at once, so
 * whatever happens to the gateway, the limit is not passed. Every method rejects when the ledger cannot be reached.
 */
export interface LimitLedger {
  /** Gateways that are alive, this one among them; the last number known while the ledger is away. */
  readonly gateways: number;
  window(ask: WindowAsk): Promise<WindowLease>;
  bucket(ask: BucketAsk): Promise<BucketLease>;
  slots(ask: SlotAsk): Promise<SlotLease>;
  close(): Promise<void>;
}

/** What every question says. */
export interface LeaseAsk {
  /** A different text for each counter. */
  readonly key: string;
  /** Units that requests wait for. */
  readonly need: number;
  /** Units to take if there are plenty, `need` among them: the closer to the limit, the less is given beyond `need`. */
  readonly want: number;
  readonly gateways: number;
}

/** A question for units of a window. */
export interface WindowAsk extends LeaseAsk {
  readonly shape: WindowShape;
  /** The ledger's window that this gateway is in, and how long it will go on; empty and 0 when it knows of none. */
  readonly windowId: string;
  readonly leftMs: number;
  /** Units of that window the ledger has given to this gateway. A ledger that has lost its memory begins with them. */
  readonly held: number;
  /** Units used without a lease, to be counted now. */
  readonly debt: number;
  /** Units of the lease that are given back. */
  readonly unused: number;
}

/** What the ledger has counted, this answer included, and how many units of it are this gateway's from now on. */
export interface WindowLease {
  readonly windowId: string;
  /** The gateway's window was over: what it held of it is worth nothing now. */
  readonly turned: boolean;
  readonly granted: number;
  readonly used: number;
  readonly before: number;
  /** How long ago the window began. */
  readonly elapsedMs: number;
}

/** A question for requests through a leaky bucket. */
export interface BucketAsk extends LeaseAsk {
  readonly shape: BucketShape;
  /** Requests let through without a lease, to be counted now. */
  readonly debt: number;
}

/** So many requests may go; the first finds `excess`, each after it one more. */
export interface BucketLease {
  readonly granted: number;
  readonly excess: number;
}

/** A report of the places a gateway holds, and a question for more. It replaces the last one. */
export interface SlotAsk extends LeaseAsk {
  readonly max: number;
  /** Places in use here. */
  readonly held: number;
}

/** Places that are this gateway's now, those in use among them, and those of the others. */
export interface SlotLease {
  readonly granted: number;
  readonly others: number;
}

/** Places of a gateway that is not heard of for so long are free again. In milliseconds. */
export const SLOT_LIFE_MS = 10_000;

/** How many units to give: what is needed, and of what is left beyond it a part that leaves enough to the other gateways. */
export function grantOf({ need, want, gateways }: LeaseAsk, left: number): number {
  const spare = Math.floor(Math.max(0, left - need) / (2 * gateways));
  return Math.max(0, Math.min(left, Math.max(need, Math.min(want, need + spare))));
}
