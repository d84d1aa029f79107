import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, beforeEach, describe, test } from "node:test";
import { clockBehind, guard, startFreehold } from "../support/freehold.ts";
import { bearer } from "../support/freehold-seed.ts";
import { says } from "../support/recorded-agent.ts";
import { tenantIdOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { clickLauncher, startWidgetHouse } from "./widget-house.ts";

const freehold = await startFreehold();
const operator = freehold.trusted(freehold.platform.admin);
const anybody = freehold.as({});
const { a } = freehold.agents;
const house = await startWidgetHouse(freehold);
const DAY_MS = 86_400_000;
const GREETING = "Ask & you shall get";

interface History {
  readonly messages: number;
  readonly history: readonly { readonly text: string }[];
}

describe("the chat on a website", () => {
  guard(freehold);
  after(() => house.close());
  before(async () => {
    house.channel = await house.add("a", { title: "Shop <b>", greeting: GREETING });
  });
  beforeEach(() => {
    a.behave();
    a.received.length = 0;
  });

  test("opens with a click, answers in pieces, goes on with its conversation and closes with Escape", async () => {
    const page = await house.page();
    const chat = await house.open(page);
    const { frame } = chat;
    assert.equal(await frame.evaluate("document.activeElement.id"), "text");
    assert.equal(await frame.evaluate("document.querySelector('h1').textContent"), "Shop <b>");
    a.behave((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const text of ["Thirty ", "days <img src=x onerror=alert(1)>"]) response.write(`data: ${JSON.stringify({ text })}\n\n`);
      response.end("data: [DONE]\n\n");
    });
    await chat.say("How long do refunds take?");
    const answer = "Thirty days <img src=x onerror=alert(1)>";
    await chat.answered(answer);
    assert.deepEqual(await chat.lines(), [GREETING, "How long do refunds take?", answer]);
    assert.equal(await frame.evaluate("document.querySelector('[role=status]').textContent"), answer);
    a.behave(says("The second answer."));
    await chat.say("And then?");
    await chat.answered("The second answer.");
    const [first, second] = a.received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    assert.equal(second?.["sessionId"], first?.["sessionId"]);
    assert.match(String(first?.["userId"]), /^visitor:/);
    if (process.env["FREEHOLD_TEST_SCREENSHOT"]) writeFileSync(process.env["FREEHOLD_TEST_SCREENSHOT"], await page.screenshot());
    await frame.press("Escape");
    await until("the page has the focus again", async () => !(await frame.evaluate<boolean>("document.hasFocus()")));
    assert.equal(await page.evaluate("document.activeElement.tagName"), "FREEHOLD-CHAT");
    assert.deepEqual(page.complaints, []);
    assert.equal(await page.evaluate("typeof globalThis.look"), "undefined");
  });

  test("shows after a reload what was said before, goes on with it, and shows nothing of what is gone", async () => {
    const page = await house.page();
    await freehold.sql("delete from freehold.sessions where user_id like 'visitor:%'");
    const chat = await house.open(page);
    a.behave(says("<b>Thirty</b> days."));
    await chat.say("How long <i>do</i> refunds take?");
    await chat.answered("<b>Thirty</b> days.");
    const said = [GREETING, "How long <i>do</i> refunds take?", "<b>Thirty</b> days."];
    const again = await house.open(page);
    await until("what was said", async () => (await again.lines()).length === 3);
    assert.deepEqual(await again.lines(), said);
    a.behave(says("Thirty, as I said."));
    await again.say("And then?");
    await again.answered("Thirty, as I said.");
    const [first, second] = a.received.map(({ body }) => JSON.parse(body) as { sessionId: string; history: unknown[] });
    assert.deepEqual([second?.sessionId, second?.history.length], [first?.sessionId, 2]);
    await operator.send("PATCH", "/admin/v1/tenants/a", { json: { sessions: { idleMinutes: 30 } } });
    await freehold.sql("update freehold.sessions set last_activity = last_activity - interval '31 minutes' where user_id like 'visitor:%'");
    const late = await house.open(page);
    await until("what was said", async () => (await late.lines()).length === 5);
    a.behave(says("From the beginning."));
    await late.say("Do you remember?");
    await late.answered("From the beginning.");
    assert.deepEqual((await late.lines()).slice(-3), [
      "The earlier conversation is over. This is a new one.",
      "Do you remember?",
      "From the beginning.",
    ]);
    await operator.send("PATCH", "/admin/v1/tenants/a", { json: { sessions: { idleMinutes: null } } });
    await freehold.sql("delete from freehold.sessions where user_id like 'visitor:%'");
    const last = await house.open(page);
    await until("it is looked for", () => last.frame.evaluate<boolean>(`!localStorage["freehold:${house.channel}"].includes("sessionId")`));
    assert.deepEqual(await last.lines(), [GREETING]);
  });

  test("tells of an agent that fails, asks it again when it is told to, and stores the question once", async () => {
    const page = await house.page();
    const chat = await house.open(page);
    a.behave((_request, response) => response.writeHead(500).end());
    await chat.say("Hello?");
    const problem = "The agent or upstream gave an answer that cannot be used";
    await until("the problem", async () => (await chat.lines()).at(-1)?.startsWith(problem) === true);
    assert.equal(await chat.frame.evaluate("document.querySelector('[role=alert] p').textContent"), (await chat.lines()).at(-1));
    a.behave((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(`data: ${JSON.stringify({ text: "Half an" })}\n\n`);
      response.socket?.end();
    });
    await chat.click(".retry");
    await until("half an answer and the problem", async () => (await chat.lines()).at(-2) === "Half an");
    a.behave();
    await chat.click(".retry");
    await chat.answered("The answer of a.");
    assert.deepEqual((await chat.lines()).slice(-2), ["Hello?", "The answer of a."]);
    assert.ok(!(await chat.lines()).some((line) => line === "Half an" || line.startsWith(problem)));
    const stored = await freehold.sql("select from freehold.messages where body = 'Hello?'");
    assert.equal(stored.length, 1);
    await chat.say("Once more");
    await until("the answer", () => a.received.length === 4);
    assert.equal(await chat.frame.evaluate("document.querySelectorAll('.retry').length"), 0);
  });

  test("stops an answer when it is told to, at the agent too, and says that it was stopped", async () => {
    const page = await house.page();
    const chat = await house.open(page);
    let left = false;
    a.behave((_request, response) => {
      response.on("close", () => (left = true));
      response.writeHead(200, { "content-type": "text/event-stream" }).write(`data: ${JSON.stringify({ text: "Once upon a time" })}\n\n`);
    });
    await chat.say("Tell me a story");
    await until("the beginning", async () => (await chat.lines()).at(-1) === "Once upon a time");
    await chat.click("#stop");
    await chat.answered("Stopped.");
    await until("the agent is left", () => left);
    assert.deepEqual((await chat.lines()).slice(-3), ["Tell me a story", "Once upon a time", "Stopped."]);
    a.behave(says("The end."));
    await chat.say("The end, then");
    await chat.answered("The end.");
  });

  test("is shown by no site that is not named", async () => {
    const page = await house.page();
    await page.goto(house.elsewhere);
    await until("the button", () => page.evaluate<boolean>("document.querySelector('freehold-chat') !== null"));
    await clickLauncher(page);
    await until("the browser's refusal", () => page.complaints.some((each) => each.includes("frame-ancestors")));
    assert.equal(a.received.length, 0);
  });

  test("is not there for an installation of another kind, when it is switched off, or for a suspended tenant", async () => {
    const page = `/channels/web/${house.channel}`;
    for (const path of ["", "/widget.js"]) assert.equal((await anybody.get(`/channels/web/${"A".repeat(22)}${path}`)).code, "not_found");
    await operator.send("PATCH", "/admin/v1/tenants/a", { json: { web: { enabled: false } } });
    for (const path of ["", "/widget.js"]) assert.equal((await anybody.get(page + path)).code, "forbidden");
    await operator.send("PATCH", "/admin/v1/tenants/a", { json: { web: { enabled: true } } });
    await operator.send("POST", "/admin/v1/tenants/a/suspend");
    assert.equal((await anybody.send("POST", `${page}/visitors`)).code, "tenant_suspended");
    await operator.send("POST", "/admin/v1/tenants/a/resume");
    for (const path of ["", "/widget.js"]) assert.equal((await anybody.get(page + path)).status, 200);
  });

  describe("its visitor", () => {
    const visit = async (channel: string): Promise<string> =>
      String((await freehold.trusted({}).send("POST", `/channels/web/${channel}/visitors`)).json()["token"]);

    test("has a token for the chat and for nothing else", async () => {
      const one = freehold.as(bearer(await visit(house.channel)));
      for (const path of ["/users", "/documents", "/tenant/v1", "/tenant/v1/keys", "/admin/v1/tenants"])
        assert.equal((await one.get(path)).code, "forbidden", path);
      assert.equal((await one.post("/api/chat", { message: "Hello", userId: "u1" })).code, "forbidden");
    });

    test("reads the newest messages of its own conversation, and of nobody else's, by whatever id", async () => {
      const [one, two] = [freehold.as(bearer(await visit(house.channel))), freehold.as(bearer(await visit(house.channel)))];
      const ofB = freehold.trusted(bearer(await visit(await house.add("b"))));
      const session = String((await one.post("/api/chat", { message: "First" })).json()["sessionId"]);
      for (const message of ["Second", "Third"]) await one.post("/api/chat", { message, sessionId: session });
      const path = `/api/sessions/${session}`;
      const newest = (await one.get(`${path}?limit=2`)).json<History>();
      assert.deepEqual([newest.messages, newest.history.map(({ text }) => text)], [6, ["Third", "The answer of a."]]);
      for (const limit of ["0", "201", "many", "-1"]) assert.equal((await one.get(`${path}?limit=${limit}`)).status, 400, limit);
      assert.equal((await anybody.get(path)).code, "unauthenticated");
      const unknown = await two.get("/api/sessions/a.web.99456789-session-of-u1");
      const random = session.split(".").at(-1) ?? "";
      for (const [who, id] of [
        [two, session],
        [two, "a.web.23456789-session-of-u1"],
        [two, "b.web.23456789-session-of-u1"],
        [one, `b.web.${random}`],
        [one, `a.slack.${random}`],
        [ofB, session],
        [ofB, `b.web.${random}`],
      ] as const) {
        const reply = await who.get(`/api/sessions/${id}`);
        assert.deepEqual([reply.status, reply.json()["code"]], [unknown.status, unknown.json()["code"]], id);
        assert.equal((await who.post("/api/chat", { message: "Hello", sessionId: id })).code, "not_found", id);
      }
      assert.equal((await two.get("/api/sessions")).json<{ sessions: unknown[] }>().sessions.length, 0);
    });

    test("is nobody any more once the channel is taken away", async () => {
      const channel = await house.add("a");
      const [one, other] = [freehold.as(bearer(await visit(channel))), freehold.as(bearer(await visit(house.channel)))];
      const session = String((await one.post("/api/chat", { message: "First" })).json()["sessionId"]);
      const admin = freehold.as(freehold.credentials.a.admin);
      assert.equal((await admin.send("DELETE", `/tenant/v1/channels/${channel}`)).status, 204);
      assert.equal((await one.get(`/api/sessions/${session}`)).code, "unauthenticated");
      assert.equal((await one.post("/api/chat", { message: "Second", sessionId: session })).code, "unauthenticated");
      assert.equal((await other.post("/api/chat", { message: "Hello" })).status, 200);
    });

    test("reads nothing when its time is over, what it said is, or it was deleted", async () => {
      const token = await visit(house.channel);
      const one = freehold.as(bearer(token));
      const session = String((await one.post("/api/chat", { message: "Old" })).json()["sessionId"]);
      const path = `/api/sessions/${session}`;
      const { sub } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { sub: string };
      const yesterday = freehold.issuerAt(clockBehind(DAY_MS + 66_000));
      const late = yesterday.issue({ sub, tenantId: tenantIdOf("a"), roles: ["member"], scopes: ["chat"], lifetimeMs: DAY_MS });
      assert.equal((await freehold.as(bearer(late)).get(path)).code, "unauthenticated");

      await operator.send("PATCH", "/admin/v1/tenants/a", { json: { sessions: { retentionDays: 30 } } });
      const aged = "= now() - interval '31 days' where";
      await freehold.sql(`update freehold.messages set created_at ${aged} session_id = $1`, [session.split(".").at(-1)]);
      await one.post("/api/chat", { message: "New", sessionId: session });
      const kept = (await one.get(path)).json<History>();
      assert.deepEqual(
        kept.history.map(({ text }) => text),
        ["New", "The answer of a."],
      );
      assert.equal((await one.get(`${path}/export`)).text.trim().split("\n").length, 3);
      assert.equal((JSON.parse(a.received.at(-1)?.body ?? "{}") as { history: unknown[] }).history.length, 0);
      await freehold.sql(`update freehold.sessions set last_activity ${aged} user_id = $1`, [sub]);
      assert.equal((await one.get(path)).code, "not_found");
      assert.equal((await one.get("/api/sessions")).json<{ sessions: unknown[] }>().sessions.length, 0);
      assert.equal((await freehold.sql("select from freehold.messages where body = 'Old'")).length, 1, "not deleted yet");
      await operator.send("PATCH", "/admin/v1/tenants/a", { json: { sessions: { retentionDays: null } } });

      assert.equal((await one.get(path)).status, 200);
      await freehold.trusted(freehold.credentials.a.admin).send("DELETE", `/api/sessions?userId=${sub}`);
      assert.equal((await one.get(path)).code, "not_found");
    });
  });
});
