import { type Channels, createChannels, type Invoker } from "../agents/index.ts";
import { systemClock, systemRandom } from "../kernel/index.ts";
import type { Stores } from "../stores/index.ts";
import type { Identity } from "../tenancy/identity/index.ts";
import type { Limits, RateLimiter } from "../tenancy/limits/index.ts";
import type { Egress } from "../wire/index.ts";
import type { Closing } from "./closing.ts";
import { openWorker, type WorkerRooms } from "./open-worker.ts";
import type { Settings } from "./settings.ts";

/** What channels stand on. */
interface ChannelRooms extends WorkerRooms {
  readonly settings: Settings;
  readonly stores: Stores;
  readonly identity: Identity;
  readonly limiter: RateLimiter;
  readonly limits: Limits;
  readonly invoker: Invoker;
  readonly egress: Egress;
}

/** Messages under way at once. The longest that an agent may take is ten minutes. */
const WORK = { concurrency: { total: 128, perTenant: 8 }, handlerTimeoutMs: 11 * 60_000 } as const;
/** What is under way then is left to another process. */
const CLOSE_GRACE_MS = 10_000;

/**
 * The chat platforms of all tenants, and what answers for them: agents take their time, so they hold up no other events, and one tenant's
 * agents only their part of this work.
 */
export async function openChannels(rooms: ChannelRooms, closing: Closing): Promise<Channels> {
  const { settings, stores, identity, registry, audit, limiter, limits, invoker, egress } = rooms;
  const channels = createChannels({
    installations: registry.installations,
    leases: registry.channelLeases,
    report: rooms.telemetry.report,
    findTenant: (id) => registry.find(id),
    stores,
    limiter,
    limits,
    noteFailure: (address) => identity.noteFailure(address),
    audit,
    clock: systemClock,
    random: systemRandom,
    invoker,
    egress,
    publicUrl: settings.channels.publicUrl,
    addresses: settings.channels,
  });
  const worker = openWorker(rooms, channels.consumers, WORK);
  await worker.start();
  channels.sockets.start();
  closing.add(async () => {
    await channels.sockets.close();
    const over = setTimeout(() => channels.leave(), CLOSE_GRACE_MS);
    await worker.close();
    clearTimeout(over);
  });
  return channels;
}
