import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Reply } from "../support/freehold-client.ts";
import { CANARY } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { anybody, deliver, freehold, ofA, operator, pathOf, posted, slack, slackSuite } from "./slack-house.ts";
import { channelOf, eventOf, signed, type Workspace, workspaceOf } from "./slack-workspaces.ts";
import { type AppConnection, startSocketServer } from "./socket-server.ts";

const [own, ofOther, fake] = [workspaceOf(21), workspaceOf(22), workspaceOf(23)];
const wires = await startSocketServer((connection) => {
  const app = connection.path.slice(1);
  connection.send({ type: "hello", connection_info: { app_id: app }, num_connections: 1 });
});
let envelopes = 0;

async function add(tenant: string, workspace: Workspace, settings: object): Promise<Reply> {
  slack.add(workspace);
  slack.sockets.set(workspace.app, `${wires.url}/${workspace.app}`);
  return await operator.post(`/admin/v1/tenants/${tenant}/channels`, {
    platform: "slack",
    settings: { botToken: workspace.botToken, ...settings },
  });
}

function send(connection: AppConnection, payload: object, type = "events_api"): string {
  const id = `envelope-${++envelopes}`;
  connection.send({ envelope_id: id, type, payload, accepts_response_payload: type === "slash_commands" });
  return id;
}

/** Sends an event, and gives when it is acknowledged. */
async function acknowledged(connection: AppConnection, id: string): Promise<Readonly<Record<string, unknown>>> {
  return await until(`${id} acknowledged`, () => connection.said.find(({ envelope_id: said }) => said === id));
}

function payloadOf(workspace: Workspace, event: object = {}): Record<string, unknown> {
  return JSON.parse(eventOf(workspace, event)) as Record<string, unknown>;
}

/** The connection in use: the last one of this app that is open. */
async function connectionOf(workspace: Workspace): Promise<AppConnection> {
  return await until(`a connection of ${workspace.app}`, () =>
    wires.connections.findLast(({ path, open }) => open && path === `/${workspace.app}`),
  );
}

describe("Slack over a connection", () => {
  slackSuite();
  after(() => wires.close());
  before(async () => {
    const [a, b] = [
      await add("a", own, { appToken: own.appToken, signingSecret: own.signingSecret }),
      await add("b", ofOther, { appToken: ofOther.appToken }),
    ];
    assert.deepEqual([a.status, b.status], [201, 201], a.text + b.text);
    for (const secret of [own.appToken, own.botToken]) assert.ok(!a.text.includes(secret));
  });
  beforeEach(() => {
    slack.posted.length = 0;
  });

  test("a mention is acknowledged when it is put down, and answered in its thread by the tenant's agent", async () => {
    const connection = await connectionOf(own);
    const id = send(connection, payloadOf(own, { ts: "1700000000.999999" }));
    assert.deepEqual(await acknowledged(connection, id), { envelope_id: id });
    const [message] = await posted(own, 1);
    assert.deepEqual(
      [message?.["text"], message?.["thread_ts"], message?.["channel"]],
      ["The answer of a.", "1700000000.999999", channelOf(own)],
    );
    assert.equal(freehold.agents.b.received.length, 0);
  });

  test("a command is acknowledged with what its author sees meanwhile, and answered later at its own address", async () => {
    const connection = await connectionOf(own);
    const command = {
      command: "/ask",
      text: "How long?",
      team_id: own.team,
      api_app_id: own.app,
      channel_id: channelOf(own),
      user_id: "UPERSON",
      trigger_id: "socket-trigger-1",
      response_url: `${slack.url}/commands/socket`,
    };
    const said = await acknowledged(connection, send(connection, command, "slash_commands"));
    assert.deepEqual(said["payload"], { response_type: "ephemeral", text: "One moment …" });
    await until("the answer", () => slack.responses.some(({ path }) => path === "/commands/socket"));
  });

  test("what comes again over it, over another connection or as a signed delivery is answered once", async () => {
    const body = eventOf(own);
    const payload = JSON.parse(body) as object;
    const first = await connectionOf(own);
    await acknowledged(first, send(first, payload));
    await acknowledged(first, send(first, payload));
    const reply = await anybody.send("POST", await pathOfChannel(own), { body, headers: signed(own, body) });
    assert.equal(reply.status, 200);
    first.cut();
    const second = await connectionOf(own);
    await acknowledged(second, send(second, payload));
    await acknowledged(second, send(second, payloadOf(own, { text: "the last one" })));
    await posted(own, 2);
    assert.equal((await posted(own, 2)).length, 2);
  });

  test("when Slack says that it will end the connection, another one is there at once", async () => {
    const first = await connectionOf(own);
    first.send({ type: "disconnect", reason: "refresh_requested" });
    const second = await until("another connection", () =>
      wires.connections.findLast((each) => each !== first && each.open && each.path === `/${own.app}`),
    );
    await acknowledged(second, send(second, payloadOf(own)));
    await posted(own, 1);
  });

  test("bytes that are nothing of Slack's end the connection, and no more", async () => {
    for (const nonsense of [`{"type":7}`, "x".repeat(2_000_000)]) {
      const connection = await connectionOf(own);
      connection.send(nonsense);
      await until("its end", () => !connection.open);
    }
    const connection = await connectionOf(own);
    await acknowledged(connection, send(connection, payloadOf(own)));
    await posted(own, 1);
  });

  test("an event that names another workspace or app is taken, dropped and noted; a bot is not answered", async () => {
    const connection = await connectionOf(own);
    for (const payload of [payloadOf(ofOther), { ...payloadOf(own), team_id: ofOther.team }, payloadOf(own, { bot_id: "B1" })])
      await acknowledged(connection, send(connection, payload));
    await acknowledged(connection, send(connection, payloadOf(own, { text: "a person" })));
    await posted(own, 1);
    assert.equal(freehold.agents.b.received.length, 0);
    const noted = await freehold.sql(
      "select from freehold.audit_entries where action = 'channel_delivery_dropped' and reason = 'another_workspace'",
    );
    assert.ok(noted.length >= 2);
  });

  test("a connection over which Slack says another app's name carries nothing", async () => {
    slack.sockets.set(fake.app, `${wires.url}/${own.app}`);
    slack.add(fake);
    const reply = await operator.post("/admin/v1/tenants/a/channels", {
      platform: "slack",
      settings: { botToken: fake.botToken, appToken: fake.appToken },
    });
    assert.equal(reply.status, 201, reply.text);
    await until("it is noted", async () => {
      const noted = await freehold.sql(
        "select from freehold.audit_entries where action = 'channel_socket_refused' and reason = 'another_app'",
      );
      return noted.length > 0;
    });
    assert.equal(slack.posted.length, 0);
  });

  test("an app-level token that Slack does not take, or that is another app's, installs nothing", async () => {
    const one = workspaceOf(24);
    for (const appToken of [`xapp-1-${one.app}-9-unknownunknown`, own.appToken, "xapp-short", "xoxb-nothing-of-it"]) {
      const reply = await add("a", one, { appToken });
      assert.deepEqual([reply.status, reply.code, reply.json()["field"]], [422, "invalid_settings", "appToken"], appToken);
    }
    assert.equal((await add("a", one, {})).json()["field"], "signingSecret");
  });

  test("an app without a signing secret takes no delivery", async () => {
    const body = eventOf(ofOther);
    assert.equal((await anybody.send("POST", await pathOfChannel(ofOther), { body, headers: signed(ofOther, body) })).status, 401);
  });

  test("the test of a channel goes through it", async () => {
    for (const [workspace, tenant, isSigned] of [
      [own, "a", true],
      [ofOther, "b", false],
    ] as const) {
      const id = (await pathOfChannel(workspace)).split("/").at(-1) ?? "";
      const run = await operator.post(`/admin/v1/tenants/${tenant}/channels/${id}/test`, { to: channelOf(workspace) });
      assert.partialDeepStrictEqual(run.json(), { signed: isSigned, outcome: { state: "sent", problem: null } });
    }
  });

  test("100 apps of two tenants have a connection each in one process, and each is answered with its own token", async () => {
    const many = Array.from({ length: 98 }, (_, n) => workspaceOf(400 + n));
    for (const [n, workspace] of many.entries()) {
      const reply = await add(n % 2 === 0 ? "a" : "b", workspace, { appToken: workspace.appToken });
      assert.equal(reply.status, 201, reply.text);
    }
    const connections = await until(
      "a connection of each",
      () => {
        const open = many.map(({ app }) => wires.connections.filter((each) => each.open && each.path === `/${app}`));
        return open.every(({ length }) => length === 1) ? open.flat() : undefined;
      },
      60_000,
    );
    const ids = connections.map((connection, n) => send(connection, payloadOf(many[n] ?? own)));
    // what another app of the same process sends over its own connection is not this one's
    for (const [n, connection] of connections.entries()) send(connection, payloadOf(many[(n + 1) % many.length] ?? own));
    await Promise.all(connections.map((connection, n) => acknowledged(connection, ids[n] ?? "")));
    await until("98 answers", () => slack.posted.length >= many.length, 60_000);
    await until("all is handled", async () => {
      const waiting = await freehold.sql(
        "select from freehold.deliveries where consumer like 'channel-%' union all select from freehold.outbox",
      );
      return waiting.length === 0;
    });
    for (const [n, { team }] of many.entries()) {
      const got = slack.posted.filter((each) => each.team === team);
      assert.equal(got.length, 1, team);
      assert.ok(String(got[0]?.body["text"]).startsWith(`The answer of ${n % 2 === 0 ? "a" : "b"}.`), team);
    }
    assert.deepEqual(slack.problems, []);
  });

  test("a tenant's app that is suspended is connected to no longer, and is again when it is resumed", async () => {
    const first = await connectionOf(ofOther);
    assert.equal((await operator.post("/admin/v1/tenants/b/suspend", {})).status, 200);
    await until("its end", () => !first.open);
    assert.equal((await operator.post("/admin/v1/tenants/b/resume", {})).status, 200);
    const second = await connectionOf(ofOther);
    await acknowledged(second, send(second, payloadOf(ofOther)));
    const [message] = await posted(ofOther, 1);
    assert.ok(String(message?.["text"]).includes(CANARY));
  });

  test("an app that is taken away is connected to no longer", async () => {
    const connection = await connectionOf(own);
    assert.equal((await operator.send("DELETE", `/admin/v1/tenants/a/channels/${await idOf(own)}`)).status, 204);
    await until("its end", () => !connection.open);
    assert.deepEqual(
      await freehold.sql("select from freehold.channel_leases where installation not in (select id from freehold.channel_installations)"),
      [],
    );
    assert.equal((await deliver(eventOf(ofA), ofA, { path: pathOf(ofA) })).status, 200);
  });
});

async function idOf(workspace: Workspace): Promise<string> {
  const [row] = await freehold.sql<{ id: string }>("select id from freehold.channel_installations where app = $1", [workspace.app]);
  assert.ok(row);
  return row.id;
}

async function pathOfChannel(workspace: Workspace): Promise<string> {
  return `/channels/slack/${await idOf(workspace)}`;
}
