import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, beforeEach, describe, test } from "node:test";
import { startBrowser } from "../support/browser.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { bearer } from "../support/freehold-seed.ts";
import { says } from "../support/recorded-agent.ts";
import { startStub } from "../support/stub-server.ts";
import { until } from "../support/until.ts";

const freehold = await startFreehold();
const operator = freehold.trusted(freehold.platform.admin);
const anybody = freehold.as({});
const { a } = freehold.agents;
const browser = await startBrowser();
let channel = "";

/** A site of somebody's, with the script in it. */
const site = await startStub((_request, _body, response) => {
  const html = `<!doctype html><title>A shop</title><h1>A shop</h1><p>Buy things.</p>
<script src="${freehold.app.url}/widget.js" data-channel="${channel}" data-label="Ask us"></script>`;
  response.writeHead(200, { "content-type": "text/html" }).end(html);
});
// other sites than the gateway's, which is at 127.0.0.1
const here = site.url.replace("127.0.0.1", "localhost");
const elsewhere = site.url.replace("127.0.0.1", "other.localhost");

describe("the chat on a website", () => {
  guard(freehold);
  after(async () => {
    await browser.close();
    site.close();
  });
  before(async () => {
    const settings = { origins: [here], title: "Shop <b>", greeting: "Ask & you shall get" };
    const reply = await operator.post("/admin/v1/tenants/a/channels", { platform: "web", settings });
    assert.equal(reply.status, 201, reply.text);
    channel = String(reply.json()["id"]);
  });
  beforeEach(() => {
    a.behave();
    a.received.length = 0;
  });

  test("opens with a click, answers in pieces, goes on with its conversation and closes with Escape", async () => {
    const page = await browser.page();
    await page.goto(here);
    const { width, height } = await page.evaluate<{ width: number; height: number }>("({ width: innerWidth, height: innerHeight })");
    await page.click(width - 44, height - 44);
    const frame = await page.frame(freehold.app.url);
    await until("the page is ready", () => frame.evaluate<boolean>(`document.activeElement?.id === "text"`));
    assert.equal(await frame.evaluate("document.querySelector('h1').textContent"), "Shop <b>");
    a.behave((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const text of ["Thirty ", "days <img src=x onerror=alert(1)>"]) response.write(`data: ${JSON.stringify({ text })}\n\n`);
      response.end("data: [DONE]\n\n");
    });
    await frame.type("How long do refunds take?");
    await frame.press("Enter");
    const lines = async (): Promise<string[]> =>
      await frame.evaluate("[...document.querySelectorAll('main p')].map((line) => line.textContent)");
    const answer = "Thirty days <img src=x onerror=alert(1)>";
    await until("the answer", async () => (await lines()).at(-1) === answer);
    assert.deepEqual(await lines(), ["Ask & you shall get", "How long do refunds take?", answer]);
    a.behave(says("The second answer."));
    await until("it can be asked again", () => frame.evaluate<boolean>("!document.querySelector('#send').disabled"));
    await frame.type("And then?");
    await frame.press("Enter");
    await until("the second answer", async () => (await lines()).at(-1) === "The second answer.");
    const [first, second] = a.received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    assert.equal(second?.["sessionId"], first?.["sessionId"]);
    assert.match(String(first?.["userId"]), /^visitor:/);
    if (process.env["FREEHOLD_TEST_SCREENSHOT"]) writeFileSync(process.env["FREEHOLD_TEST_SCREENSHOT"], await page.screenshot());
    await frame.press("Escape");
    await until("the page has the focus again", () => page.evaluate<boolean>("document.activeElement?.tagName === 'DIV'"));
    assert.deepEqual(page.complaints, []);
    assert.equal(await page.evaluate("typeof globalThis.visitor"), "undefined");
  });

  test("tells of an agent that fails, and can be asked again", async () => {
    const page = await browser.page();
    await page.goto(here);
    const { width, height } = await page.evaluate<{ width: number; height: number }>("({ width: innerWidth, height: innerHeight })");
    await page.click(width - 44, height - 44);
    const frame = await page.frame(freehold.app.url);
    await until("the page is ready", () => frame.evaluate<boolean>(`document.activeElement?.id === "text"`));
    a.behave((_request, response) => response.writeHead(500).end());
    await frame.type("Hello?");
    await frame.press("Enter");
    const last = async (): Promise<string> => await frame.evaluate("document.querySelector('main p:last-child').textContent");
    await until("the problem", async () => (await last()).startsWith("The agent or upstream gave an answer that cannot be used"));
    a.behave();
    await frame.type("Hello again?");
    await frame.press("Enter");
    await until("the answer", async () => (await last()) === "The answer of a.");
    await freehold.sql("delete from freehold.sessions where user_id like 'visitor:%'");
    await until("it can be asked again", () => frame.evaluate<boolean>("!document.querySelector('#send').disabled"));
    a.behave(says("From the beginning."));
    await frame.type("Do you remember?");
    await frame.press("Enter");
    await until("the answer", async () => (await last()) === "From the beginning.");
  });

  test("is shown by no site that is not named", async () => {
    const page = await browser.page();
    await page.goto(elsewhere);
    const { width, height } = await page.evaluate<{ width: number; height: number }>("({ width: innerWidth, height: innerHeight })");
    await page.click(width - 44, height - 44);
    await until("the browser's refusal", () => page.complaints.some((each) => each.includes("frame-ancestors")));
    assert.equal(a.received.length, 0);
  });

  test("gives its visitors a token for the chat and for nothing else, and to each its own sessions", async () => {
    const visit = async (): Promise<string> => String((await anybody.send("POST", `/channels/web/${channel}/visitors`)).json()["token"]);
    const [one, two] = [freehold.as(bearer(await visit())), freehold.as(bearer(await visit()))];
    for (const path of ["/users", "/documents", "/tenant/v1", "/tenant/v1/keys", "/admin/v1/tenants"])
      assert.equal((await one.get(path)).code, "forbidden", path);
    const session = (await one.post("/api/chat", { message: "Hello" })).json()["sessionId"];
    assert.equal((await one.get("/api/sessions")).json<{ sessions: unknown[] }>().sessions.length, 1);
    assert.equal((await two.get("/api/sessions")).json<{ sessions: unknown[] }>().sessions.length, 0);
    assert.equal((await two.get(`/api/sessions/${String(session)}`)).code, "not_found");
    assert.equal((await one.post("/api/chat", { message: "Hello", userId: "u1" })).code, "forbidden");
  });

  test("is not there for an installation of another kind, when it is switched off, or for a suspended tenant", async () => {
    const page = `/channels/web/${channel}`;
    assert.equal((await anybody.get(`/channels/web/${"A".repeat(22)}`)).code, "not_found");
    for (const settings of [
      {},
      { origins: [] },
      { origins: ["https://a.example/path"] },
      { origins: ["*"] },
      { origins: ["https://a.example; script-src *"] },
    ])
      assert.equal((await operator.post("/admin/v1/tenants/a/channels", { platform: "web", settings })).code, "invalid_settings");
    await operator.send("PATCH", "/admin/v1/tenants/a", { json: { web: { enabled: false } } });
    assert.equal((await anybody.get(page)).code, "forbidden");
    await operator.send("PATCH", "/admin/v1/tenants/a", { json: { web: { enabled: true } } });
    await operator.send("POST", "/admin/v1/tenants/a/suspend");
    assert.equal((await anybody.send("POST", `${page}/visitors`)).code, "tenant_suspended");
    await operator.send("POST", "/admin/v1/tenants/a/resume");
    assert.equal((await anybody.get(page)).status, 200);
  });
});
