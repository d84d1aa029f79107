import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { until } from "../support/until.ts";
import { a, deliver, freehold, install, ofA, ofB, operator, pathOf, posted, slack, slackSuite } from "./slack-house.ts";
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
