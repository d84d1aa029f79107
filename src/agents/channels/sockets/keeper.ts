import { setTimeout as pause } from "node:timers/promises";
import { type Clock, Fault, fractionOf, type Json, type Platform, type Random, toFault } from "../../../kernel/index.ts";
import {
  CHANNEL_LEASE_MS,
  type ChannelLeases,
  type HeldLease,
  type Installation,
  type Installations,
} from "../../../tenancy/registry/index.ts";
import type { Egress } from "../../../wire/index.ts";
import type { Channel, SocketEnd, SocketTurn } from "../channel.ts";
import type { Receiver } from "../receive.ts";

/** What keeping connections needs. */
export interface SocketPorts {
  readonly leases: ChannelLeases;
  readonly installations: Pick<Installations, "find">;
  readonly channels: ReadonlyMap<Platform, Channel>;
  readonly receiver: Receiver;
  readonly egress: Pick<Egress, "openSocket">;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: (fault: Fault) => void;
}

/** The connections that this process keeps for apps that are reached over one. */
export interface SocketKeeper {
  /** Takes connections that nobody keeps, now and from time to time. */
  start(): void;
  /** Ends all of them, and gives them to whoever wants them. */
  close(): Promise<void>;
}

const LOOK_MS = 2_000;
/** As long as there is more to take, it looks again after so long: others have their turn in between. */
const SOON_MS = 200;
/** Connections of one process, and how many it takes at a time, so that several processes share them. */
const HELD_MAX = 1_000;
const CLAIM_MAX = 20;
/** A connection is given up so long before its lease ends: then nobody else has it yet. */
const MARGIN_MS = 3_000;
const CONNECT_MS = 10_000;
const QUEUED_MAX = 1_000;
/** A connection that lasted so long has not failed. */
const GOOD_MS = 10_000;
const PAUSE_MS = 250;
const PAUSE_MS_MAX = 60_000;
/** A place that was missed by more is not used: the next one could be too near. */
const LATE_MS = 250;
/** The pause where the platform does not take the app. */
const REFUSED_MS = 5 * 60_000;

/** A keeper that keeps nothing yet. */
export function createSocketKeeper(ports: SocketPorts): SocketKeeper {
  return new Keeper(ports);
}

/** One connection that is kept here. */
interface Kept extends HeldLease {
  resume: Json | null;
  /** Whether something was taken since it was last connected. */
  useful: boolean;
  readonly ends: AbortController;
  running: Promise<void>;
}

class Keeper implements SocketKeeper {
  readonly #ports: SocketPorts;
  readonly #kept = new Map<string, Kept>();
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** Monotonic: until then the leases hold for certain. */
  #certainUntil = 0;
  #failing = false;
  #closed = false;

  constructor(ports: SocketPorts) {
    this.#ports = ports;
  }

  start(): void {
    const look = (): void => {
      this.#looking ??= this.#look().then((hasMore) => {
        this.#looking = undefined;
        if (hasMore && !this.#closed) this.#soon = setTimeout(look, SOON_MS).unref();
      });
    };
    this.#timer = setInterval(look, LOOK_MS).unref();
    look();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    await this.#looking;
    const kept = [...this.#kept.values()];
    for (const { ends } of kept) ends.abort(new Error("this process is ending"));
    await Promise.all(kept.map(({ running }) => running));
    if (kept.length > 0) await this.#ports.leases.release(kept.map(toLease)).catch((error: unknown) => this.#ports.report(toFault(error)));
  }

  /** Keeps what is kept and takes what nobody has. Whether there may be more of that. */
  async #look(): Promise<boolean> {
    const { leases, clock, report } = this.#ports;
    const askedMs = clock.monotonic();
    try {
      const held = new Set((await leases.keep([...this.#kept.values()].map(toLease))).map(keyOf));
      this.#certainUntil = askedMs + CHANNEL_LEASE_MS - MARGIN_MS;
      const gone = [...this.#kept.values()].filter((kept) => !held.has(keyOf(kept)));
      for (const kept of gone) this.#drop(kept);
      this.#giveBack(gone).catch((error: unknown) => report(toFault(error)));
      const room = Math.min(CLAIM_MAX, HELD_MAX - this.#kept.size);
      const claimed = room > 0 && !this.#closed ? await leases.claim(room) : [];
      for (const lease of claimed) this.#begin(lease);
      this.#failing = false;
      return claimed.length === CLAIM_MAX;
    } catch (error) {
      if (!this.#failing) report(toFault(error)); // one report per outage is enough
      this.#failing = true;
      if (clock.monotonic() > this.#certainUntil) for (const kept of this.#kept.values()) this.#drop(kept);
      return false;
    }
  }

  /** A tenant that is not served now may be again soon: its connections are anybody's as soon as they have ended here. */
  async #giveBack(gone: readonly Kept[]): Promise<void> {
    await Promise.all(gone.map(({ running }) => running));
    const free = gone.filter((kept) => !this.#kept.has(keyOf(kept)));
    if (free.length > 0 && !this.#closed) await this.#ports.leases.release(free.map(toLease));
  }

  #drop(kept: Kept): void {
    if (this.#kept.get(keyOf(kept)) === kept) this.#kept.delete(keyOf(kept));
    kept.ends.abort(new Error("the connection is no longer this process's"));
  }

  #begin(lease: HeldLease): void {
    // held before, and lost in between: the old one is on its way out
    const before = this.#kept.get(keyOf(lease));
    if (before) this.#drop(before);
    const ends = new AbortController();
    const kept: Kept = { ...lease, useful: false, ends, running: Promise.resolve() };
    this.#kept.set(keyOf(kept), kept);
    kept.running = this.#run(kept).catch((error: unknown) => this.#ports.report(toFault(error)));
  }

  /** Connects again and again, for as long as the lease is held. */
  async #run(kept: Kept): Promise<void> {
    const { clock, random, report } = this.#ports;
    const { signal } = kept.ends;
    for (let failures = 0; !signal.aborted;) {
      const begunMs = clock.monotonic();
      kept.useful = false;
      try {
        const end = await this.#connect(kept);
        if (!end) return;
        if (end.kind === "refused") await pause(REFUSED_MS, undefined, { signal, ref: false });
      } catch (error) {
        if (signal.aborted) return;
        const fault = toFault(error);
        if (failures === 0) report(fault);
      }
      failures = kept.useful || clock.monotonic() - begunMs >= GOOD_MS ? 0 : failures + 1;
      const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** failures);
      await pause(pauseMs * (0.5 + fractionOf(random) / 2), undefined, { signal, ref: false }).catch(() => undefined); // the loop looks at the signal
    }
  }

  /** One connection; undefined where there is nothing to connect any more. */
  async #connect(kept: Kept): Promise<SocketEnd | undefined> {
    const { installations, channels, receiver } = this.#ports;
    const found = await installations.find(kept.installation);
    const channel = found && channels.get(found.platform);
    if (!found || !channel) return undefined;
    const end = await channel.speak(await this.#turn(found, kept));
    if (end.kind === "refused") receiver.noteSocketRefused(found, end.reason);
    return end;
  }

  async #turn(found: Installation, kept: Kept): Promise<SocketTurn> {
    const { receiver, egress, clock, random, report, leases } = this.#ports;
    const installation = await receiver.open(found);
    const { signal } = kept.ends;
    const certain = (): boolean => !signal.aborted && clock.monotonic() < this.#certainUntil;
    return {
      installation,
      shard: kept.shard,
      shards: kept.shards,
      signal,
      clock,
      random,
      get resume() {
        return kept.resume;
      },
      set resume(value) {
        kept.resume = value;
      },
      connect: (url, messageBytesMax) => egress.openSocket({ url, messageBytesMax, queuedMax: QUEUED_MAX, timeoutMs: CONNECT_MS, signal }),
      async take(reading) {
        // another process may have it by now: whatever comes here comes there too
        if (!certain()) throw new Fault("dependency_unavailable", "the lease is no longer certain");
        const answer = await receiver.take(installation, reading, receiver.ownSource("socket"));
        kept.useful = true;
        return answer;
      },
      widen: async (shards) => {
        await leases.widen(kept.installation, shards);
        this.#drop(kept);
      },
      place: (lane) => this.#place(kept, lane),
      problem: (error) => report(toFault(error)),
    };
  }

  async #place({ installation, ends: { signal } }: Kept, lane: number): Promise<void> {
    const { leases, clock } = this.#ports;
    for (;;) {
      const askedMs = clock.monotonic();
      const waitMs = await leases.place(installation, lane);
      await pause(Math.max(0, askedMs + waitMs - clock.monotonic()), undefined, { signal, ref: false });
      if (clock.monotonic() - askedMs - waitMs <= LATE_MS) return;
    }
  }
}

function toLease({ installation, shard, shards, resume }: Kept): HeldLease {
  return { installation, shard, shards, resume };
}

function keyOf({ installation, shard }: Pick<HeldLease, "installation" | "shard">): string {
  return `${installation}/${shard}`;
}
