import { z } from "zod";
import { Fault, type FaultCode, fractionOf, type Json, parseJson, toFault } from "../../../kernel/index.ts";
import { tenantOf } from "../../../tenancy/registry/index.ts";
import type { OwnWebSocket } from "../../../wire/index.ts";
import type { Acknowledgement, AdmittedReading, OpenInstallation, SocketEnd, SocketTurn } from "../channel.ts";
import { assertUsable, type PlatformApi } from "../platform-api.ts";

/** What reads an event as if it had been delivered; undefined for kinds that are nothing of ours. */
export type DiscordReader = (kind: string, data: Json, installation: OpenInstallation, botUser: string) => AdmittedReading | undefined;

/** What one app is connected with. */
export interface DiscordLine {
  readonly api: PlatformApi;
  readonly apiUrl: string;
  readonly intents: number;
  readonly read: DiscordReader;
}

/** An id of Discord's. */
export const snowflake = z.string().regex(/^[0-9]{15,21}$/, "use an id of 15 to 21 digits");

const OP = { dispatch: 0, heartbeat: 1, identify: 2, resume: 6, reconnect: 7, invalidSession: 9, hello: 10, heartbeatAck: 11 } as const;
const PAYLOAD = z.object({ op: z.int(), d: z.json().optional(), s: z.int().nonnegative().nullish(), t: z.string().max(64).nullish() });
const HELLO = z.object({ heartbeat_interval: z.number().min(100).max(600_000) });
const READY = z.object({
  session_id: z.string().min(1).max(256),
  resume_gateway_url: z.string().max(2_048),
  user: z.object({ id: snowflake }),
  application: z.object({ id: z.string() }),
});
const RESUME = z.object({ session: z.string(), url: z.string(), user: z.string(), seq: z.int() });
type Resume = z.output<typeof RESUME>;
const INTERACTION = z.object({ id: snowflake, token: z.string().regex(/^[A-Za-z0-9._=-]{1,500}$/) });
const GATEWAY = z.object({
  url: z.string().max(2_048),
  /** Connections that Discord wants an app of this size to have. */
  shards: z.int().min(1).max(1_000),
  session_start_limit: z.object({ remaining: z.int(), max_concurrency: z.int().min(1) }),
});

/** Where a session begins, and how many lanes there are to begin in: of each, one every five seconds. */
interface Beginning {
  readonly url: string;
  readonly lanes: number;
}

const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Not 1000 or 1001, which would end the session too. */
const KEEP_SESSION = 4_000;
/** What it closes with when an app of this size has to have more connections. */
const MORE_SHARDS = 4_011;
/** What it closes with when the app has to be mended: token, shards, intents. */
const REFUSING: ReadonlySet<number> = new Set([4_004, 4_010, MORE_SHARDS, 4_012, 4_013, 4_014]);
/** What it closes with when the session is gone. */
const FORGOTTEN: ReadonlySet<number> = new Set([4_007, 4_009]);
/** After these an event is asked for again: Discord says it once, but goes on where it is told to. */
const LATER: ReadonlySet<FaultCode> = new Set(["dependency_unavailable", "overloaded", "storage_full", "tenant_moving"]);

/**
 * One connection to Discord's gateway (version 10, JSON), which goes on where the last one ended, in this process or another. Discord has to say
 * first that it is this app's. Where it goes on moves only when everything that matters of an event is put down.
 */
export async function speakDiscord(line: DiscordLine, turn: SocketTurn): Promise<SocketEnd> {
  const known = RESUME.safeParse(turn.resume).data;
  const beginning = known ? { url: known.url, lanes: 1 } : await askGateway(line, turn);
  if ("kind" in beginning) return beginning;
  const connection = await turn.connect(`${beginning.url.replace(/\/$/, "")}/?v=10&encoding=json`, MESSAGE_BYTES_MAX);
  const talk = new Talk(line, turn, connection, known, beginning.lanes);
  try {
    const end = await talk.listen();
    if (end) return end;
  } finally {
    talk.close();
  }
  const { closeCode } = connection;
  if (REFUSING.has(closeCode) || FORGOTTEN.has(closeCode)) turn.resume = null;
  if (closeCode === MORE_SHARDS) {
    const asked = await askGateway(line, turn);
    if ("kind" in asked) return asked;
  }
  if (REFUSING.has(closeCode)) return { kind: "refused", reason: `close_${closeCode}` };
  throw new Fault("upstream_unreachable", `Discord's connection was lost (${closeCode})`);
}

/** Where to begin; or that Discord does not take the token, or no more beginnings today, or wants more connections, which are then opened. */
async function askGateway({ api, apiUrl }: DiscordLine, turn: SocketTurn): Promise<Beginning | SocketEnd> {
  const { installation, signal } = turn;
  const headers = { authorization: `Bot ${installation.secrets["botToken"] ?? ""}` };
  const answer = await api(tenantOf(installation), { method: "GET", url: `${apiUrl}/api/v10/gateway/bot`, headers, signal });
  assertUsable("Discord", answer);
  const gateway = GATEWAY.safeParse(answer.body);
  if (answer.status !== 200 || !gateway.success) return { kind: "refused", reason: `status_${answer.status}` };
  const { url, shards, session_start_limit: limit } = gateway.data;
  if (shards > turn.shards) {
    await turn.widen(shards);
    return { kind: "again" };
  }
  return limit.remaining > 0 ? { url, lanes: limit.max_concurrency } : { kind: "refused", reason: "session_limit" };
}

class Talk {
  readonly #line: DiscordLine;
  readonly #turn: SocketTurn;
  readonly #connection: OwnWebSocket;
  readonly #lanes: number;
  #session: Resume | undefined;
  #heart: NodeJS.Timeout | undefined;
  #answered = true;

  constructor(line: DiscordLine, turn: SocketTurn, connection: OwnWebSocket, session: Resume | undefined, lanes: number) {
    this.#line = line;
    this.#lanes = lanes;
    this.#turn = turn;
    this.#connection = connection;
    this.#session = session;
  }

  /** Until the connection ends, undefined then; or until Discord says how to go on. */
  async listen(): Promise<SocketEnd | undefined> {
    for await (const text of this.#connection.messages) {
      const end = await this.#hear(PAYLOAD.parse(parseJson(Buffer.from(text), { bytesMax: MESSAGE_BYTES_MAX, depthMax: 64 })));
      if (end) return end;
    }
    return undefined;
  }

  close(): void {
    clearTimeout(this.#heart);
    this.#connection.close(KEEP_SESSION, "");
  }

  async #hear({ op, d: data = null, s: seq, t: kind }: z.output<typeof PAYLOAD>): Promise<SocketEnd | undefined> {
    switch (op) {
      case OP.hello:
        return await this.#begin(HELLO.parse(data).heartbeat_interval);
      case OP.heartbeat:
        return await this.#beat();
      case OP.heartbeatAck:
        this.#answered = true;
        return undefined;
      case OP.reconnect:
        return { kind: "again" };
      case OP.invalidSession:
        if (data !== true) this.#turn.resume = null;
        return { kind: "again" };
      case OP.dispatch:
        return await this.#event(kind ?? "", data, seq ?? 0);
      default:
        return undefined;
    }
  }

  async #begin(intervalMs: number): Promise<undefined> {
    const token = this.#turn.installation.secrets["botToken"] ?? "";
    // heartbeats of many apps are not all at once
    this.#schedule(intervalMs, intervalMs * fractionOf(this.#turn.random));
    if (this.#session) {
      const { session, seq } = this.#session;
      return await this.#say(OP.resume, { token, session_id: session, seq });
    }
    // not waited for, since it can take its time: meanwhile heartbeats are answered
    this.#identify(token).catch((error: unknown) => {
      if (!this.#turn.signal.aborted) this.#turn.problem(error);
      this.#connection.close(KEEP_SESSION, "");
    });
    return undefined;
  }

  async #identify(token: string): Promise<void> {
    const { shard, shards } = this.#turn;
    await this.#turn.place(shard % this.#lanes);
    const properties = { os: "linux", browser: "freehold", device: "freehold" };
    await this.#say(OP.identify, { token, intents: this.#line.intents, properties, shard: [shard, shards] });
  }

  #schedule(intervalMs: number, waitMs: number): void {
    this.#heart = setTimeout(() => {
      // nothing was said to the last one: nobody is there
      if (!this.#answered) return this.#connection.close(KEEP_SESSION, "");
      this.#answered = false;
      this.#schedule(intervalMs, intervalMs);
      this.#beat().catch((error: unknown) => this.#turn.problem(error));
    }, waitMs).unref();
  }

  async #event(kind: string, data: Json, seq: number): Promise<SocketEnd | undefined> {
    if (kind === "READY") {
      const { session_id: session, resume_gateway_url: url, user, application } = READY.parse(data);
      if (application.id !== this.#turn.installation.app) return { kind: "refused", reason: "another_app" };
      this.#session = { session, url, user: user.id, seq };
    } else if (this.#session) {
      await this.#take(kind, data, this.#session.user);
      this.#session = { ...this.#session, seq };
    }
    if (this.#session) this.#turn.resume = { ...this.#session };
    return undefined;
  }

  async #take(kind: string, data: Json, botUser: string): Promise<void> {
    const reading = this.#line.read(kind, data, this.#turn.installation, botUser);
    // what is only overheard is none of the tenant's messages
    if (!reading || (reading.kind === "dropped" && !reading.audit && reading.acknowledgement === undefined)) return;
    try {
      const answer = await this.#turn.take(reading);
      if (answer && kind === "INTERACTION_CREATE") await this.#acknowledge(data, answer);
    } catch (error) {
      if (LATER.has(toFault(error).code)) throw error;
      this.#turn.problem(error);
    }
  }

  /** An interaction that comes over the connection is acknowledged by a call, with its own token. */
  async #acknowledge(data: Json, answer: NonNullable<Acknowledgement>): Promise<void> {
    const { id, token } = INTERACTION.parse(data);
    await this.#line.api(tenantOf(this.#turn.installation), {
      method: "POST",
      url: `${this.#line.apiUrl}/api/v10/interactions/${id}/${token}/callback`,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(answer),
      signal: this.#turn.signal,
    });
  }

  async #beat(): Promise<undefined> {
    return await this.#say(OP.heartbeat, this.#session?.seq ?? null);
  }

  async #say(op: number, d: Json): Promise<undefined> {
    await this.#connection.send(JSON.stringify({ op, d }));
    return undefined;
  }
}
