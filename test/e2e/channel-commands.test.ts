import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { channelOf, eventOf, signed, startSlack, workspaceOf } from "../channels/slack-workspaces.ts";
import { freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { Client } from "../support/freehold-client.ts";
import { until } from "../support/until.ts";
import { type Ended, freehold, type Running, up } from "./program.ts";

const folder = temporaryFolder();
const slack = await startSlack();
const workspace = workspaceOf(7);
const env = { FREEHOLD_BOT_TOKEN: workspace.botToken, OUR_SECRET: workspace.signingSecret };

describe("freehold channel", () => {
  let flags: readonly string[] = [];
  let server: Running | undefined;
  let channel: { id: string; path: string; app: string; workspace: string };
  const run = async (...args: string[]): Promise<Ended> => await freehold(["channel", ...args, "--json", ...flags], { cwd: folder, env });

  before(async () => {
    slack.add(workspace);
    writeFileSync(path.join(folder, "freehold.yaml"), JSON.stringify({ channels: { slack: { apiUrl: slack.url } } }));
    flags = ["--data", path.join(folder, "data"), "--database-url", await freshDatabase()];
    server = await up([...flags, "--demo"], { cwd: folder });
  });
  after(() => slack.close());

  test("installs an app of a tenant by what Slack says of its token, and shows no secret", async () => {
    const added = await run("add", "acme", "slack", "--signing-secret-env", "OUR_SECRET");
    assert.equal(added.code, 0, added.stderr);
    channel = JSON.parse(added.stdout) as typeof channel;
    assert.deepEqual([channel.app, channel.workspace], [workspace.app, workspace.team]);
    const listed = await run("list", "acme");
    for (const secret of Object.values(env)) assert.ok(!added.stdout.includes(secret) && !listed.stdout.includes(secret));
    assert.ok(listed.stdout.includes(channel.id));
    assert.equal((await run("add", "globex", "slack", "--signing-secret-env", "OUR_SECRET")).code, 1);
    assert.match((await run("add", "acme", "slack", "--signing-secret-env", "NOT_SET")).stderr, /NOT_SET/);
  });

  test("sends a signed message through it, and fails when its answer does not arrive", async () => {
    const good = await run("test", "acme", channel.id, "--to", channelOf(workspace));
    assert.equal(good.code, 0, good.stderr);
    assert.equal((JSON.parse(good.stdout) as { outcome: string }).outcome, "sent");
    assert.equal(slack.posted.length, 1);
    const bad = await run("test", "acme", channel.id, "--to", channelOf(workspaceOf(8)));
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /channel_not_found/);
  });

  test("takes it away: what it delivers is refused", async () => {
    const client = new Client(server?.url ?? "", {});
    const deliver = async (): Promise<number> => {
      const body = eventOf(workspace);
      return (await client.send("POST", channel.path, { body, headers: signed(workspace, body) })).status;
    };
    assert.equal(await deliver(), 200);
    await until("the answer", () => slack.posted.length === 2);
    assert.equal((await run("remove", "acme", channel.id)).code, 0);
    assert.equal(await deliver(), 401);
    assert.equal((await server?.stop())?.code, 0);
  });
});
