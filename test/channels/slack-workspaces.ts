import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import type { ServerResponse } from "node:http";
import { startStub, type StubServer, withParts } from "../support/stub-server.ts";

/** One app in one workspace, as Slack knows it. */
export interface Workspace {
  readonly team: string;
  readonly app: string;
  readonly bot: string;
  readonly botUser: string;
  readonly botToken: string;
  readonly signingSecret: string;
  readonly appToken: string;
}

/** One call that was allowed, with the team whose token it had. */
export interface Posted {
  readonly team: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Slack as far as an app sees it, strict about tokens: a token opens its own workspace's channels and nothing else. */
export interface SlackStub extends StubServer {
  /** Messages, in the order in which they came. */
  readonly posted: Posted[];
  /** What came to addresses of commands, by path. */
  readonly responses: { readonly path: string; readonly body: Readonly<Record<string, unknown>> }[];
  /** Answers the next calls of `chat.postMessage` with these instead. */
  readonly failures: ((response: ServerResponse) => void)[];
  /** What somebody of a workspace has allowed: each code is good once. */
  readonly codes: Map<string, Workspace>;
  /** Where an app that is opened with its app token connects to, by app. */
  readonly sockets: Map<string, string>;
  add(workspace: Workspace): void;
}

/** The nth workspace. Names of two of them never meet. */
export function workspaceOf(n: number): Workspace {
  const name = String(n).padStart(4, "0");
  return {
    team: `T${name}`,
    app: `A${name}`,
    bot: `B${name}`,
    botUser: `UBOT${name}`,
    botToken: `xoxb-${name}-secretsecret`,
    signingSecret: `${name}5igningSecretOfOneApp`,
    appToken: `xapp-1-A${name}-123456-secretsecret`,
  };
}

/** The channel ids of a workspace end in its number: so the stub knows whose a channel is. */
export function channelOf(workspace: Workspace, kind: "C" | "D" = "C"): string {
  return `${kind}X${workspace.team.slice(1)}`;
}

/** Starts Slack. */
export async function startSlack(): Promise<SlackStub> {
  const workspaces = new Map<string, Workspace>();
  const codes = new Map<string, Workspace>();
  const posted: Posted[] = [];
  const responses: { path: string; body: Record<string, unknown> }[] = [];
  const sockets = new Map<string, string>();
  const failures: ((response: ServerResponse) => void)[] = [];
  const stub = await startStub((request, body, response) => {
    const say = (value: object): void => void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
    assert.equal(request.method, "POST");
    const path = request.url ?? "";
    if (path.startsWith("/commands/")) {
      assert.equal(request.headers.authorization, undefined, "an address of a command needs no token, and must not get one");
      responses.push({ path, body: JSON.parse(body.toString()) as Record<string, unknown> });
      return void response.writeHead(200).end("ok");
    }
    if (path === "/api/oauth.v2.access") {
      const given = new URLSearchParams(body.toString());
      const basic = `Basic ${Buffer.from("111.222:clientsecretclientsecret").toString("base64")}`;
      const allowed = codes.get(given.get("code") ?? "");
      codes.delete(given.get("code") ?? "");
      if (request.headers.authorization !== basic) return say({ ok: false, error: "invalid_client_id" });
      if (!allowed || given.get("redirect_uri") !== "https://gateway.example/channels/slack/oauth")
        return say({ ok: false, error: "invalid_code" });
      return say({ ok: true, access_token: allowed.botToken, token_type: "bot", scope: "chat:write", team: { id: allowed.team } });
    }
    if (path === "/api/apps.connections.open") {
      const app = [...workspaces.values()].find(({ appToken }) => request.headers.authorization === `Bearer ${appToken}`);
      return app ? say({ ok: true, url: sockets.get(app.app) }) : say({ ok: false, error: "invalid_auth" });
    }
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    const workspace = workspaces.get(token);
    if (!workspace) return say({ ok: false, error: "invalid_auth" });
    switch (path) {
      case "/api/auth.test":
        return say({ ok: true, team_id: workspace.team, user_id: workspace.botUser, bot_id: workspace.bot, is_enterprise_install: false });
      case "/api/bots.info": {
        const bot = new URLSearchParams(body.toString()).get("bot");
        return bot === workspace.bot
          ? say({ ok: true, bot: { id: bot, app_id: workspace.app } })
          : say({ ok: false, error: "bot_not_found" });
      }
      case "/api/chat.postMessage": {
        const fail = failures.shift();
        if (fail) return fail(response);
        assert.equal(request.headers["content-type"], "application/json; charset=utf-8");
        const message = JSON.parse(body.toString()) as Record<string, unknown>;
        if (!String(message["channel"]).endsWith(workspace.team.slice(1))) return say({ ok: false, error: "channel_not_found" });
        posted.push({ team: workspace.team, body: message });
        return say({ ok: true, channel: message["channel"], ts: "1.000001" });
      }
      default:
        assert.fail(`Slack has no ${path}`);
    }
  });
  return withParts(stub, {
    codes,
    posted,
    responses,
    failures,
    sockets,
    add: (workspace: Workspace) => void workspaces.set(workspace.botToken, workspace),
  });
}

/** What is sent for a delivery. */
export interface SlackDelivery {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Signs as Slack does (https://docs.slack.dev/authentication/verifying-requests-from-slack). */
export function signed(
  { signingSecret }: Pick<Workspace, "signingSecret">,
  body: string | Uint8Array,
  { atMs = Date.now(), type = "application/json" }: { readonly atMs?: number; readonly type?: string } = {},
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(atMs / 1000));
  const signature = createHmac("sha256", signingSecret).update(`v0:${timestamp}:`).update(body).digest("hex");
  return { "content-type": type, "x-slack-request-timestamp": timestamp, "x-slack-signature": `v0=${signature}` };
}

let events = 0;

/** An event of a workspace; `event` over a mention in its channel. */
export function eventOf(workspace: Workspace, event: object = {}, outer: object = {}): string {
  const n = ++events;
  return JSON.stringify({
    token: "not used any more",
    team_id: workspace.team,
    api_app_id: workspace.app,
    type: "event_callback",
    event_id: `Ev${n}`,
    event_time: 1,
    event: {
      type: "app_mention",
      user: "UPERSON",
      team: workspace.team,
      text: `<@${workspace.botUser}> How long do refunds take?`,
      channel: channelOf(workspace),
      ts: `1700000000.${String(n).padStart(6, "0")}`,
      ...event,
    },
    ...outer,
  });
}
