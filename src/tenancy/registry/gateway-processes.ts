import { setTimeout as pause } from "node:timers/promises";
import { type Clock, type Fault, type Random, SerialQueue, toFault, uuidV7 } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";

/** What the processes are kept with. `report` takes what no caller can be told of. */
export interface GatewayProcessesPorts {
  readonly system: SystemData;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: (fault: Fault) => void;
}

/** How many gateways there are, and how many of them serve what was written. */
export interface Confirmation {
  readonly processes: number;
  readonly serving: number;
}

const BEAT_MS = 5_000;
/** A process that was not heard of for so long is taken for gone, also where its connection still seems to be open. */
const GONE_SECONDS = 15;
/** Rows of processes that were killed. */
const KEPT_MINUTES = 60;
/** How long somebody who has written waits for those that do not serve it yet. */
const WAIT_MS = 2_000;
const LOOK_MS = 25;

/**
 * What each gateway on this database serves, as the numbers of writings. A gateway is there while its connection is open; that of a killed
 * one is closed by its machine at once.
 */
export class GatewayProcesses {
  readonly #ports: GatewayProcessesPorts;
  readonly #id: string;
  #served = 0;
  #holding: Promise<void> | undefined;
  #beat: NodeJS.Timeout | undefined;
  /** One after the other, so that no older number comes last. */
  readonly #writing = new SerialQueue();

  constructor(ports: GatewayProcessesPorts) {
    this.#ports = ports;
    this.#id = uuidV7(ports.clock, ports.random);
  }

  /** From now on this process counts as a gateway, which serves everything up to this number. */
  async serves(revision: number): Promise<void> {
    this.#served = revision;
    const { system } = this.#ports;
    await (this.#holding ??= this.#write(() => system.keep(`select freehold.hold_gateway('${this.#id}')`)));
    this.#beat ??= setInterval(() => void this.#tell(), BEAT_MS).unref();
    await this.#tell();
  }

  /** Waits, for a bounded time, until all that are there serve everything up to this number. */
  async confirmed(revision: number): Promise<Confirmation> {
    const { system, clock } = this.#ports;
    const endMs = clock.monotonic() + WAIT_MS;
    for (;;) {
      const { rows } = await system.query<Confirmation>(sql`
        select count(*)::int as processes, count(*) filter (where served >= ${revision})::int as serving
        from freehold.gateway_processes where seen_at > clock_timestamp() - make_interval(secs => ${GONE_SECONDS})
          and (id = ${this.#id} or not freehold.gateway_is_gone(id))`);
      const { processes, serving } = rows[0] ?? { processes: 0, serving: 0 };
      if (serving === processes || clock.monotonic() > endMs) return { processes, serving };
      await pause(LOOK_MS);
    }
  }

  /** This process no longer counts. */
  async close(): Promise<void> {
    if (!this.#beat) return;
    clearInterval(this.#beat);
    await this.#write(() => this.#ports.system.query(sql`delete from freehold.gateway_processes where id = ${this.#id}`));
  }

  #tell(): Promise<void> {
    return this.#write(() =>
      this.#ports.system.query(sql`
        with gone as (
          delete from freehold.gateway_processes
          where id <> ${this.#id} and seen_at < clock_timestamp() - make_interval(mins => ${KEPT_MINUTES}))
        insert into freehold.gateway_processes (id, served) values (${this.#id}, ${this.#served})
        on conflict (id) do update set served = excluded.served, seen_at = clock_timestamp()`),
    );
  }

  /** Whoever writes meanwhile is told that this process has not confirmed; nothing else depends on it. */
  async #write(work: () => Promise<unknown>): Promise<void> {
    try {
      await this.#writing.run(work);
    } catch (error) {
      this.#ports.report(toFault(error));
    }
  }
}
