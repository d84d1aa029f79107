import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { startStub, type StubServer, withParts } from "../support/stub-server.ts";

/** One app, as Discord knows it. */
export interface DiscordApp {
  readonly id: string;
  readonly botToken: string;
  readonly guild: string;
  /** Other servers that its bot is in. */
  readonly otherGuilds?: readonly string[];
  readonly privateKey: KeyObject;
  readonly publicKey: string;
}

/** What reached Discord: the edit of a deferred answer, or a message in a channel. */
export interface Sent {
  readonly app: string;
  readonly place: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Discord as far as an app sees it: a bot token opens its own app and servers, an answer's token the answers of its own app. */
export interface DiscordStub extends StubServer {
  readonly sent: Sent[];
  /** Where apps connect to, over how many connections each, how often they may begin anew, and how many at a time. */
  readonly gateway: { url: string; remaining: number; shards: number; lanes: number };
  add(app: DiscordApp): void;
}

/** The nth app. */
export function appOf(n: number): DiscordApp {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    id: `10000000000000000${n}`,
    botToken: `BotTokenOfAppNumber${n}.abcdef`,
    guild: `20000000000000000${n}`,
    privateKey,
    publicKey: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex"),
  };
}

/** Starts Discord. */
export async function startDiscord(): Promise<DiscordStub> {
  const apps: DiscordApp[] = [];
  const sent: Sent[] = [];
  const gateway = { url: "", remaining: 1_000, shards: 1, lanes: 1 };
  const stub = await startStub((request, body, response) => {
    const say = (status: number, value: object): void =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    const path = (request.url ?? "").replace("/api/v10", "");
    const app = apps.find(({ botToken }) => request.headers.authorization === `Bot ${botToken}`);
    const edit = /^\/webhooks\/([0-9]+)\/([^/]+)\/messages\/@original$/.exec(path);
    if (edit) {
      assert.equal(request.method, "PATCH");
      assert.equal(request.headers.authorization, undefined, "an answer's token is enough, and the bot's must not go along");
      const [, id = "", token = ""] = edit;
      if (!token.startsWith(`answer-of-${id}-`)) return say(404, { code: 10015 });
      sent.push({ app: id, place: token, body: JSON.parse(body.toString()) as Record<string, unknown> });
      return say(200, {});
    }
    const callback = /^\/interactions\/([0-9]+)\/([^/]+)\/callback$/.exec(path);
    if (callback) {
      assert.equal(request.headers.authorization, undefined, "an interaction's token is enough");
      sent.push({ app: "", place: callback[1] ?? "", body: JSON.parse(body.toString()) as Record<string, unknown> });
      return void response.writeHead(204).end();
    }
    if (!app) return say(401, { code: 0 });
    if (path === "/applications/@me") return say(200, { id: app.id, verify_key: app.publicKey });
    if (path === "/gateway/bot") {
      const { url, shards, remaining, lanes } = gateway;
      return say(200, { url, shards, session_start_limit: { total: 1_000, remaining, reset_after: 1, max_concurrency: lanes } });
    }
    if (path.startsWith("/guilds/")) {
      const guild = [app.guild, ...(app.otherGuilds ?? [])].find((id) => path === `/guilds/${id}`);
      return guild === undefined ? say(404, { code: 10004 }) : say(200, { id: guild });
    }
    const channel = /^\/channels\/([0-9]+)\/messages$/.exec(path)?.[1];
    assert.ok(channel, `Discord has no ${path}`);
    sent.push({ app: app.id, place: channel, body: JSON.parse(body.toString()) as Record<string, unknown> });
    say(200, {});
  });
  return withParts(stub, { sent, gateway, add: (app: DiscordApp) => void apps.push(app) });
}

/** Signs as Discord does (https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint). */
export function signedBy({ privateKey }: DiscordApp, body: string, atMs = Date.now()): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(atMs / 1000));
  const signature = sign(null, Buffer.concat([Buffer.from(timestamp), Buffer.from(body)]), privateKey).toString("hex");
  return { "content-type": "application/json", "x-signature-timestamp": timestamp, "x-signature-ed25519": signature };
}

let messages = 0;

/** A message in a server that mentions the app; `over` it what differs. */
export function messageOf(app: DiscordApp, over: object = {}): Record<string, unknown> {
  const n = ++messages;
  return {
    id: `600000000000000${String(n).padStart(3, "0")}`,
    type: 0,
    channel_id: "400000000000000001",
    guild_id: app.guild,
    author: { id: "500000000000000001", username: "somebody" },
    content: `<@${botOf(app)}> How long do refunds take?`,
    mentions: [{ id: botOf(app), username: "bot" }],
    ...over,
  };
}

/** The user that an app's bot is. */
export function botOf(app: DiscordApp): string {
  return `7${app.id.slice(1)}`;
}

let interactions = 0;

/** A slash command with a question. */
export function commandOf(app: DiscordApp, over: object = {}): string {
  const n = ++interactions;
  return JSON.stringify({
    id: `300000000000000${String(n).padStart(3, "0")}`,
    application_id: app.id,
    type: 2,
    token: `answer-of-${app.id}-${n}`,
    guild_id: app.guild,
    channel_id: "400000000000000001",
    member: { user: { id: "500000000000000001", username: "somebody" } },
    data: { name: "ask", options: [{ name: "question", type: 3, value: "How long do refunds take?" }] },
    ...over,
  });
}
