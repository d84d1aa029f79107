import { randomUUID } from "node:crypto";
import type { Json } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";

/** An installation whose connection this process holds. */
export interface HeldLease {
  readonly installation: string;
  /** Where the platform goes on, in its own words, as the last holder noted it. */
  readonly resume: Json | null;
}

/** Who holds the connections of installations that are reached over one: each at most one process, for as long as it says so. */
export interface ChannelLeases {
  /** Takes installations of tenants that are served, which nobody holds. */
  claim(max: number): Promise<readonly HeldLease[]>;
  /** Holds on to these, and gives those that are still held. What is missing has gone to somebody else, or may not be served. */
  keep(held: readonly HeldLease[]): Promise<ReadonlySet<string>>;
  /** Gives these back at once. */
  release(held: readonly HeldLease[]): Promise<void>;
}

/** How long a lease lasts without word from its holder, in milliseconds. */
export const CHANNEL_LEASE_MS = 12_000;

/** The leases of this process. */
export function createChannelLeases(system: SystemData): ChannelLeases {
  const holder = randomUUID();
  return {
    async claim(max) {
      const { rows } = await system.query<HeldLease>(sql`
        insert into freehold.channel_leases as l (installation, holder, expires_at)
        select i.id, ${holder}::uuid, clock_timestamp() + ${CHANNEL_LEASE_MS}::integer * interval '1 millisecond'
        from freehold.channel_installations i join freehold.tenants t on t.uuid = i.tenant_id
        left join freehold.channel_leases o on o.installation = i.id
        where i.settings @> '{"socket": true}' and t.status in ('active', 'moving') and (o.installation is null or o.expires_at < clock_timestamp())
        order by i.id limit ${max}
        on conflict (installation) do update set holder = excluded.holder, expires_at = excluded.expires_at
          where l.expires_at < clock_timestamp()
        returning installation, resume`);
      return rows;
    },
    async keep(held) {
      if (held.length === 0) return new Set();
      const { rows } = await system.query<{ installation: string }>(sql`
        update freehold.channel_leases l
        set expires_at = clock_timestamp() + ${CHANNEL_LEASE_MS}::integer * interval '1 millisecond', resume = k.resume
        from jsonb_to_recordset(${JSON.stringify(held)}::jsonb) as k (installation text, resume jsonb),
          freehold.channel_installations i, freehold.tenants t
        where l.installation = k.installation and l.holder = ${holder}::uuid and i.id = l.installation and t.uuid = i.tenant_id
          and t.status in ('active', 'moving')
        returning l.installation`);
      return new Set(rows.map(({ installation }) => installation));
    },
    async release(held) {
      await system.query(sql`
        update freehold.channel_leases l set expires_at = clock_timestamp(), resume = k.resume
        from jsonb_to_recordset(${JSON.stringify(held)}::jsonb) as k (installation text, resume jsonb)
        where l.installation = k.installation and l.holder = ${holder}::uuid`);
    },
  };
}
