import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Client, type Reply } from "../support/freehold-client.ts";
import { says } from "../support/recorded-agent.ts";
import { until } from "../support/until.ts";
import {
  a,
  anybody,
  asked,
  deliver,
  freehold,
  install,
  ofA,
  ofB,
  operator,
  pathOf,
  posted,
  settled,
  slack,
  slackSuite,
} from "./slack-house.ts";
import { channelOf, eventOf, signed, workspaceOf } from "./slack-workspaces.ts";

describe("Slack", () => {
  slackSuite();

  test("a mention is answered in its thread by the agent of the installation's tenant", async () => {
    const reply = await deliver(eventOf(ofA, { ts: "1700000000.999999" }), ofA);
    assert.deepEqual([reply.status, reply.text], [200, ""]);
    const [message] = await posted(ofA, 1);
    assert.deepEqual(message, {
      channel: channelOf(ofA),
      thread_ts: "1700000000.999999",
      text: "The answer of a.",
      parse: "none",
      link_names: false,
      unfurl_links: false,
      unfurl_media: false,
    });
    const [question] = await asked(1);
    assert.equal(question?.["text"], "How long do refunds take?");
    assert.equal(question["userId"], "slack:T0001:UPERSON");
    assert.equal(question["platform"], "slack");
    assert.equal(freehold.agents.b.received.length, 0);
  });

  test("Slack has its answer while the agent is still at it", async () => {
    let answer = (): void => {};
    a.behave((request, response) => void (answer = () => says("At last.")(request, response)));
    assert.equal((await deliver(eventOf(ofA), ofA)).status, 200);
    await asked(1);
    assert.equal(slack.posted.length, 0);
    answer();
    assert.equal((await posted(ofA, 1))[0]?.["text"], "At last.");
  });

  test("messages of one thread are one session, in their order, and another thread is another", async () => {
    const thread = "1500000000.000001";
    for (const text of ["First", "Second"]) await deliver(eventOf(ofA, { text, thread_ts: thread }), ofA);
    await deliver(eventOf(ofA, { text: "Elsewhere" }), ofA);
    const questions = await asked(3);
    const [first, second, elsewhere] = ["First", "Second", "Elsewhere"].map((text) => questions.find((each) => each["text"] === text));
    assert.equal(first?.["sessionId"], second?.["sessionId"]);
    assert.deepEqual(second?.["history"], [
      { role: "user", text: "First" },
      { role: "assistant", text: "The answer of a." },
    ]);
    assert.notEqual(elsewhere?.["sessionId"], first?.["sessionId"]);
    await posted(ofA, 3);
    const session = await freehold.as(freehold.credentials.a.admin).get(`/api/sessions/${String(first?.["sessionId"])}`);
    assert.deepEqual([session.status, session.json()["platform"], session.json()["messages"]], [200, "slack", 4]);
  });

  test("a direct message is answered where it was written", async () => {
    const channel = channelOf(ofA, "D");
    await deliver(eventOf(ofA, { type: "message", channel_type: "im", channel, text: "Hello" }), ofA);
    const [message] = await posted(ofA, 1);
    assert.equal(message?.["channel"], channel);
    assert.equal(message["thread_ts"], undefined);
  });

  test("a command is answered later at its own address, which is Slack's", async () => {
    const command = (responseUrl: string, trigger: string): string =>
      new URLSearchParams({
        command: "/ask",
        text: "How long?",
        team_id: ofA.team,
        api_app_id: ofA.app,
        channel_id: channelOf(ofA),
        user_id: "UPERSON",
        trigger_id: trigger,
        response_url: responseUrl,
      }).toString();
    const send = async (body: string): Promise<Reply> => {
      const headers = signed(ofA, body, { type: "application/x-www-form-urlencoded" });
      return await anybody.send("POST", pathOf(ofA), { body, headers });
    };
    const own = command(`${slack.url}/commands/1/2`, "1.1");
    const reply = await send(own);
    assert.deepEqual([reply.status, reply.json()["response_type"]], [200, "ephemeral"]);
    await until("the answer", () => slack.responses.length === 1);
    assert.deepEqual(slack.responses[0], {
      path: "/commands/1/2",
      body: { response_type: "ephemeral", replace_original: false, text: "The answer of a." },
    });
    await send(own);
    await send(command("https://attacker.example/commands/1", "1.2"));
    await settled();
    assert.equal(slack.responses.length, 1);
  });

  test("what comes again is answered once: at once, to another gateway and after a restart", async () => {
    const body = eventOf(ofA);
    const [second, third] = [await freehold.second(), await freehold.second()];
    const elsewhere = [second, third].map(({ url }) => new Client(url, {}));
    const all = await Promise.all([
      ...Array.from({ length: 4 }, () => deliver(body, ofA)),
      ...elsewhere.flatMap((client) =>
        Array.from({ length: 4 }, () => deliver(body, ofA, { client, headers: { "x-slack-retry-num": "1" } })),
      ),
    ]);
    assert.deepEqual(new Set(all.map(({ status }) => status)), new Set([200]));
    await posted(ofA, 1);
    const restarted = await freehold.second();
    assert.equal((await deliver(body, ofA, { client: new Client(restarted.url, {}) })).status, 200);
    await settled();
    assert.equal(slack.posted.filter(({ body: { text } }) => text === "The answer of a.").length, 2, "the message, and the marker");
  });

  test("nothing that is not signed for this app, and now, gets further than a 401", async () => {
    const body = eventOf(ofA);
    const now = Math.floor(Date.now() / 1000);
    const good = signed(ofA, body);
    const at = (seconds: number): object => signed(ofA, body, { atMs: seconds * 1000 });
    const forged = (timestamp: string): object => ({ ...good, "x-slack-request-timestamp": timestamp });
    const cases: Record<string, object> = {
      "no signature": { "x-slack-signature": [] },
      "empty signature": { "x-slack-signature": "" },
      "another scheme": { "x-slack-signature": good["x-slack-signature"]?.replace("v0=", "v1=") },
      "upper case": { "x-slack-signature": good["x-slack-signature"]?.toUpperCase().replace("V0", "v0") },
      "301 seconds old": at(now - 302),
      "301 seconds ahead": at(now + 303),
      "time 0": forged("0"),
      "time 1e9": forged("1e9"),
      "time missing": { "x-slack-request-timestamp": [] },
      "another time": forged(String(now - 1)),
      "two times": { "x-slack-request-timestamp": [String(now), String(now)] },
      "two signatures": { "x-slack-signature": [good["x-slack-signature"], good["x-slack-signature"]] },
      "another app's secret": signed(ofB, body),
      "another type": { "content-type": "text/plain" },
    };
    for (const [name, headers] of Object.entries(cases)) assert.equal((await deliver(body, ofA, { headers })).status, 401, name);
    for (const unsigned of ["undefined", "null", ""]) {
      const headers = { ...signed({ signingSecret: ofA.signingSecret }, body), "x-slack-request-timestamp": unsigned };
      assert.equal((await deliver(body, ofA, { headers })).status, 401, `time ${unsigned}`);
    }
    assert.equal((await deliver(`\uFEFF${body}`, ofA, { headers: good })).status, 401, "a mark in front of what was signed");
    assert.equal((await deliver(body, ofA, { path: pathOf(ofB) })).status, 401, "another installation's address");
    assert.equal((await deliver(body, ofA, { path: `/channels/slack/${"A".repeat(22)}` })).status, 401, "no installation");
    assert.equal((await deliver(body, ofA, { path: pathOf(ofA).replace("slack", "discord") })).status, 401, "another platform");
    assert.equal((await deliver(body, ofA, { headers: { "content-encoding": "gzip" } })).status, 415);
    assert.equal((await deliver(" ".repeat(5_000_000), ofA)).status, 413);
    await settled();
    assert.equal(a.received.length, 1, "only the marker");
  });

  test("every refusal is in the platform's trail, and says whose app was meant", async () => {
    await deliver(eventOf(ofA), ofA, { headers: signed(ofB, "x") });
    await freehold.app.services.audit.flush();
    const trail = (await operator.get("/admin/v1/audit?limit=5")).json<{ entries: Record<string, unknown>[] }>().entries;
    const entry = trail.find(({ action }) => action === "channel_signature_rejected");
    assert.deepEqual([entry?.["reason"], entry?.["targetTenant"], entry?.["actorTenant"]], ["signature_invalid", "a", null]);
  });

  test("the address is confirmed to who signs, and to nobody else", async () => {
    const body = JSON.stringify({ type: "url_verification", challenge: "xyz" });
    assert.deepEqual((await deliver(body, ofA)).json(), { challenge: "xyz" });
    assert.equal((await deliver(body, ofA, { headers: signed(ofB, body) })).status, 401);
  });

  test("what is signed for one workspace and says another is taken, dropped and noted", async () => {
    for (const outer of [{ team_id: ofB.team }, { api_app_id: ofB.app }, { team_id: null }])
      assert.equal((await deliver(eventOf(ofA, {}, outer), ofA)).status, 200);
    await settled();
    assert.deepEqual([a.received.length, freehold.agents.b.received.length], [1, 0]);
    await freehold.app.services.audit.flush();
    const { entries } = (await operator.get("/admin/v1/audit?limit=20")).json<{ entries: Record<string, unknown>[] }>();
    assert.equal(entries.filter(({ reason }) => reason === "another_workspace").length, 3);
  });

  test("the tenant is the installation's also where somebody of another workspace writes, who is answered only if that is wanted", async () => {
    const stranger = { user: "USTRANGER", team: ofB.team, user_team: ofB.team };
    await deliver(eventOf(ofA, stranger), ofA);
    await settled();
    assert.equal(a.received.length, 1);
    const open = workspaceOf(3);
    await install("a", open, { externalMembers: true });
    await deliver(eventOf(open, stranger), open);
    await posted(open, 1);
    assert.deepEqual([a.received.length, freehold.agents.b.received.length], [2, 0]);
  });

  test("no bot is answered, the own one neither, nor what was changed, deleted or only overheard", async () => {
    const silent: readonly object[] = [
      { bot_id: "B1" },
      { bot_profile: {} },
      { app_id: "A9" },
      { user: ofA.botUser },
      { user: null },
      { subtype: "bot_message" },
      { subtype: "message_changed" },
      { subtype: "message_deleted" },
      { type: "message", channel_type: "channel" },
      { type: "reaction_added" },
      { text: `<@${ofA.botUser}>` },
    ];
    for (const event of silent) assert.equal((await deliver(eventOf(ofA, event), ofA)).status, 200, JSON.stringify(event));
    await settled();
    assert.equal(a.received.length, 1);
  });

  test("a conversation that goes on by itself is cut off, and others go on", async () => {
    const thread = "1400000000.000001";
    for (let n = 0; n < 25; n++) await deliver(eventOf(ofA, { thread_ts: thread, text: `Echo ${n}` }), ofA);
    await settled();
    assert.equal(a.received.length, 21);
    await deliver(eventOf(ofA), ofA);
    await asked(22);
  });

  test("an answer mentions nobody and hides nothing", async () => {
    a.behave(says("<!channel> <!here> <@U1> <!subteam^S1> <https://evil.example|your bank> & @everyone"));
    await deliver(eventOf(ofA), ofA);
    const [message] = await posted(ofA, 1);
    assert.equal(
      message?.["text"],
      "&lt;!channel&gt; &lt;!here&gt; &lt;@U1&gt; &lt;!subteam^S1&gt; &lt;https://evil.example|your bank&gt; &amp; @everyone",
    );
  });

  test("an agent that fails is not asked again: its author is told, in the tenant's words", async () => {
    await freehold
      .as(freehold.credentials.a.admin)
      .send("PATCH", "/tenant/v1", { json: { errorTexts: { upstream_invalid: { de: "Der Agent schweigt." } } } });
    a.behave((_request, response) => response.writeHead(500).end());
    await deliver(eventOf(ofA), ofA);
    assert.equal((await posted(ofA, 1))[0]?.["text"], "Der Agent schweigt.");
    assert.equal(a.received.length, 1);
  });

  test("Slack that is busy or broken gets the answer later, and the agent is not asked again", async () => {
    slack.failures.push((response) => response.writeHead(429, { "retry-after": "0" }).end());
    slack.failures.push((response) => response.writeHead(500).end());
    slack.failures.push((response) => response.destroy());
    await deliver(eventOf(ofA), ofA);
    await posted(ofA, 1);
    assert.equal(a.received.length, 1);
  });

  test("a suspended tenant's messages are refused, and those on their way wait", async () => {
    let answer = (): void => {};
    a.behave((request, response) => void (answer = () => says("Late.")(request, response)));
    await deliver(eventOf(ofA, { text: "Before" }), ofA);
    await asked(1);
    await operator.send("POST", "/admin/v1/tenants/a/suspend");
    a.behave();
    answer();
    assert.equal((await deliver(eventOf(ofA), ofA)).code, "tenant_suspended");
    await until("the reply waits", async () => {
      const rows = await freehold.sql(
        "select from freehold.deliveries where consumer = 'channel-replies' and last_error = 'tenant_suspended'",
      );
      return rows.length === 1;
    });
    assert.equal(slack.posted.length, 0);
    await operator.send("POST", "/admin/v1/tenants/a/resume");
    assert.equal((await posted(ofA, 1))[0]?.["text"], "Late.");
  });
});
