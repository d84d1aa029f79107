import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { appOf, botOf, commandOf, type DiscordApp, messageOf, startDiscord } from "./discord-apps.ts";
import { startDiscordGateway } from "./discord-gateway.ts";
import type { AppConnection } from "./socket-server.ts";

const [ofA, ofB, fake] = [appOf(5), appOf(6), appOf(7)];
const apps = [ofA, ofB, fake];
const discord = await startDiscord();
const freehold = await startFreehold({ settings: { channels: { discord: { apiUrl: discord.url } } } });
const operator = freehold.trusted(freehold.platform.admin);
const gateway = await startDiscordGateway(discord, apps);
const { sessions, heartbeat, names, connectionOf, say } = gateway;

/** A message that waits in the session for whoever goes on with it. */
function sayMeanwhile(session: string, channel: string): void {
  gateway.sayMeanwhile(session, "MESSAGE_CREATE", messageOf(ofA, { channel_id: channel }));
}

async function answers(count: number): Promise<typeof discord.sent> {
  await until(`${count} answers`, () => discord.sent.length >= count);
  return discord.sent;
}

/** When everything that was said before is handled: a message that is said after it is answered. */
async function settled(app = ofA): Promise<void> {
  const message = messageOf(app, { author: { id: "500000000000000009" }, channel_id: "400000000000000009" });
  await say(app, "MESSAGE_CREATE", message);
  await until("the marker's answer", () => discord.sent.some(({ place }) => place === "400000000000000009"));
  discord.sent.splice(0, discord.sent.length, ...discord.sent.filter(({ place }) => place !== "400000000000000009"));
}

async function install(tenant: string, app: DiscordApp, settings: object = {}) {
  discord.add(app);
  const given = { botToken: app.botToken, guilds: [app.guild], socket: true, ...settings };
  return await operator.post(`/admin/v1/tenants/${tenant}/channels`, { platform: "discord", settings: given });
}

describe("Discord over a connection", () => {
  guard(freehold);
  after(() => {
    gateway.close();
    discord.close();
    assert.deepEqual(discord.problems, []);
  });
  before(async () => {
    const replies = [await install("a", ofA), await install("b", ofB)];
    for (const reply of replies) assert.equal(reply.status, 201, reply.text);
  });
  beforeEach(() => {
    discord.sent.length = 0;
    freehold.agents.a.received.length = 0;
    freehold.agents.b.received.length = 0;
  });

  test("the app says who it is, and wants messages alone", async () => {
    const connection = await connectionOf(ofA);
    const [first] = connection.said;
    assert.deepEqual([first?.["op"], (first?.["d"] as { intents: number } | undefined)?.intents], [2, 1 << 9]);
    assert.equal(connection.path, "/?v=10&encoding=json");
  });

  test("a message that mentions the app is answered where it stands, by the agent of the server's tenant, and mentions nobody", async () => {
    const message = messageOf(ofA);
    await say(ofA, "MESSAGE_CREATE", message);
    const [answer] = await answers(1);
    assert.deepEqual(answer, {
      app: ofA.id,
      place: "400000000000000001",
      body: {
        content: "The answer of a.",
        allowed_mentions: { parse: [], replied_user: false },
        message_reference: { message_id: message["id"], fail_if_not_exists: false },
      },
    });
    const [question] = freehold.agents.a.received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    assert.deepEqual([question?.["text"], question?.["userId"]], ["How long do refunds take?", "discord:500000000000000001"]);
    assert.equal(freehold.agents.b.received.length, 0);
  });

  test("bots, webhooks, the app itself, what is only overheard, direct messages and other servers are not answered", async () => {
    for (const over of [
      { author: { id: "500000000000000002", bot: true } },
      { webhook_id: "700000000000000009" },
      { author: { id: botOf(ofA) } },
      { mentions: [] },
      { mentions: [{ id: botOf(ofB) }] },
      { guild_id: undefined },
      { guild_id: ofB.guild },
      { type: 7 },
      { content: `<@${botOf(ofA)}>  ` },
      { content: 7 },
    ])
      await say(ofA, "MESSAGE_CREATE", messageOf(ofA, over));
    await settled();
    assert.deepEqual(discord.sent, []);
    assert.equal(freehold.agents.a.received.length, 1);
    const noted = await freehold.sql(
      "select from freehold.audit_entries where action = 'channel_delivery_dropped' and reason = 'another_workspace'",
    );
    assert.equal(noted.length > 0, true);
  });

  test("direct messages are answered where the tenant wants it, and asked for only then", async () => {
    const direct = appOf(8);
    apps.push(direct);
    assert.equal((await install("a", direct, { directMessages: true })).status, 201);
    const connection = await connectionOf(direct);
    assert.deepEqual((connection.said[0]?.["d"] as { intents: number } | undefined)?.intents, (1 << 9) | (1 << 12));
    await say(direct, "MESSAGE_CREATE", messageOf(direct, { guild_id: undefined, mentions: [], channel_id: "400000000000000007" }));
    const [answer] = await answers(1);
    assert.deepEqual([answer?.app, answer?.place], [direct.id, "400000000000000007"]);
  });

  test("the test of a channel goes through it", async () => {
    const [row] = await freehold.sql<{ id: string }>("select id from freehold.channel_installations where app = $1", [ofA.id]);
    const run = await operator.post(`/admin/v1/tenants/a/channels/${row?.id ?? ""}/test`, { to: "400000000000000002" });
    assert.partialDeepStrictEqual(run.json(), { signed: false, outcome: { state: "sent", problem: null } });
  });

  test("a command is acknowledged by a call and answered later, once, though it comes twice", async () => {
    const command = JSON.parse(commandOf(ofA)) as { id: string; token: string };
    await say(ofA, "INTERACTION_CREATE", command);
    await say(ofA, "INTERACTION_CREATE", command);
    await until("its answer", () => discord.sent.some(({ place }) => place === command.token));
    await settled();
    assert.equal(discord.sent.filter(({ place }) => place === command.token).length, 1);
    assert.deepEqual(discord.sent.find(({ place }) => place === command.id)?.body, { type: 5 });
  });

  test("a connection that is lost, or that Discord wants anew, goes on where it ended", async () => {
    for (const lose of [
      (each: AppConnection) => each.cut(),
      (each: AppConnection) => each.send({ op: 7, d: null }),
      (each: AppConnection) => each.close(4_000),
    ]) {
      const first = await connectionOf(ofA);
      const session = gateway.sessionOver(first);
      lose(first);
      await until("its end", () => !first.open);
      // said while nobody was there
      sayMeanwhile(session, "400000000000000003");
      const second = await connectionOf(ofA);
      assert.deepEqual([second.said[0]?.["op"], gateway.sessionOver(second)], [6, session]);
      await until("what was missed is answered", () => discord.sent.some(({ place }) => place === "400000000000000003"));
      discord.sent.length = 0;
    }
  });

  test("a session that Discord has forgotten begins anew", async () => {
    const first = await connectionOf(ofA);
    await settled();
    sessions.delete(gateway.sessionOver(first));
    first.cut();
    const second = await connectionOf(ofA);
    assert.equal(second.said[0]?.["op"], 2);
    await settled();
  });

  test("a heartbeat is answered when Discord asks for one, and comes by itself", async () => {
    const connection = await connectionOf(ofA);
    connection.send({ op: 1, d: null });
    await until("a heartbeat", () => connection.said.some(({ op }) => op === 1));
    await settled();
    heartbeat.interval = 100;
    connection.cut();
    const other = await connectionOf(ofA);
    await until("heartbeats", () => other.said.filter(({ op }) => op === 1).length > 2);
    await settled();
    heartbeat.interval = 60_000;
    other.cut();
    await connectionOf(ofA);
  });

  test("another gateway goes on with the session of one that ended, and nothing is lost", async () => {
    const held = await connectionOf(ofA);
    const session = gateway.sessionOver(held);
    const other = await freehold.second();
    await freehold.app.services.channels.sockets.close();
    await until("its end", () => !held.open);
    sayMeanwhile(session, "400000000000000004");
    const next = await connectionOf(ofA);
    assert.deepEqual([next.said[0]?.["op"], gateway.sessionOver(next)], [6, session]);
    await until("what was missed is answered", () => discord.sent.some(({ place }) => place === "400000000000000004"));
    assert.ok(other.url);
  });

  test("a token that Discord no longer takes, and a connection that names another app, carry nothing and are noted", async () => {
    names.set(fake, ofA.id);
    assert.equal((await install("a", fake)).status, 201);
    const noted = async (reason: string): Promise<boolean> =>
      (await freehold.sql("select from freehold.audit_entries where action = 'channel_socket_refused' and reason = $1", [reason])).length >
      0;
    await until("it is noted", () => noted("another_app"));
    const connection = await connectionOf(ofB);
    connection.close(4_004);
    await until("it is noted", () => noted("close_4004"));
    assert.equal(discord.sent.length, 0);
  });
});
