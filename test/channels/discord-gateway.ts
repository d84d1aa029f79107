import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { botOf, type DiscordApp, type DiscordStub } from "./discord-apps.ts";
import { type AppConnection, startSocketServer } from "./socket-server.ts";

/** A session that can be gone on with, of one of an app's connections, and what has been said in it since. */
export interface DiscordSession {
  readonly app: DiscordApp;
  readonly shard: number;
  readonly shards: number;
  readonly events: { s: number; t: string; d: object }[];
}

/** Discord's gateway as apps see it. */
export interface DiscordGateway {
  readonly connections: readonly AppConnection[];
  readonly sessions: Map<string, DiscordSession>;
  /** Milliseconds between heartbeats, for connections from now on. */
  readonly heartbeat: { interval: number };
  /** What READY names for an app, where it is not the app itself. */
  readonly names: Map<DiscordApp, string>;
  /** Sessions that were begun too early, and therefore refused. */
  readonly tooEarly: number;
  /** The session that goes on over a connection. */
  sessionOver(connection: AppConnection): string;
  /** The connection in use for one of an app's shards. */
  connectionOf(app: DiscordApp, shard?: number): Promise<AppConnection>;
  /** Says an event in the app's session: now, and to whoever goes on with it. */
  say(app: DiscordApp, t: string, d: object, shard?: number): Promise<void>;
  /** Says an event in a session while nobody is there, for whoever goes on with it. */
  sayMeanwhile(session: string, t: string, d: object): void;
  close(): void;
}

/** Sessions of a lane are begun five seconds after each other: here a little less, for a machine that is late with what was in time. */
const LANE_MS = 4_000;
const CONNECTED_MS = 60_000;

/** What Discord says to the apps' words. */
class Sessions {
  readonly all = new Map<string, DiscordSession>();
  readonly inUse = new Map<AppConnection, string>();
  readonly names = new Map<DiscordApp, string>();
  readonly #discord: DiscordStub;
  readonly #begunAt = new Map<string, number>();
  #begun = 0;
  tooEarly = 0;

  constructor(discord: DiscordStub) {
    this.#discord = discord;
  }

  resume(connection: AppConnection, app: DiscordApp, session: string, seq: number): void {
    const known = this.all.get(session);
    if (known?.app !== app) return connection.send({ op: 9, d: false });
    this.inUse.set(connection, session);
    for (const event of known.events) if (event.s > seq) connection.send({ op: 0, ...event });
    connection.send({ op: 0, s: known.events.length + 1, t: "RESUMED", d: {} });
  }

  identify(connection: AppConnection, app: DiscordApp, [shard, shards]: readonly [number, number]): void {
    const { gateway } = this.#discord;
    if (shard >= shards) return connection.close(4_010);
    if (shards < gateway.shards) return connection.close(4_011);
    if (this.#isTooEarly(`${app.id}/${shard % gateway.lanes}`)) return connection.send({ op: 9, d: false });
    const id = `session-${++this.#begun}`;
    this.all.set(id, { app, shard, shards, events: [] });
    this.inUse.set(connection, id);
    const ready = {
      v: 10,
      session_id: id,
      resume_gateway_url: gateway.url,
      user: { id: botOf(app) },
      application: { id: this.names.get(app) ?? app.id },
      shard: [shard, shards],
    };
    connection.send({ op: 0, s: 1, t: "READY", d: ready });
  }

  /** Puts an event down, and gives it as it is said. */
  put(session: string, t: string, d: object): object {
    const events = this.all.get(session)?.events;
    assert.ok(events);
    const event = { s: events.length + 2, t, d };
    events.push(event);
    return { op: 0, ...event };
  }

  #isTooEarly(lane: string): boolean {
    const [before, nowMs] = [this.#begunAt.get(lane), performance.now()];
    this.#begunAt.set(lane, nowMs);
    if (before === undefined || nowMs - before >= LANE_MS) return false;
    this.tooEarly++;
    return true;
  }
}

/** Starts one, strict about tokens, order, shards and lanes; the apps may become more. */
export async function startDiscordGateway(discord: DiscordStub, apps: readonly DiscordApp[]): Promise<DiscordGateway> {
  const heartbeat = { interval: 60_000 };
  const sessions = new Sessions(discord);
  const wires = await startSocketServer(
    (connection) => connection.send({ op: 10, d: { heartbeat_interval: heartbeat.interval } }),
    (connection, { op, d }) => {
      if (op === 1) return connection.send({ op: 11 });
      const said = d as { token: string; session_id?: string; seq?: number; shard: [number, number] };
      const app = apps.find(({ botToken }) => botToken === said.token);
      if (!app) return connection.close(4_004);
      if (op === 6) return sessions.resume(connection, app, said.session_id ?? "", said.seq ?? 0);
      assert.equal(op, 2);
      return sessions.identify(connection, app, said.shard);
    },
  );
  discord.gateway.url = wires.url;
  const sessionOver = (connection: AppConnection): string => sessions.inUse.get(connection) ?? "";

  async function connectionOf(app: DiscordApp, shard = 0): Promise<AppConnection> {
    const isOf = (connection: AppConnection): boolean => {
      const session = sessions.all.get(sessionOver(connection));
      return connection.open && session?.app === app && session.shard === shard;
    };
    return await until(`connection ${shard} of ${app.id}`, () => wires.connections.findLast(isOf), CONNECTED_MS);
  }

  return {
    connections: wires.connections,
    sessions: sessions.all,
    heartbeat,
    names: sessions.names,
    get tooEarly() {
      return sessions.tooEarly;
    },
    sessionOver,
    connectionOf,
    async say(app, t, d, shard) {
      const connection = await connectionOf(app, shard);
      connection.send(sessions.put(sessionOver(connection), t, d));
    },
    sayMeanwhile: (session, t, d) => void sessions.put(session, t, d),
    close: () => wires.close(),
  };
}
