import type { Topic } from "./envelope.ts";

/** Which consumer is told of which topics. */
export interface Subscription {
  /** Names the consumer for ever: what it has handled is kept under this name. */
  readonly name: string;
  readonly topics: readonly Topic[];
}

/** One event on its way to one consumer, held by whoever claimed it until its lease ends. */
export interface Delivery {
  /** The internal id of the tenant whose row it is. Whether the envelope agrees is for the reader to check. */
  readonly tenantUuid: string;
  readonly consumer: string;
  readonly eventId: string;
  readonly key: string;
  readonly envelope: string;
  /** How often it has been claimed, this time included. */
  readonly attempts: number;
  /** The claim's own id. It stops being valid when somebody else claims the delivery. */
  readonly lease: string;
  /** Short code of why it failed last. */
  readonly lastError: string | null;
}

/** How a delivery ended. */
export type DeliveryOutcome =
  /** Handled, or not to be handled any more: it is removed. */
  | { readonly kind: "done" }
  /** Due again after a time. `error` is a short code, never a text. */
  | { readonly kind: "retry"; readonly delayMs: number; readonly error: string }
  /** Due again after a time, and this attempt does not count. */
  | { readonly kind: "park"; readonly delayMs: number; readonly reason: string }
  /** Put aside whole, until somebody sends it again. */
  | { readonly kind: "dead"; readonly reason: string };

/** How much to claim. */
export interface ClaimBounds {
  /** Deliveries in all. */
  readonly limit: number;
  /** Deliveries of one tenant, those in `underWay` included. */
  readonly perTenantMax: number;
  /** Deliveries that the caller is working on, by the tenant's internal id. */
  readonly underWay: ReadonlyMap<string, number>;
  /** How long the claim holds, on the bus's clock. */
  readonly leaseMs: number;
}

/**
 * Carries events from the outbox to consumers, at least once. Every rule about when something is due uses the bus's own clock.
 * Each tenant has a queue of its own: no tenant waits because of how much another has queued.
 */
export interface EventBus {
  /** Takes a batch out of the outbox, the oldest of each tenant first, to every consumer that is subscribed. 0: there was nothing left. */
  relay(): Promise<number>;
  /**
   * Deliveries that are due, in turn from all tenants. Of the events of one tenant, consumer and key only the oldest is ever claimed: the
   * next one is due when that one has been settled as done or dead.
   */
  claim(consumer: string, bounds: ClaimBounds): Promise<readonly Delivery[]>;
  /** Holds claims for longer, from now on. One that somebody else has claimed since is left alone. */
  extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void>;
  /** Ends a claim. False, and nothing changes, when somebody else has claimed the delivery since. */
  settle(delivery: Delivery, outcome: DeliveryOutcome): Promise<boolean>;
  /**
   * Sends one dead letter again, with its attempts counted anew. It has lost its place in the order of its key: younger events may have
   * been handled. False when there is no such letter, or its consumer is gone.
   */
  redrive(tenantUuid: string, consumer: string, eventId: string): Promise<boolean>;
  /** Makes due at once what of this tenant was parked; the order within each key stays. */
  unpark(tenantUuid: string): Promise<void>;
  /** Calls back when there may be something to relay or to claim. It may miss some: whoever waits also looks from time to time. */
  wake(onWake: () => void): Promise<() => Promise<void>>;
}
