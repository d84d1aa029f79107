import type pg from "pg";
import { Fault } from "../../kernel/index.ts";
import { stateOf } from "./client-state.ts";
import { sqlState } from "./data-fault.ts";
import { TurnLine } from "./turn-line.ts";

/** A set of connections that log in alike. A set that belongs to one tenant is given to nobody else. */
export interface PoolSpec {
  /** Names the set: two specs with one key are one set. */
  readonly key: string;
  /** The tenant to whom it belongs, by internal id; none for connections that enter a tenant for each statement. */
  readonly tenant: string | undefined;
  /** Opens a connection, ready for use. */
  connect(): Promise<pg.Client>;
}

/** A connection on loan. */
export interface Lease {
  readonly client: pg.Client;
  /** Gives it back. One that is not clean is ended and never used again. */
  release(clean: boolean): void;
}

/** What bounds all connections of a process together. */
export interface BudgetOptions {
  readonly connectionsMax: number;
  /** The most that one tenant may hold at once, so that a flood of one leaves some for the others. */
  readonly perTenantMax: number;
  readonly acquireTimeoutMs: number;
  /** How long an unused connection is kept; 0 keeps it. */
  readonly idleTimeoutMs: number;
  /** Told of the loss of connections that nobody uses at the moment, but for those that end with the home of one tenant. */
  readonly report: (fault: Fault) => void;
}

/**
 * While others wait for a connection of another set, a connection serves its own set so often before it is closed to make room: a login
 * costs milliseconds, so handing over with every statement would give everyone less.
 */
const TURNS_BEFORE_HANDOVER = 16;
/**
 * Whose set has connections waits so long for one of them before another set's is closed for it: most statements are done sooner than a login.
 */
const PATIENCE_MS = 25;
/** A farewell that is not answered by then is not waited for: by itself a connection whose other side is gone would end after a quarter of an hour. */
const END_MS = 1_000;
const SWEEP_MS = 15_000;
/** What a server says to a connection that it ends at somebody's order. */
const ADMIN_SHUTDOWN = "57P01";

interface Connection {
  readonly client: pg.Client;
  readonly pool: Pool;
  /** How often it was handed on within its set while others waited. */
  turns: number;
  idleSinceMs: number;
}

interface Pool {
  readonly spec: PoolSpec;
  /** The least recently used first. */
  readonly idle: Connection[];
  /** Open or being opened, in use or not. */
  open: number;
}

interface Waiter {
  readonly spec: PoolSpec;
  readonly resolve: (lease: Lease) => void;
  readonly reject: (fault: Fault) => void;
  /** Whether it has waited for {@link PATIENCE_MS}, by the timer's word: a clock that is asked beside it may say otherwise, and nothing asks again. */
  waited: boolean;
  readonly timers: readonly NodeJS.Timeout[];
}

/**
 * One budget of connections over any number of sets. Where none is free, tenants get the next one in turn, however many statements each of
 * them has waiting and whether or not it has a set of its own; room is made by closing the connection that was unused for longest.
 */
export class ConnectionBudget {
  readonly #options: BudgetOptions;
  readonly #pools = new Map<string, Pool>();
  readonly #line = new TurnLine<Waiter>();
  readonly #held = new Map<string, number>();
  readonly #sweep: NodeJS.Timeout | undefined;
  /** Open or being opened. */
  #open = 0;
  #closed = false;
  #drained: (() => void) | undefined;

  constructor(options: BudgetOptions) {
    this.#options = options;
    if (options.idleTimeoutMs > 0) this.#sweep = setInterval(() => this.#closeUnused(), SWEEP_MS).unref();
  }

  /** Connections that are open or being opened, and the sets that have any. */
  get use(): { readonly connections: number; readonly pools: number } {
    return { connections: this.#open, pools: this.#pools.size };
  }

  /** A connection of the set, on behalf of this tenant (or of the platform). Throws `overloaded` when none came free in time. */
  acquire(spec: PoolSpec, holder: string): Promise<Lease> {
    if (this.#closed) return Promise.reject(new Fault("dependency_unavailable", "the store is closed"));
    if (spec.tenant !== undefined && spec.tenant !== holder) {
      return Promise.reject(new Fault("isolation_violation", "a connection of one tenant was asked for on behalf of another"));
    }
    const ready = this.#mayHave(holder) ? this.#pools.get(spec.key)?.idle.pop() : undefined;
    if (ready) {
      this.#hold(holder); // a connection is unused only while nobody waits who could have it
      return Promise.resolve(this.#lease(ready, holder));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#line.remove(holder, waiter);
        reject(new Fault("overloaded", "no database connection came free in time", { public: { retryAfterMs: 1000 } }));
      }, this.#options.acquireTimeoutMs);
      const patience = setTimeout(() => {
        waiter.waited = true;
        this.#dispatch();
      }, PATIENCE_MS);
      const waiter: Waiter = { spec, resolve, reject, waited: false, timers: [timer, patience] };
      this.#line.add(holder, waiter);
      this.#dispatch();
    });
  }

  /** Ends the unused connections of a set, for example because its login is gone. Those in use end when they come back unclean. */
  async drop(key: string): Promise<void> {
    const unused = this.#pools.get(key)?.idle.splice(0) ?? [];
    await Promise.all(unused.map((connection) => this.#end(connection)));
    this.#dispatch();
  }

  /** Refuses who waits, and resolves when every connection has come back and is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#sweep);
    for (const waiter of this.#line.clear()) {
      clearTimers(waiter);
      waiter.reject(new Fault("dependency_unavailable", "the store is closed"));
    }
    await Promise.all([...this.#pools.values()].flatMap(({ idle }) => idle.splice(0)).map((connection) => this.#end(connection)));
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  #mayHave(holder: string): boolean {
    return (this.#held.get(holder) ?? 0) < this.#options.perTenantMax;
  }

  #next(isWanted: (waiter: Waiter) => boolean): { readonly holder: string; readonly item: Waiter } | undefined {
    return this.#line.next((holder) => this.#mayHave(holder), isWanted);
  }

  /** Whether there is a connection for it, room for one, or one of another set that may be closed for it. */
  #canServe(waiter: Waiter): boolean {
    if ((this.#pools.get(waiter.spec.key)?.idle.length ?? 0) > 0 || this.#open < this.#options.connectionsMax) return true;
    return this.#isInNeed(waiter) && [...this.#pools.values()].some(({ idle }) => idle.length > 0);
  }

  #isInNeed({ spec, waited }: Waiter): boolean {
    return waited || (this.#pools.get(spec.key)?.open ?? 0) === 0;
  }

  /** Serves who waits, in turn, as far as connections reach. */
  #dispatch(): void {
    const servable = (waiter: Waiter): boolean => this.#canServe(waiter);
    for (let next = this.#next(servable); next && this.#serve(next.holder, next.item);) next = this.#next(servable);
  }

  /** Whether the waiter has left the line: with a connection that was there, or with one that is being opened for it. */
  #serve(holder: string, waiter: Waiter): boolean {
    const ready = this.#pools.get(waiter.spec.key)?.idle.pop();
    if (ready) {
      this.#leaveLine(holder, waiter);
      waiter.resolve(this.#lease(ready, holder));
      return true;
    }
    const unused = this.#open < this.#options.connectionsMax ? undefined : this.#leastRecentlyUsed();
    if (!unused && this.#open >= this.#options.connectionsMax) return false;
    this.#leaveLine(holder, waiter);
    const pool = this.#poolOf(waiter.spec);
    // counted from now on: the room of the one that goes is this one's, and nobody else may take it meanwhile
    pool.open++;
    this.#open++;
    void (unused ? this.#end(unused) : Promise.resolve()).then(() => this.#connect(pool, holder, waiter));
    return true;
  }

  #leaveLine(holder: string, waiter: Waiter): void {
    clearTimers(waiter);
    this.#line.remove(holder, waiter);
    this.#hold(holder);
  }

  #poolOf(spec: PoolSpec): Pool {
    let pool = this.#pools.get(spec.key);
    if (!pool) {
      pool = { spec, idle: [], open: 0 };
      this.#pools.set(spec.key, pool);
    }
    return pool;
  }

  async #connect(pool: Pool, holder: string, waiter: Waiter): Promise<void> {
    try {
      const client = await pool.spec.connect();
      waiter.resolve(this.#lease(this.#adopt(client, pool), holder));
    } catch (error) {
      this.#forget(pool);
      this.#putBack(holder);
      waiter.reject(toConnectFault(error));
      this.#afterReturn();
    }
  }

  #adopt(client: pg.Client, pool: Pool): Connection {
    const connection: Connection = { client, pool, turns: 0, idleSinceMs: 0 };
    const { idle } = pool;
    client.on("error", (error) => {
      const at = idle.indexOf(connection);
      if (at < 0) return; // who uses it learns of it by its own statement
      idle.splice(at, 1);
      if (!isHomeClosed(pool.spec, error)) this.#options.report(new Fault("dependency_unavailable", error.message, { cause: error }));
      this.#endLost(connection);
    });
    return connection;
  }

  #lease(connection: Connection, holder: string): Lease {
    let lent = true;
    return {
      client: connection.client,
      release: (clean) => {
        if (!lent) return;
        lent = false;
        this.#putBack(holder);
        this.#takeBack(connection, clean);
      },
    };
  }

  #takeBack(connection: Connection, clean: boolean): void {
    if (!clean || this.#closed) {
      this.#endLost(connection);
      return;
    }
    const { key } = connection.pool.spec;
    const own = this.#next(({ spec }) => spec.key === key);
    const foreign = own && this.#next((waiter) => waiter.spec.key !== key && this.#isInNeed(waiter));
    if (own && (!foreign || ++connection.turns <= TURNS_BEFORE_HANDOVER)) {
      this.#leaveLine(own.holder, own.item);
      own.item.resolve(this.#lease(connection, own.holder));
      return;
    }
    connection.turns = 0;
    connection.idleSinceMs = performance.now();
    connection.pool.idle.push(connection);
    this.#dispatch();
  }

  #hold(holder: string): void {
    this.#held.set(holder, (this.#held.get(holder) ?? 0) + 1);
  }

  #putBack(holder: string): void {
    const held = (this.#held.get(holder) ?? 1) - 1;
    if (held === 0) this.#held.delete(holder);
    else this.#held.set(holder, held);
  }

  #afterReturn(): void {
    if (this.#open === 0) this.#drained?.();
    this.#dispatch();
  }

  #leastRecentlyUsed(): Connection | undefined {
    let oldest: Connection | undefined;
    for (const { idle } of this.#pools.values()) {
      const [first] = idle;
      if (first && (!oldest || first.idleSinceMs < oldest.idleSinceMs)) oldest = first;
    }
    oldest?.pool.idle.shift();
    return oldest;
  }

  #closeUnused(): void {
    const since = performance.now() - this.#options.idleTimeoutMs;
    for (const { idle } of this.#pools.values()) {
      while (idle[0] && idle[0].idleSinceMs < since) {
        const connection = idle.shift();
        if (connection) this.#endLost(connection); // somebody may have come meanwhile, to whom its room belongs
      }
    }
  }

  #endLost(connection: Connection): void {
    void this.#end(connection).then(() => this.#afterReturn());
  }

  /** Closes it; its room is free when it is closed, which takes no longer than {@link END_MS}: somebody may wait for the room. */
  async #end({ client, pool }: Connection): Promise<void> {
    const late = setTimeout(() => stateOf(client).connection.stream.destroy(), END_MS);
    try {
      await client.end();
    } catch (error) {
      this.#options.report(toConnectFault(error));
    } finally {
      clearTimeout(late);
      this.#forget(pool);
    }
  }

  #forget(pool: Pool): void {
    this.#open--;
    if (--pool.open === 0) this.#pools.delete(pool.spec.key);
  }
}

function clearTimers({ timers }: Waiter): void {
  for (const timer of timers) clearTimeout(timer);
}

function toConnectFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  return new Fault("dependency_unavailable", `database: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
    public: { retryAfterMs: 1000 },
  });
}

/** A home that its tenant has left ends its connections with it: whoever still had some has lost nothing. */
function isHomeClosed({ tenant }: PoolSpec, error: Error): boolean {
  return tenant !== undefined && sqlState(error) === ADMIN_SHUTDOWN;
}
