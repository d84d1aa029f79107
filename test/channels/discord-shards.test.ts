import assert from "node:assert/strict";
import { after, beforeEach, describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { appOf, type DiscordApp, messageOf, startDiscord } from "./discord-apps.ts";
import { type DiscordSession, startDiscordGateway } from "./discord-gateway.ts";

const SHARDS_MS = 90_000;
/** A server for each of three shards: Discord's rule is the id without its 22 lowest bits, modulo the shards. */
const GUILDS = [0, 1, 2].map((shard) => String((BigInt(3 * 10 ** 10 + shard) << 22n) + 7n));
const app: DiscordApp = { ...appOf(9), guild: GUILDS[0] ?? "", otherGuilds: GUILDS.slice(1) };
const discord = await startDiscord();
const gateway = await startDiscordGateway(discord, [app]);
const freehold = await startFreehold({ settings: { channels: { discord: { apiUrl: discord.url } } } });
let asked = 0;

function shardOf(guild: string, shards: number): number {
  return Number((BigInt(guild) >> 22n) % BigInt(shards));
}

/** The sessions that go on over so many open connections, by their shard. */
async function sessionsOf(shards: number): Promise<readonly (DiscordSession & { readonly id: string; readonly resumed: boolean })[]> {
  return await until(
    `${shards} connections`,
    () => {
      const open = gateway.connections.filter((connection) => connection.open);
      const going = open.flatMap((connection) => {
        const id = gateway.sessionOver(connection);
        const session = gateway.sessions.get(id);
        return session ? [{ ...session, id, resumed: connection.said.some(({ op }) => op === 6) }] : [];
      });
      const whole = open.length === shards && going.length === shards && going.every((each) => each.shards === shards);
      return whole ? going.toSorted((one, other) => one.shard - other.shard) : undefined;
    },
    SHARDS_MS,
  );
}

function question(guild: string): { readonly channel: string; readonly message: object } {
  const channel = String(400_000_000_000_000_100n + BigInt(++asked));
  return { channel, message: messageOf(app, { guild_id: guild, channel_id: channel }) };
}

async function answered(channels: readonly string[]): Promise<void> {
  await until("all answers", () => channels.every((channel) => discord.sent.some(({ place }) => place === channel)), SHARDS_MS);
  assert.deepEqual(discord.sent.map(({ place }) => place).toSorted(), channels.toSorted());
}

describe("a Discord app that is too large for one connection", () => {
  guard(freehold);
  after(() => {
    gateway.close();
    discord.close();
    assert.deepEqual(discord.problems, []);
  });
  beforeEach(() => {
    discord.sent.length = 0;
  });

  test("has as many as Discord wants, begun one after the other, and is answered over each", async () => {
    discord.add(app);
    discord.gateway.shards = 3;
    const settings = { botToken: app.botToken, guilds: GUILDS, socket: true };
    const reply = await freehold.trusted(freehold.platform.admin).post("/admin/v1/tenants/a/channels", { platform: "discord", settings });
    assert.equal(reply.status, 201, reply.text);
    assert.deepEqual(
      (await sessionsOf(3)).map(({ shard }) => shard),
      [0, 1, 2],
    );
    assert.equal(gateway.tooEarly, 0);
    const questions = GUILDS.map((guild) => ({ guild, ...question(guild) }));
    for (const { guild, message } of questions) await gateway.say(app, "MESSAGE_CREATE", message, shardOf(guild, 3));
    await answered(questions.map(({ channel }) => channel));
  });

  test("goes on at another gateway, each session where it ended", async () => {
    const before = await sessionsOf(3);
    await freehold.second();
    await freehold.app.services.channels.sockets.close();
    const missed = GUILDS.map(question);
    for (const [shard, { id }] of before.entries()) gateway.sayMeanwhile(id, "MESSAGE_CREATE", missed[shard]?.message ?? {});
    const now = await sessionsOf(3);
    assert.deepEqual(
      now.map(({ id, resumed }) => [id, resumed]),
      before.map(({ id }) => [id, true]),
    );
    await answered(missed.map(({ channel }) => channel));
  });

  test("gets more when it has grown: sessions of the old number end, and what comes twice meanwhile is answered once", async () => {
    const before = await sessionsOf(3);
    discord.gateway.shards = 4;
    discord.gateway.lanes = 2;
    const [guild = ""] = GUILDS;
    const { channel, message } = question(guild);
    await gateway.say(app, "MESSAGE_CREATE", message, shardOf(guild, 3));
    (await gateway.connectionOf(app, 1)).close(4_011);
    const now = await sessionsOf(4);
    assert.deepEqual(
      now.map(({ shard, resumed }) => [shard, resumed]),
      [0, 1, 2, 3].map((shard) => [shard, false]),
    );
    assert.ok(now.every(({ id }) => !before.some((old) => old.id === id)));
    assert.equal(gateway.tooEarly, 0);
    await gateway.say(app, "MESSAGE_CREATE", message, shardOf(guild, 4));
    const last = question(guild);
    await gateway.say(app, "MESSAGE_CREATE", last.message, shardOf(guild, 4));
    await answered([channel, last.channel]);
  });
});
