import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { until } from "../support/until.ts";
import { a, anybody, deliver, freehold, install, ofA, ofB, operator, pathOf, posted, slack, slackSuite } from "./slack-house.ts";
import { channelOf, eventOf, workspaceOf } from "./slack-workspaces.ts";

describe("Slack apps", () => {
  slackSuite();

  test("an app that is taken away delivers nothing more, and can be installed by another tenant", async () => {
    const moving = workspaceOf(4);
    const path = await install("a", moving);
    const again = await operator.post("/admin/v1/tenants/b/channels", {
      platform: "slack",
      settings: { botToken: moving.botToken, signingSecret: moving.signingSecret },
    });
    assert.deepEqual([again.status, again.code], [409, "conflict"]);
    assert.equal((await deliver(eventOf(moving, { type: "app_uninstalled" }), moving)).status, 200);
    assert.equal((await deliver(eventOf(moving), moving)).status, 401);
    const other = await install("b", moving);
    assert.notEqual(other, path);
    await deliver(eventOf(moving), moving);
    await until("b was asked", () => freehold.agents.b.received.length === 1);
    assert.equal((await deliver(eventOf(moving), moving, { path })).status, 401);
    assert.equal(a.received.length, 0);
  });

  test("an installation is made of what Slack says, shows no secret, and is no other tenant's to see", async () => {
    const unknown = workspaceOf(99);
    const { botToken, signingSecret } = unknown;
    const refused = await operator.post("/admin/v1/tenants/a/channels", { platform: "slack", settings: { botToken, signingSecret } });
    assert.deepEqual([refused.status, refused.code, refused.json()["field"]], [422, "invalid_settings", "botToken"]);
    const listed = await freehold.as(freehold.credentials.a.admin).get("/tenant/v1/channels");
    assert.ok(!listed.text.includes(ofA.botToken) && !listed.text.includes(ofA.signingSecret) && listed.text.includes(ofA.team));
    const id = pathOf(ofB).split("/").at(-1) ?? "";
    const admin = freehold.as(freehold.credentials.a.admin);
    for (const reply of [
      await admin.send("DELETE", `/tenant/v1/channels/${id}`),
      await admin.post(`/tenant/v1/channels/${id}/test`, { to: "C1" }),
    ])
      assert.deepEqual([reply.status, reply.code], [404, "not_found"]);
    const rows = await freehold.sql<{ text: string }>("select i::text as text from freehold.channel_installations i");
    for (const { text } of rows) assert.ok(!text.includes(ofA.botToken) && !text.includes(ofA.signingSecret));
  });

  test("an app is installed by whoever allows it in its workspace, once for each state, for the tenant that began it", async () => {
    const workspace = workspaceOf(5);
    slack.add(workspace);
    const admin = freehold.as(freehold.credentials.a.admin);
    const { signingSecret } = workspace;
    const begin = async (): Promise<URL> => {
      const given = { clientId: "111.222", clientSecret: "clientsecretclientsecret", signingSecret };
      const reply = await admin.post("/tenant/v1/channels/slack/install", given);
      assert.equal(reply.status, 201, reply.text);
      return new URL(String(reply.json()["url"]));
    };
    const url = await begin();
    assert.deepEqual([url.pathname, url.searchParams.get("client_id")], ["/oauth/v2/authorize", "111.222"]);
    assert.ok(!url.href.includes("clientsecret") && !url.href.includes(signingSecret));
    const state = url.searchParams.get("state") ?? "";
    slack.codes.set("good", workspace);
    const back = (given: string, code: string): ReturnType<typeof anybody.get> =>
      anybody.get(`/channels/slack/oauth?${new URLSearchParams({ state: given, code }).toString()}`);
    for (const wrong of [`b.${state.split(".")[1] ?? ""}`, state.replace(/.$/, (last) => (last === "A" ? "B" : "A")), "a.x", ""])
      assert.equal((await back(wrong, "good")).code, "not_found");
    const done = await back(state, "good");
    assert.equal(done.status, 200, done.text);
    assert.equal((await back(state, "good")).code, "not_found");
    assert.equal((await back((await begin()).searchParams.get("state") ?? "", "never-given")).code, "invalid_settings");
    const path = /\/channels\/slack\/[A-Za-z0-9_-]{22}/.exec(done.text)?.[0] ?? "";
    await deliver(eventOf(workspace), workspace, { path });
    await posted(workspace, 1);
    const trail = (await admin.get("/tenant/v1/audit")).text;
    assert.ok(trail.includes("channel_added") && trail.includes("channel_install_begun"));
    const rows = await freehold.sql<{ text: string }>("select r::text as text from freehold.channel_requests r");
    for (const { text } of rows) assert.ok(!text.includes("clientsecret"));
  });

  test("a test message goes the whole way, and says what the platform said", async () => {
    const path = `/tenant/v1/channels/${pathOf(ofA).split("/").at(-1) ?? ""}/test`;
    const admin = freehold.as(freehold.credentials.a.admin);
    const good = (await admin.post(path, { to: channelOf(ofA), message: "Are you there?" })).json();
    assert.deepEqual([good["signed"], good["outcome"]], [true, { state: "sent", problem: null }]);
    assert.equal((await posted(ofA, 1))[0]?.["channel"], channelOf(ofA));
    const bad = (await admin.post(path, { to: channelOf(ofB) })).json();
    assert.deepEqual(bad["outcome"], { state: "failed", problem: "channel_not_found" });
  });

  test("100 apps of two tenants in one process are each answered with their own token", async () => {
    const many = Array.from({ length: 98 }, (_, n) => workspaceOf(200 + n));
    for (const [n, workspace] of many.entries()) await install(n % 2 === 0 ? "a" : "b", workspace);
    await Promise.all(many.map((workspace) => deliver(eventOf(workspace), workspace)));
    await until("98 answers", () => slack.posted.length >= 98, 60_000);
    for (const [n, { team }] of many.entries()) {
      const own = slack.posted.filter((each) => each.team === team);
      assert.equal(own.length, 1, team);
      assert.ok(String(own[0]?.body["text"]).startsWith(`The answer of ${n % 2 === 0 ? "a" : "b"}.`));
    }
    const wrong = many.map((workspace, n) =>
      deliver(eventOf(workspace), many[(n + 1) % many.length] ?? workspace, { path: pathOf(workspace) }),
    );
    assert.deepEqual(new Set((await Promise.all(wrong)).map(({ status }) => status)), new Set([401]));
    assert.deepEqual(slack.problems, []);
  });
});
