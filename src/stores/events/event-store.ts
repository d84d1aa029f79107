import { type Clock, type Json, type Keyring, type Random, type TenantContext, uuidV7 } from "../../kernel/index.ts";
import { type Queryable, sql } from "../data/index.ts";
import { createEnvelopes, type Topic } from "./envelope.ts";

/** An event to publish. */
export interface NewEvent {
  readonly topic: Topic;
  /** What happened, for example `user.created`. */
  readonly type: string;
  /** What it happened to, for example the user's id. */
  readonly key: string;
  /** At most 256 KiB as JSON. `tenantId` is put in; another tenant's is refused. */
  readonly data: Readonly<Record<string, Json>>;
}

/** Publishes events of one tenant and of no other. */
export interface TenantEvents {
  /**
   * Publishes the event if and only if the transaction commits, and gives its id. `tx` must be a transaction of the same tenant: any
   * other is refused by the engine (`forbidden`).
   * Events of one key keep their order when each is published after the change it tells of, to the row that the key names: the lock on
   * that row then puts their transactions one after the other.
   * Throws `malformed_request`, `invalid_json`, `body_too_large`, `body_too_deep` or `tenant_mismatch`.
   */
  publish(tx: Queryable, event: NewEvent): Promise<string>;
}

/** The way events go out: into the outbox, in the caller's own transaction. */
export interface EventStore {
  forTenant(context: TenantContext): TenantEvents;
}

/** What the event store is built on. */
export interface EventStorePorts {
  readonly keyring: Keyring;
  readonly clock: Clock;
  readonly random: Random;
}

/** An event store that seals what it publishes with the installation's key. */
export function createEventStore({ keyring, clock, random }: EventStorePorts): EventStore {
  const envelopes = createEnvelopes(keyring);
  return {
    forTenant: ({ tenant, trace }) => ({
      async publish(tx, { topic, type, key, data }) {
        const id = uuidV7(clock, random);
        const time = new Date(clock.now()).toISOString();
        const envelope = envelopes.seal({ id, topic, type, key, time, tenantId: tenant.id, tenantUuid: tenant.uuid, trace, data });
        await tx.query(sql`
          insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope)
          values (${tenant.uuid}, ${id}, ${topic}, ${key}, ${envelope})`);
        return id;
      },
    }),
  };
}
