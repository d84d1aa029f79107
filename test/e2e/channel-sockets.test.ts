import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, describe, test } from "node:test";
import { channelOf, eventOf, startSlack, workspaceOf } from "../channels/slack-workspaces.ts";
import { type AppConnection, startSocketServer } from "../channels/socket-server.ts";
import { asAdministrator, freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { freehold, type Running, up } from "./program.ts";

/** A lease ends twelve seconds after the last word of its holder, and is looked for every two. */
const TAKEN_OVER_MS = 60_000;
const slack = await startSlack();
const workspace = workspaceOf(31);
/** For each connection, how many there were at the time of its beginning, itself included. */
const openAtOnce: number[] = [];
const open = (): readonly AppConnection[] => wires.connections.filter((connection) => connection.open);
const wires = await startSocketServer((connection) => {
  openAtOnce.push(open().length);
  connection.send({ type: "hello", connection_info: { app_id: workspace.app } });
});
let envelopes = 0;

/** Sends an event to whoever is connected, until it is acknowledged. */
async function sendEvent(payload: object): Promise<void> {
  const id = `envelope-${++envelopes}`;
  const sentTo = new Set<AppConnection>();
  await until(
    `${id} acknowledged`,
    () => {
      // what was sent to one that is gone comes again over the next one, as from Slack
      for (const connection of open()) {
        if (!sentTo.has(connection)) connection.send({ envelope_id: id, type: "events_api", payload });
        sentTo.add(connection);
      }
      return wires.connections.some(({ said }) => said.some(({ envelope_id: acknowledged }) => acknowledged === id));
    },
    TAKEN_OVER_MS,
  );
}

/** When the given events are answered, each once, and nothing else is. Each is a thread of its own, and none waits for another. */
async function answered(events: readonly { readonly event: { readonly ts: string } }[]): Promise<void> {
  await until(`${events.length} answers`, () => slack.posted.length >= events.length);
  assert.deepEqual(slack.posted.map(({ body }) => String(body["thread_ts"])).toSorted(), events.map(({ event: { ts } }) => ts).toSorted());
}

/** When so many replies are noted as sent. */
async function noted(database: string, count: number): Promise<void> {
  await until(`${count} replies noted`, async () => {
    const { rowCount } = await asAdministrator(database, (client) =>
      client.query("select from freehold.channel_deliveries where state = 'sent'"),
    );
    return rowCount === count;
  });
}

function newEvent(): { event: { ts: string } } {
  return JSON.parse(eventOf(workspace)) as { event: { ts: string } }; // written so
}

describe("an app that is connected to", () => {
  after(() => {
    slack.close();
    wires.close();
  });

  test("is held by one gateway of three, by exactly one other when that is killed, and no event is answered twice", async () => {
    const cwd = temporaryFolder();
    slack.add(workspace);
    slack.sockets.set(workspace.app, wires.url);
    writeFileSync(path.join(cwd, "freehold.yaml"), JSON.stringify({ channels: { slack: { apiUrl: slack.url } } }));
    const database = await freshDatabase();
    const flags = ["--data", path.join(cwd, "data"), "--database-url", database];
    const start = async (): Promise<Running> => await up([...flags, "--demo"], { cwd });
    const first = await start();
    const env = { FREEHOLD_BOT_TOKEN: workspace.botToken, FREEHOLD_APP_TOKEN: workspace.appToken };
    const added = await freehold(["channel", "add", "acme", "slack", "--socket", "--json", ...flags], { cwd, env });
    assert.equal(added.code, 0, added.stderr);
    assert.ok(!added.stdout.includes(workspace.appToken));
    await wires.next(0);
    const second = await start();
    const third = await start();
    const events = Array.from({ length: 4 }, newEvent);
    const [one = newEvent(), two = newEvent(), three = newEvent(), four = newEvent()] = events;
    await sendEvent(one);
    await answered([one]);
    // a process that dies between Slack's answer to a reply and the note of it sends that reply twice
    await noted(database, 1);
    assert.equal(wires.connections.length, 1);

    await first.stop("SIGKILL");
    await sendEvent(two);
    // Slack did not hear that the dead one has taken it
    await sendEvent(one);
    await sendEvent(three);
    await answered([one, two, three]);
    await noted(database, 3);
    assert.equal(wires.connections.length, 2);

    // whether this one holds it or the other, there is one in the end
    await second.stop("SIGKILL");
    for (const event of [four, one, two, three]) await sendEvent(event);
    await answered(events);
    const { id } = JSON.parse(added.stdout) as { id: string };
    const tested = await freehold(["channel", "test", "acme", id, "--to", channelOf(workspace), "--json", ...flags], { cwd, env });
    assert.equal(tested.code, 0, tested.stderr);
    assert.equal(open().length, 1);
    assert.deepEqual([...new Set(openAtOnce)], [1]);
    assert.equal((await third.stop()).code, 0);
  });
});
