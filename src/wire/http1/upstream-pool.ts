import { createSecureContext, type SecureContext } from "node:tls";
import type { Forward, Origin, OriginTls, UpstreamPool } from "../http.ts";
import { TimerWheel } from "../timer-wheel.ts";
import { type ConnectionKeeper, UpstreamConnection, type UpstreamUser } from "./upstream-connection.ts";

/** How coarse the time limits of a pool are. */
export interface UpstreamPoolOptions {
  /** Milliseconds between two looks at the limits; 50 when absent. */
  readonly tickMs?: number;
}

/** Idle connections to upstreams, for `Forward`. It has no connection until one is used. */
export function createUpstreamPool(options: UpstreamPoolOptions = {}): UpstreamPool {
  return new ConnectionPool(options.tickMs ?? TICK_MS);
}

const TICK_MS = 50;
/**
 * An answer that nobody asked for may lie on an idle connection, and would be taken for the answer to what is sent next. What was there this
 * long ago has been read when a request is sent: a turn of the loop has ended since. Where the loop stood still for longer, the socket
 * itself is looked at. That costs 4 µs of a request's 20, so that it is not done for every one.
 */
const PROVED_MS = 3;

/** Somebody who wants a connection. */
export interface Seeker extends UpstreamUser {
  /** False when nobody waits for the answer any more. */
  readonly wanted: boolean;
}

/** The connections of one owner to one origin. */
class Group implements ConnectionKeeper {
  readonly pool: ConnectionPool;
  readonly owner: string;
  readonly origin: Origin;
  readonly context: SecureContext | undefined;
  readonly idle: UpstreamConnection[] = [];
  readonly all = new Set<UpstreamConnection>();
  keepAlive: Forward["keepAlive"] = { idleMax: 0, idleMs: 0, requestsMax: 0 };

  constructor(pool: ConnectionPool, owner: string, origin: Origin) {
    this.pool = pool;
    this.owner = owner;
    this.origin = origin;
    this.context = origin.tls && toContext(origin.tls);
  }

  get wheel(): TimerWheel {
    return this.pool.wheel;
  }

  get isProved(): boolean {
    return this.pool.isProved;
  }

  keep(connection: UpstreamConnection): void {
    const { idleMax, idleMs, requestsMax } = this.keepAlive;
    if (this.idle.length >= idleMax || connection.requests >= requestsMax || this.pool.closed) return connection.destroy();
    this.wheel.set(connection, idleMs);
    this.pool.cool(this, connection);
  }

  drop(connection: UpstreamConnection): void {
    this.all.delete(connection);
    const at = this.idle.indexOf(connection);
    if (at !== -1) this.idle.splice(at, 1);
    if (this.all.size === 0) this.pool.forget(this);
  }
}

/** Keeps connections per owner and origin. Its own members are for the forwarding only. */
export class ConnectionPool implements UpstreamPool {
  readonly wheel: TimerWheel;
  closed = false;
  /** By owner, host and port; the last list differs in TLS only. */
  readonly #groups = new Map<string, Map<string, Map<number, Group[]>>>();
  #cooling: { group: Group; connection: UpstreamConnection }[] = [];
  #turnAsked = false;
  /** Ends of the last two turns of the event loop that were looked at. What could be read before the earlier one has been read. */
  #provedAtMs = 0;
  #turnAtMs = 0;

  constructor(tickMs: number) {
    this.wheel = new TimerWheel(tickMs);
  }

  get isProved(): boolean {
    return performance.now() - this.#provedAtMs <= PROVED_MS;
  }

  size(): { readonly idle: number; readonly busy: number } {
    let [idle, all] = [this.#cooling.length, 0];
    for (const group of this.#all()) {
      idle += group.idle.length;
      all += group.all.size;
    }
    return { idle, busy: all - idle };
  }

  close(): void {
    this.closed = true;
    const groups = Array.from(this.#all()); // groups go with their last connection
    for (const group of groups) for (const connection of group.all) connection.expire();
    this.wheel.close();
  }

  /** Gives a connection, which is told by `onReady`: at once when there is an idle one. */
  acquire(seeker: Seeker, forward: Forward): void {
    const group = this.#group(forward.owner, forward.origin);
    group.keepAlive = forward.keepAlive;
    this.#askTurn();
    const idle = group.idle.pop();
    if (idle) idle.lend(seeker);
    else this.#open(group, seeker, forward);
  }

  /** It becomes idle in the next turn: what its upstream sends behind an answer is seen before that. */
  cool(group: Group, connection: UpstreamConnection): void {
    this.#cooling.push({ group, connection });
    this.#askTurn();
  }

  forget(group: Group): void {
    const hosts = this.#groups.get(group.owner);
    const ports = hosts?.get(group.origin.host);
    const groups = ports?.get(group.origin.port);
    if (!hosts || !ports || !groups) return;
    groups.splice(groups.indexOf(group), 1);
    if (groups.length === 0) ports.delete(group.origin.port);
    if (ports.size === 0) hosts.delete(group.origin.host);
    if (hosts.size === 0) this.#groups.delete(group.owner);
  }

  #open(group: Group, seeker: Seeker, forward: Forward): void {
    group.all.add(new UpstreamConnection(group, group.origin, group.context, seeker, forward.timeouts.connectMs));
  }

  #askTurn(): void {
    if (this.#turnAsked) return;
    this.#turnAsked = true;
    setImmediate(() => this.#endTurn());
  }

  #endTurn(): void {
    this.#turnAsked = false;
    this.#provedAtMs = this.#turnAtMs;
    this.#turnAtMs = performance.now();
    const cooled = this.#cooling;
    if (cooled.length === 0) return;
    this.#cooling = [];
    for (const { group, connection } of cooled) {
      if (!group.all.has(connection)) continue;
      if (group.idle.length < group.keepAlive.idleMax) group.idle.push(connection);
      else connection.destroy();
    }
  }

  #group(owner: string, origin: Origin): Group {
    const known = this.#groups.get(owner)?.get(origin.host)?.get(origin.port);
    if (known) for (const group of known) if (isSameTls(group.origin.tls, origin.tls)) return group;
    const hosts = entry(this.#groups, owner, () => new Map<string, Map<number, Group[]>>());
    const ports = entry(hosts, origin.host, () => new Map<number, Group[]>());
    const groups = entry(ports, origin.port, (): Group[] => []);
    const made = new Group(this, owner, origin);
    groups.push(made);
    return made;
  }

  *#all(): Generator<Group, void> {
    for (const hosts of this.#groups.values()) for (const ports of hosts.values()) for (const groups of ports.values()) yield* groups;
  }
}

function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function isSameTls(a: OriginTls | undefined, b: OriginTls | undefined): boolean {
  if (a === b) return true;
  if (!a || !b) return false;
  return a.serverName === b.serverName && a.verify === b.verify && a.ca === b.ca && a.cert === b.cert && a.key === b.key;
}

function toContext({ ca, cert, key }: OriginTls): SecureContext {
  return createSecureContext({
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  });
}
