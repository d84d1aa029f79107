import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import { Client, type Reply } from "../support/freehold-client.ts";
import { says } from "../support/recorded-agent.ts";
import { until } from "../support/until.ts";
import { appOf, commandOf, type DiscordApp, signedBy, startDiscord } from "./discord-apps.ts";

const discord = await startDiscord();
const freehold = await startFreehold({ settings: { channels: { discord: { apiUrl: discord.url } } } });
const operator = freehold.trusted(freehold.platform.admin);
const anybody = freehold.as({});
const { a } = freehold.agents;
const [ofA, ofB] = [appOf(1), appOf(2)];
const paths = new Map<DiscordApp, string>();

async function install(tenant: string, app: DiscordApp, settings: object = {}): Promise<Reply> {
  const body = { platform: "discord", settings: { botToken: app.botToken, guilds: [app.guild], ...settings } };
  return await operator.post(`/admin/v1/tenants/${tenant}/channels`, body);
}

async function deliver(
  body: string,
  app: DiscordApp,
  { client = anybody, headers = {} }: { client?: Client; headers?: object } = {},
): Promise<Reply> {
  return await client.send("POST", paths.get(app) ?? "", { body, headers: { ...signedBy(app, body), ...headers } });
}

async function sent(count: number): Promise<typeof discord.sent> {
  await until(`${count} answers`, () => discord.sent.length >= count);
  return discord.sent;
}

/** When a question that came after all others is answered, and nothing waits. */
async function settled(): Promise<void> {
  const count = discord.sent.length;
  const user = { user: { id: `6${String(Date.now()).padStart(16, "0")}` } };
  await deliver(commandOf(ofA, { member: user }), ofA);
  await sent(count + 1);
  await until("no delivery waits", async () => {
    const rows = await freehold.sql(
      "select from freehold.deliveries where consumer like 'channel-%' union all select from freehold.outbox",
    );
    return rows.length === 0;
  });
}

describe("Discord", () => {
  guard(freehold);
  after(() => discord.close());
  before(async () => {
    for (const [tenant, app] of [["a", ofA] as const, ["b", ofB] as const]) {
      discord.add(app);
      const reply = await install(tenant, app);
      assert.equal(reply.status, 201, reply.text);
      paths.set(app, String(reply.json()["path"]));
    }
  });
  beforeEach(() => {
    a.behave();
    a.received.length = 0;
    discord.sent.length = 0;
  });

  test("a command is deferred at once and answered later by an edit, which mentions nobody", async () => {
    a.behave(says("@everyone <@500000000000000001> thirty days"));
    const reply = await deliver(commandOf(ofA), ofA);
    assert.deepEqual([reply.status, reply.json()], [200, { type: 5 }]);
    const [answer] = await sent(1);
    assert.equal(answer?.app, ofA.id);
    assert.deepEqual(answer.body, {
      content: "@everyone <@500000000000000001> thirty days",
      allowed_mentions: { parse: [], replied_user: false },
    });
    const question = JSON.parse(a.received[0]?.body ?? "{}") as Record<string, unknown>;
    assert.deepEqual(
      [question["text"], question["userId"], question["platform"]],
      ["How long do refunds take?", "discord:500000000000000001", "discord"],
    );
    assert.ok(!JSON.stringify(a.received).includes("answer-of-"), "the agent gets nothing that could answer in its place");
  });

  test("an answer that is longer than Discord takes is cut", async () => {
    a.behave(says("x".repeat(5_000)));
    await deliver(commandOf(ofA), ofA);
    const [answer] = await sent(1);
    assert.equal(String(answer?.body["content"]).length, 2_000);
  });

  test("a greeting is answered to who signs, and to nobody else", async () => {
    const ping = JSON.stringify({ type: 1 });
    assert.deepEqual((await deliver(ping, ofA)).json(), { type: 1 });
    assert.equal((await deliver(ping, ofA, { headers: signedBy(ofB, ping) })).status, 401);
  });

  test("nothing that is not signed for this app, and now, gets further than a 401", async () => {
    const body = commandOf(ofA);
    const now = Math.floor(Date.now() / 1000);
    const good = signedBy(ofA, body);
    const cases: Record<string, object> = {
      "no signature": { "x-signature-ed25519": [] },
      "empty signature": { "x-signature-ed25519": "" },
      "another app's key": signedBy(ofB, body),
      "upper case": { "x-signature-ed25519": good["x-signature-ed25519"]?.toUpperCase() },
      "a byte too few": { "x-signature-ed25519": good["x-signature-ed25519"]?.slice(2) },
      "301 seconds old": signedBy(ofA, body, (now - 302) * 1000),
      "301 seconds ahead": signedBy(ofA, body, (now + 303) * 1000),
      "time 0": { "x-signature-timestamp": "0" },
      "time 1e9": { "x-signature-timestamp": "1e9" },
      "time missing": { "x-signature-timestamp": [] },
      "two times": { "x-signature-timestamp": [String(now), String(now)] },
      "another time": { "x-signature-timestamp": String(now - 1) },
      "another body": signedBy(ofA, `${body} `),
    };
    for (const [name, headers] of Object.entries(cases)) assert.equal((await deliver(body, ofA, { headers })).status, 401, name);
    assert.equal((await deliver(`\uFEFF${body}`, ofA, { headers: good })).status, 401, "a mark in front of what was signed");
    await settled();
    assert.equal(a.received.length, 1);
  });

  test("what comes again is answered once, also by another gateway and after a restart", async () => {
    const body = commandOf(ofA);
    const other = new Client((await freehold.second()).url, {});
    const all = await Promise.all([deliver(body, ofA), deliver(body, ofA, { client: other }), deliver(body, ofA)]);
    for (const reply of all) assert.deepEqual([reply.status, reply.json()], [200, { type: 5 }]);
    await sent(1);
    await deliver(body, ofA, { client: new Client((await freehold.second()).url, {}) });
    await settled();
    assert.equal(a.received.length, 2);
  });

  test("another app, a server that is not named and a direct message are answered by nobody's agent", async () => {
    for (const over of [
      { application_id: ofB.id },
      { guild_id: ofB.guild },
      { guild_id: null, member: null, user: { id: "500000000000000001" } },
    ]) {
      const reply = (await deliver(commandOf(ofA, over), ofA)).json<{ type: number; data: { flags: number } }>();
      assert.deepEqual([reply.type, reply.data.flags], [4, 64]);
    }
    const bot = { member: { user: { id: "500000000000000002", bot: true } } };
    for (const over of [bot, { type: 3 }, { data: { name: "ask" } }])
      assert.equal((await deliver(commandOf(ofA, over), ofA)).json()["type"], 4);
    await settled();
    assert.deepEqual([a.received.length, freehold.agents.b.received.length], [1, 0]);
  });

  test("an app is installed where its bot is, once, and its token is shown to nobody", async () => {
    const app = appOf(3);
    assert.equal((await install("a", app)).code, "invalid_settings");
    discord.add(app);
    const elsewhere = await install("a", app, { guilds: [ofA.guild] });
    assert.deepEqual([elsewhere.code, elsewhere.json()["field"]], ["invalid_settings", "guilds.0"]);
    const made = await install("a", app);
    assert.equal(made.status, 201);
    assert.equal((await install("b", app)).code, "conflict");
    assert.ok(!(await freehold.as(freehold.credentials.a.admin).get("/tenant/v1/channels")).text.includes(app.botToken));
  });

  test("a test message begins behind the signature, which only Discord can make, and goes the rest of the way", async () => {
    const path = `/admin/v1/tenants/a/channels/${paths.get(ofA)?.split("/").at(-1) ?? ""}/test`;
    const run = (await operator.post(path, { to: "400000000000000001" })).json();
    assert.deepEqual([run["signed"], run["outcome"]], [false, { state: "sent", problem: null }]);
    assert.deepEqual(
      discord.sent.map(({ place }) => place),
      ["400000000000000001"],
    );
    assert.deepEqual(discord.problems, []);
  });
});
