import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, describe, test } from "node:test";
import { channelOf, eventOf, startSlack, workspaceOf } from "../channels/slack-workspaces.ts";
import { startSocketServer } from "../channels/socket-server.ts";
import { freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { freehold, up } from "./program.ts";

const slack = await startSlack();
const workspace = workspaceOf(31);
const wires = await startSocketServer((connection) => connection.send({ type: "hello", connection_info: { app_id: workspace.app } }));

describe("an app that is connected to", () => {
  after(() => {
    slack.close();
    wires.close();
  });

  test("is answered by one gateway, and by the other one when that is killed", async () => {
    const cwd = temporaryFolder();
    slack.add(workspace);
    slack.sockets.set(workspace.app, wires.url);
    writeFileSync(path.join(cwd, "freehold.yaml"), JSON.stringify({ channels: { slack: { apiUrl: slack.url } } }));
    const flags = ["--data", path.join(cwd, "data"), "--database-url", await freshDatabase()];
    const first = await up([...flags, "--demo"], { cwd });
    const env = { FREEHOLD_BOT_TOKEN: workspace.botToken, FREEHOLD_APP_TOKEN: workspace.appToken };
    const added = await freehold(["channel", "add", "acme", "slack", "--socket", "--json", ...flags], { cwd, env });
    assert.equal(added.code, 0, added.stderr);
    assert.ok(!added.stdout.includes(workspace.appToken));
    const before = await wires.next(0);
    const second = await up([...flags, "--demo"], { cwd });
    before.send({ envelope_id: "one", type: "events_api", payload: JSON.parse(eventOf(workspace)) as object });
    await until("an answer", () => slack.posted.length === 1);
    assert.equal(wires.connections.length, 1);

    await first.stop("SIGKILL");
    // what was sent to the one that is gone comes again
    const payload = JSON.parse(eventOf(workspace, { text: "Are you still there?" })) as object;
    const later = await wires.next(1);
    later.send({ envelope_id: "two", type: "events_api", payload });
    await until("its acknowledgement", () => later.said.some(({ envelope_id: id }) => id === "two"));
    await until("another answer", () => slack.posted.length === 2);
    const { id } = JSON.parse(added.stdout) as { id: string };
    const tested = await freehold(["channel", "test", "acme", id, "--to", channelOf(workspace), "--json", ...flags], { cwd, env });
    assert.equal(tested.code, 0, tested.stderr);
    assert.equal((await second.stop()).code, 0);
  });
});
