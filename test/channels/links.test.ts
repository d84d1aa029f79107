import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { a, deliver, freehold, ofA, ofB, posted, slackSuite } from "./slack-house.ts";
import { channelOf, eventOf, type Workspace } from "./slack-workspaces.ts";

const { credentials } = freehold;

async function codeOf(credential: Readonly<Record<string, string>>, body: object = {}): Promise<string> {
  const client = credential === credentials.b.member ? freehold.trusted(credential) : freehold.as(credential);
  const reply = await client.post("/api/links", body);
  assert.equal(reply.status, 201, reply.text);
  return String(reply.json()["code"]);
}

/** Writes as a person of a workspace, in a direct message, and gives what is answered. */
async function write(text: string, user: string, workspace: Workspace = ofA): Promise<string> {
  const count = (await posted(workspace, 0)).length;
  const event = { type: "message", channel_type: "im", channel: channelOf(workspace, "D"), user, text };
  assert.equal((await deliver(eventOf(workspace, event), workspace)).status, 200);
  return String((await posted(workspace, count + 1)).at(-1)?.["text"]);
}

describe("a person of a chat platform", () => {
  slackSuite();

  test("is a user of the tenant once it has written that user's code, and goes on elsewhere with what was said", async () => {
    await write("Before", "UANNA");
    const before = JSON.parse(a.received[0]?.body ?? "{}") as Record<string, unknown>;
    const member = freehold.as(credentials.a.member);
    assert.equal((await member.get(`/api/sessions/${String(before["sessionId"])}`)).code, "not_found");
    const code = await codeOf(credentials.a.member);
    assert.equal(await write(`link ${code}`, "UANNA"), "You are recognised from now on.");
    await write("After", "UANNA");
    const after = JSON.parse(a.received.at(-1)?.body ?? "{}") as Record<string, unknown>;
    assert.deepEqual([before["userId"], after["userId"]], ["slack:T0001:UANNA", "u1"]);
    const sessionId = String(after["sessionId"]);
    const reply = await member.post("/api/chat", { message: "And here", sessionId });
    assert.deepEqual([reply.status, reply.json()["sessionId"]], [200, sessionId]);
    assert.equal((await member.get(`/api/sessions/${sessionId}`)).json()["messages"], 6);
    assert.equal((await freehold.as(credentials.a.otherMember).get(`/api/sessions/${sessionId}`)).code, "not_found");
    assert.ok(!JSON.stringify(a.received).includes(code), "no agent gets a code");
  });

  test("is nobody by a code that was used, is too old, was never made or is another tenant's", async () => {
    const used = await codeOf(credentials.a.member);
    await write(`link ${used}`, "UBEA");
    const old = await codeOf(credentials.a.member);
    await freehold.sql("update freehold.channel_link_codes set expires_at = now() - interval '1 second'");
    const others = await codeOf(credentials.b.member);
    for (const code of [used, old, others, "ABCDE-FGHJK", used.replace("-", "").toLowerCase()])
      assert.equal(await write(`link ${code}`, "UCARL"), "This code is not good, or no longer. Ask for another one.", code);
    await write("Who am I?", "UCARL");
    assert.equal((JSON.parse(a.received.at(-1)?.body ?? "{}") as Record<string, unknown>)["userId"], "slack:T0001:UCARL");
    assert.equal(await write(`link ${others}`, "UCARL", ofB), "You are recognised from now on.");
  });

  test("is linked for its own user alone, and not any more when that user says so", async () => {
    assert.equal((await freehold.as(credentials.a.otherMember).post("/api/links", { userId: "u1" })).code, "forbidden");
    await write(`link ${await codeOf(credentials.a.key, { userId: "u2" })}`, "UDORA");
    const other = freehold.as(credentials.a.otherMember);
    assert.deepEqual(
      (await other.get("/api/links")).json<{ links: { sender: string }[] }>().links.map(({ sender }) => sender),
      ["slack:T0001:UDORA"],
    );
    assert.equal((await other.send("DELETE", "/api/links")).status, 204);
    await write("Who am I now?", "UDORA");
    assert.equal((JSON.parse(a.received.at(-1)?.body ?? "{}") as Record<string, unknown>)["userId"], "slack:T0001:UDORA");
  });
});
