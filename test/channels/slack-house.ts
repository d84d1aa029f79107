import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import type { Client, Reply } from "../support/freehold-client.ts";
import type { TenantName } from "../support/freehold-seed.ts";
import { until } from "../support/until.ts";
import { eventOf, signed, startSlack, type Workspace, workspaceOf } from "./slack-workspaces.ts";

/** Slack, and a Freehold that knows it there. */
export const slack = await startSlack();
export const freehold = await startFreehold({
  settings: { channels: { publicUrl: "https://gateway.example", slack: { apiUrl: slack.url, hooksUrl: slack.url } } },
});
export const operator = freehold.trusted(freehold.platform.admin);
export const anybody = freehold.as({});
export const { a } = freehold.agents;

export const [ofA, ofB] = [workspaceOf(1), workspaceOf(2)];
const paths = new Map<Workspace, string>();

/** Installs a workspace's app for a tenant, and gives its path. */
export async function install(tenant: TenantName, workspace: Workspace, settings: object = {}): Promise<string> {
  slack.add(workspace);
  const { botToken, signingSecret } = workspace;
  const reply = await operator.post(`/admin/v1/tenants/${tenant}/channels`, {
    platform: "slack",
    settings: { botToken, signingSecret, ...settings },
  });
  assert.equal(reply.status, 201, reply.text);
  const path = String(reply.json()["path"]);
  paths.set(workspace, path);
  return path;
}

/** Where a workspace delivers to. */
export function pathOf(workspace: Workspace): string {
  return paths.get(workspace) ?? "";
}

/** Delivers as Slack does, for this workspace unless another signs or another address is named. */
export async function deliver(
  body: string,
  workspace: Workspace,
  { client = anybody, headers = {}, path = pathOf(workspace) }: { client?: Client; headers?: object; path?: string } = {},
): Promise<Reply> {
  return await client.send("POST", path, { body, headers: { ...signed(workspace, body), ...headers } });
}

/** The messages that a workspace got, when there are so many. */
export async function posted(workspace: Workspace, count: number): Promise<readonly Record<string, unknown>[]> {
  const own = (): Record<string, unknown>[] => slack.posted.filter(({ team }) => team === workspace.team).map(({ body }) => body);
  await until(`${count} messages in ${workspace.team}`, () => own().length >= count);
  return own();
}

/** What agent a was asked, when it was asked so often. */
export async function asked(count: number): Promise<readonly Record<string, unknown>[]> {
  await until(`${count} questions`, () => a.received.length >= count);
  return a.received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
}

/** When everything that was put down so far is answered: a question that is put down after it was answered too. */
export async function settled(workspace = ofA): Promise<void> {
  const count = slack.posted.length;
  const marker = `marker ${count}`;
  await deliver(eventOf(workspace, { text: marker }), workspace);
  await until("the marker is answered", () => slack.posted.length > count);
  await until("no delivery waits", async () => {
    const rows = await freehold.sql(
      "select from freehold.deliveries where consumer like 'channel-%' union all select from freehold.outbox",
    );
    return rows.length === 0;
  });
}

/** Guards the suite, installs the apps of a and b, and begins each test with nothing on its way. */
export function slackSuite(): void {
  guard(freehold);
  after(() => slack.close());
  before(async () => {
    await install("a", ofA);
    await install("b", ofB);
  });
  beforeEach(async () => {
    a.behave();
    await settled();
    await settled(ofB);
    slack.posted.length = 0;
    slack.responses.length = 0;
    a.received.length = 0;
    freehold.agents.b.received.length = 0;
  });
}
