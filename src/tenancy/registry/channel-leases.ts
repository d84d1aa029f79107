import { randomUUID } from "node:crypto";
import type { Json } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";

/** One of an installation's connections, which this process holds. */
export interface HeldLease {
  readonly installation: string;
  /** Which of its connections it is, from 0 on, and how many there are. */
  readonly shard: number;
  readonly shards: number;
  /** Where the platform goes on, in its own words, as the last holder noted it. */
  readonly resume: Json | null;
}

/** Who holds the connections of installations that are reached over some: each at most one process, for as long as it says so. */
export interface ChannelLeases {
  /** Takes connections of tenants that are served, which nobody holds. */
  claim(max: number): Promise<readonly HeldLease[]>;
  /** Holds on to these, and gives those that are still held. What is missing has gone to somebody else, may not be served, or is one of another number. */
  keep(held: readonly HeldLease[]): Promise<readonly Pick<HeldLease, "installation" | "shard">[]>;
  /** Gives these back at once. */
  release(held: readonly HeldLease[]): Promise<void>;
  /** From now on the installation has so many connections, if it had fewer. Nobody holds the old ones any more, and they cannot be gone on with. */
  widen(installation: string, shards: number): Promise<void>;
  /** Takes the next place in a lane of sessions to begin, over all processes, and gives how many milliseconds it is away. */
  place(installation: string, lane: number): Promise<number>;
}

/** How long a lease lasts without word from its holder, in milliseconds. */
export const CHANNEL_LEASE_MS = 12_000;

/** How far the places of one lane are from each other, in milliseconds: Discord's five seconds, and what a place may be late for. */
const PLACE_MS = 6_000;

/** The leases of this process. */
export function createChannelLeases(system: SystemData): ChannelLeases {
  const holder = randomUUID();
  return {
    claim: (max) => claim(system, holder, max),
    async keep(held) {
      if (held.length === 0) return [];
      const { rows } = await system.query<Pick<HeldLease, "installation" | "shard">>(sql`
        update freehold.channel_leases l
        set expires_at = clock_timestamp() + ${CHANNEL_LEASE_MS}::integer * interval '1 millisecond', resume = k.resume
        from jsonb_to_recordset(${JSON.stringify(held)}::jsonb) as k (installation text, shard integer, shards integer, resume jsonb),
          freehold.channel_installations i, freehold.tenants t
        where l.installation = k.installation and l.shard = k.shard and l.holder = ${holder}::uuid and i.id = l.installation
          and i.shards = k.shards and t.uuid = i.tenant_id and t.status in ('active', 'moving')
        returning l.installation, l.shard`);
      return rows;
    },
    async release(held) {
      await system.query(sql`
        update freehold.channel_leases l set expires_at = clock_timestamp(), resume = k.resume
        from jsonb_to_recordset(${JSON.stringify(held)}::jsonb) as k (installation text, shard integer, shards integer, resume jsonb),
          freehold.channel_installations i
        where l.installation = k.installation and l.shard = k.shard and l.holder = ${holder}::uuid and i.id = l.installation
          and i.shards = k.shards`);
    },
    widen: (installation, shards) => widen(system, installation, shards),
    place: (installation, lane) => place(system, installation, lane),
  };
}

async function claim(system: SystemData, holder: string, max: number): Promise<readonly HeldLease[]> {
  const { rows } = await system.query<HeldLease>(sql`
    with wanted as (
      select i.id, n.shard, i.shards
      from freehold.channel_installations i join freehold.tenants t on t.uuid = i.tenant_id
      cross join lateral generate_series(0, i.shards - 1) as n (shard)
      left join freehold.channel_leases o on o.installation = i.id and o.shard = n.shard
      where i.settings @> '{"socket": true}' and t.status in ('active', 'moving') and (o.installation is null or o.expires_at < clock_timestamp())
      order by i.id, n.shard limit ${max}
    ), taken as (
      insert into freehold.channel_leases as l (installation, shard, holder, expires_at)
      select id, shard, ${holder}::uuid, clock_timestamp() + ${CHANNEL_LEASE_MS}::integer * interval '1 millisecond' from wanted
      on conflict (installation, shard) do update set holder = excluded.holder, expires_at = excluded.expires_at
        where l.expires_at < clock_timestamp()
      returning installation, shard, resume)
    select installation, taken.shard, shards, resume from taken join wanted w on w.id = installation and w.shard = taken.shard`);
  return rows;
}

async function widen(system: SystemData, installation: string, shards: number): Promise<void> {
  await system.query(sql`
    with wider as (
      update freehold.channel_installations set shards = ${shards} where id = ${installation} and shards < ${shards} returning id)
    delete from freehold.channel_leases where installation in (select id from wider)`);
}

async function place(system: SystemData, installation: string, lane: number): Promise<number> {
  const { rows } = await system.query<{ waitMs: number }>(sql`
    insert into freehold.channel_starts as s (installation, lane, free_at)
    values (${installation}, ${lane}, clock_timestamp() + ${PLACE_MS}::integer * interval '1 millisecond')
    on conflict (installation, lane) do update
      set free_at = greatest(s.free_at, clock_timestamp()) + ${PLACE_MS}::integer * interval '1 millisecond'
    returning greatest(0, extract(epoch from free_at - clock_timestamp()) * 1000 - ${PLACE_MS}::integer)::float8 as "waitMs"`);
  return rows[0]?.waitMs ?? 0;
}
