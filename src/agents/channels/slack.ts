import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { type Json, parseJson, type StoreTenant } from "../../kernel/index.ts";
import { tenantOf } from "../../tenancy/registry/index.ts";
import {
  type Acknowledgement,
  type AdmittedReading,
  type Channel,
  type Delivery,
  isFresh,
  onlyValue,
  type OpenInstallation,
  type ProvedApp,
  type Reading,
  type ReplyOutcome,
  type Sample,
} from "./channel.ts";
import { askSlackSocket, type SlackReaders, speakSlack, TRANSIENT } from "./sockets/slack-socket.ts";
import { assertUsable, invalidChannel, type PlatformApi } from "./platform-api.ts";

/** Where Slack is. */
export interface SlackAddresses {
  /** The Web API, without `/api`. */
  readonly apiUrl: string;
  /** What the address of a deferred answer begins with. */
  readonly hooksUrl: string;
}

/** What a tenant gives of its Slack app. */
const slackInput = z.strictObject({
  botToken: z.string().regex(/^xox[be][.-][A-Za-z0-9.-]{8,500}$/, "use the bot token, which begins with xoxb-"),
  /** What signs deliveries; not needed where Slack is connected to. */
  signingSecret: z
    .string()
    .regex(/^[A-Za-z0-9]{16,128}$/, "use the signing secret of the app's basic information")
    .optional(),
  /** What connections are opened with (Socket Mode): then everything comes over one. */
  appToken: z
    .string()
    .regex(/^xapp-[A-Za-z0-9-]{8,500}$/, "use an app-level token, which begins with xapp-")
    .optional(),
  /** Whether people of other organisations in shared channels are answered. */
  externalMembers: z.boolean().default(false),
});

const id = z.string().regex(/^[A-Z0-9]{1,32}$/);
/** What is kept of an installation besides: what Slack said, and what the tenant wants. */
const slackSettings = z.object({ botUser: id, wide: z.boolean(), externalMembers: z.boolean(), socket: z.boolean().default(false) });
type SlackSettings = z.output<typeof slackSettings>;

const whoSchema = z.object({
  team_id: id,
  bot_id: id,
  user_id: id,
  enterprise_id: id.nullish(),
  is_enterprise_install: z.boolean().optional(),
});
const botSchema = z.object({ bot: z.object({ app_id: id }) });
const eventBody = z.object({
  type: z.string(),
  challenge: z.string().max(1_000).optional(),
  team_id: z.string().nullish(),
  enterprise_id: z.string().nullish(),
  api_app_id: z.string().optional(),
  event_id: z.string().min(1).max(128).optional(),
  event: z
    .object({
      type: z.string(),
      subtype: z.string().optional(),
      bot_id: z.string().nullish(),
      bot_profile: z.unknown().optional(),
      app_id: z.string().nullish(),
      user: z.string().nullish(),
      team: z.string().nullish(),
      user_team: z.string().nullish(),
      text: z.string().nullish(),
      channel: z.string().nullish(),
      channel_type: z.string().nullish(),
      ts: z.string().nullish(),
      thread_ts: z.string().nullish(),
    })
    .optional(),
});

const commandBody = z.object({
  command: z.string().min(1).max(100),
  text: z.string().default(""),
  team_id: z.string(),
  enterprise_id: z.string().optional(),
  api_app_id: z.string(),
  channel_id: id,
  user_id: id,
  trigger_id: z.string().min(1).max(128),
  response_url: z.string().max(2_048),
});

/** An answer's place: a conversation, or the address that came with a command. */
const addressSchema = z.union([
  z.strictObject({
    channel: id,
    thread: z
      .string()
      .regex(/^[0-9]{1,12}\.[0-9]{1,6}$/)
      .optional(),
  }),
  z.strictObject({ responseUrl: z.string() }),
]);

const TEXT_MAX = 32_000;
/** Slack cuts longer texts (40,000 characters) by itself, and escaping makes a text longer. */
const REPLY_MAX = 12_000;
const NONE: Acknowledgement = undefined;
/** Kinds of messages that a person has written. */
const WRITTEN: ReadonlySet<string | undefined> = new Set([undefined, "file_share", "thread_broadcast"]);

/**
 * Slack by the Events API and slash commands, delivered or over a connection (Socket Mode). Signatures: HMAC-SHA256 over `v0:{time}:{body}` in
 * lower-case hexadecimal. Answered are direct messages, mentions and commands of people of the workspace; nothing of any bot.
 */
export function createSlackChannel(api: PlatformApi, addresses: SlackAddresses): Channel {
  const readers: SlackReaders = {
    event: (payload, installation) => readEvent(payload, installation),
    command: (payload, installation) => readCommand(addresses, payload, installation),
  };
  return {
    platform: "slack",
    prove: (tenant, given) => prove(api, addresses, tenant, given),
    read: (delivery, installation, nowMs) => read(addresses, delivery, installation, nowMs),
    reply: (installation, address, text, signal) => reply(api, addresses, installation, address, text, signal),
    speak: (turn) => speakSlack(api, addresses.apiUrl, readers, turn),
    sample,
  };
}

async function prove(
  api: PlatformApi,
  addresses: SlackAddresses,
  tenant: StoreTenant,
  given: Readonly<Record<string, Json>>,
): Promise<ProvedApp> {
  const parsed = slackInput.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalidChannel(issue?.path.join(".") ?? "", issue?.message ?? "not valid");
  }
  const { botToken, signingSecret, appToken, externalMembers } = parsed.data;
  if (signingSecret === undefined && appToken === undefined)
    throw invalidChannel("signingSecret", "Give the app's signing secret, or an app-level token for Socket Mode.");
  const asked = { tenant, token: botToken };
  const who = whoSchema.safeParse(await callSlack(api, addresses, asked, "auth.test", {}));
  const bot = who.success && (await callSlack(api, addresses, asked, "bots.info", { bot: who.data.bot_id }));
  const app = botSchema.safeParse(bot);
  const wide = who.data?.is_enterprise_install === true;
  const workspace = wide ? who.data?.enterprise_id : who.data?.team_id;
  if (!who.success || !app.success || !workspace)
    throw invalidChannel("botToken", "Slack does not say which app and workspace this token is of.");
  const { app_id: appId } = app.data.bot;
  if (appToken !== undefined) await proveAppToken(api, addresses, tenant, appToken, appId);
  return {
    app: appId,
    workspace,
    settings: { botUser: who.data.user_id, wide, externalMembers, socket: appToken !== undefined } satisfies SlackSettings,
    secrets: { botToken, ...(signingSecret !== undefined && { signingSecret }), ...(appToken !== undefined && { appToken }) },
  };
}

/** Which app it is of is in the token, and said again by Slack on each connection. */
async function proveAppToken(
  api: PlatformApi,
  { apiUrl }: SlackAddresses,
  tenant: StoreTenant,
  appToken: string,
  app: string,
): Promise<void> {
  if (!appToken.includes(`-${app}-`)) throw invalidChannel("appToken", "The app-level token is not of the bot token's app.");
  const answer = await askSlackSocket(api, apiUrl, tenant, appToken);
  if ("error" in answer) throw invalidChannel("appToken", `Slack does not take the app-level token: ${answer.error}.`);
}

/** A call that has to go well. Throws `invalid_settings` when Slack does not take the token. */
async function callSlack(
  api: PlatformApi,
  { apiUrl }: SlackAddresses,
  { tenant, token }: { readonly tenant: StoreTenant; readonly token: string },
  method: string,
  form: Readonly<Record<string, string>>,
): Promise<Record<string, Json>> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/x-www-form-urlencoded" };
  const answer = await api(tenant, { method: "POST", url: `${apiUrl}/api/${method}`, headers, body: new URLSearchParams(form).toString() });
  assertUsable("Slack", answer);
  const body = objectOf(answer.body);
  if (body["ok"] !== true) throw invalidChannel("botToken", `Slack does not take the bot token: ${errorOf(body)}.`);
  return body;
}

function read(addresses: SlackAddresses, delivery: Delivery, installation: OpenInstallation, nowMs: number): Reading {
  const reason = unsigned(delivery, installation, nowMs);
  if (reason !== undefined) return { kind: "refused", reason };
  const type = delivery.header("content-type")[0]?.split(";", 1)[0]?.trim().toLowerCase();
  if (type === "application/x-www-form-urlencoded") {
    const fields = [...new URLSearchParams(Buffer.from(delivery.body).toString("utf8"))];
    if (new Set(fields.map(([name]) => name)).size !== fields.length) return dropped("unreadable");
    return readCommand(addresses, Object.fromEntries(fields), installation);
  }
  return type === "application/json" ? readEvent(parseJson(delivery.body), installation) : { kind: "refused", reason: "content_type" };
}

/** Why the delivery is not one that Slack has signed for this app within the last minutes. */
function unsigned(delivery: Delivery, { secrets }: OpenInstallation, nowMs: number): string | undefined {
  const timestamp = onlyValue(delivery, "x-slack-request-timestamp");
  const signature = onlyValue(delivery, "x-slack-signature");
  const secret = secrets["signingSecret"];
  if (timestamp === undefined || signature === undefined || !secret) return "signature_missing";
  if (!isFresh(timestamp, nowMs)) return "signature_too_old";
  const wanted = Buffer.from(sign(secret, timestamp, delivery.body));
  const given = Buffer.from(signature);
  return wanted.length === given.length && timingSafeEqual(wanted, given) ? undefined : "signature_invalid";
}

function sign(secret: string, timestamp: string, body: Uint8Array): string {
  return `v0=${createHmac("sha256", secret).update(`v0:${timestamp}:`).update(body).digest("hex")}`;
}

function readEvent(payload: Json, installation: OpenInstallation): AdmittedReading {
  const parsed = eventBody.safeParse(payload);
  if (!parsed.success) return dropped("unreadable");
  const body = parsed.data;
  if (body.type === "url_verification") return { kind: "greeting", acknowledgement: { challenge: body.challenge ?? "" } };
  if (!isOfInstallation(body, installation)) return dropped("another_workspace", true);
  const { event, event_id: deliveryId } = body;
  if (body.type !== "event_callback" || !event || deliveryId === undefined) return dropped("unknown_type");
  if (event.type === "app_uninstalled") return { kind: "uninstalled" };
  const direct = event.type === "message" && event.channel_type === "im";
  if (!direct && event.type !== "app_mention") return dropped("not_addressed");
  const { botUser, externalMembers } = slackSettings.parse(installation.settings);
  if (!WRITTEN.has(event.subtype)) return dropped("not_written");
  if (event.bot_id || event.bot_profile || event.app_id || !event.user || event.user === botUser) return dropped("bot");
  const team = event.user_team ?? event.team ?? body.team_id ?? installation.workspace;
  if (team !== body.team_id && !externalMembers) return dropped("external_member");
  const text = plainText(event.text ?? "", botUser);
  if (text === "" || text.length > TEXT_MAX) return dropped("no_text");
  const { channel, ts, thread_ts: thread } = event;
  // a mention begins a thread, in which everybody who is there goes on with the same conversation
  const root = direct ? (thread ?? undefined) : (thread ?? ts ?? undefined);
  const address = addressSchema.safeParse({ channel, ...(root !== undefined && { thread: root }) });
  if (!address.success) return dropped("unreadable");
  return {
    kind: "message",
    acknowledgement: NONE,
    message: {
      deliveryId: `event:${deliveryId}`,
      conversation: ["thread", channel ?? "", root ?? ""],
      sender: `slack:${team}:${event.user}`,
      text,
      address: address.data as { [name: string]: Json }, // parsed from text
      metadata: { workspace: installation.workspace, channel: channel ?? "" },
    },
  };
}

function readCommand({ hooksUrl }: SlackAddresses, payload: Json, installation: OpenInstallation): AdmittedReading {
  const parsed = commandBody.safeParse(payload);
  if (!parsed.success) return dropped("unreadable");
  const { data } = parsed;
  if (!isOfInstallation(data, installation)) return dropped("another_workspace", true);
  // signed by Slack, and still nowhere else: what is sent there is an answer to a person
  if (!data.response_url.startsWith(`${hooksUrl}/`)) return dropped("response_url", true);
  const text = data.text.trim();
  if (text === "" || text.length > TEXT_MAX)
    return { ...dropped("no_text"), acknowledgement: { response_type: "ephemeral", text: `Write a question after ${data.command}.` } };
  return {
    kind: "message",
    acknowledgement: { response_type: "ephemeral", text: "One moment …" },
    message: {
      deliveryId: `command:${data.trigger_id}`,
      conversation: ["command", data.channel_id, data.user_id],
      sender: `slack:${data.team_id}:${data.user_id}`,
      text,
      address: { responseUrl: data.response_url },
      metadata: { workspace: installation.workspace, channel: data.channel_id, command: data.command },
    },
  };
}

/** The app and the workspace are those that Slack named when the installation was made; a person's own workspace says nothing. */
function isOfInstallation(
  body: {
    readonly api_app_id?: string | undefined;
    readonly team_id?: string | null | undefined;
    readonly enterprise_id?: string | null | undefined;
  },
  { app, workspace, settings }: OpenInstallation,
): boolean {
  return body.api_app_id === app && (slackSettings.parse(settings).wide ? body.enterprise_id : body.team_id) === workspace;
}

/** The text as its author wrote it, without the mention of the bot that it begins with. */
function plainText(text: string, botUser: string): string {
  const spoken = text.trim().startsWith(`<@${botUser}>`) ? text.trim().slice(botUser.length + 3) : text;
  return spoken.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&").trim();
}

async function reply(
  api: PlatformApi,
  { apiUrl, hooksUrl }: SlackAddresses,
  installation: OpenInstallation,
  sealed: Json,
  text: string,
  signal: AbortSignal,
): Promise<ReplyOutcome> {
  const tenant = tenantOf(installation);
  const address = addressSchema.parse(sealed);
  const json = "application/json; charset=utf-8";
  if ("responseUrl" in address) {
    if (!address.responseUrl.startsWith(`${hooksUrl}/`)) return { kind: "refused", reason: "response_url" };
    const body = JSON.stringify({ response_type: "ephemeral", replace_original: false, text: harmless(text) });
    const answer = await api(tenant, { method: "POST", url: address.responseUrl, headers: { "content-type": json }, body, signal });
    assertUsable("Slack", answer);
    return answer.status === 200 ? { kind: "sent" } : { kind: "refused", reason: `status_${answer.status}` };
  }
  const { channel, thread } = address;
  const message = { channel, text: harmless(text), parse: "none", link_names: false, unfurl_links: false, unfurl_media: false };
  const answer = await api(tenant, {
    method: "POST",
    url: `${apiUrl}/api/chat.postMessage`,
    headers: { authorization: `Bearer ${installation.secrets["botToken"] ?? ""}`, "content-type": json },
    body: JSON.stringify(thread === undefined ? message : { ...message, thread_ts: thread }),
    signal,
  });
  assertUsable("Slack", answer);
  const body = objectOf(answer.body);
  if (body["ok"] === true) return { kind: "sent" };
  const error = errorOf(body);
  if (TRANSIENT.has(error)) throw new Error(`Slack answered ${error}`);
  return { kind: "refused", reason: error };
}

/** Text in which nothing is a mention, a link with another face or a command: Slack reads those between angle brackets only. */
function harmless(text: string): string {
  const cut = text.length <= REPLY_MAX ? text : `${text.slice(0, REPLY_MAX).toWellFormed()} …`;
  return cut.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function sample(installation: OpenInstallation, to: string, text: string, { nowMs, id: unique }: { nowMs: number; id: string }): Sample {
  const { app, workspace, secrets } = installation;
  const { wide } = slackSettings.parse(installation.settings);
  const direct = to.startsWith("D");
  const event = {
    type: "event_callback",
    team_id: wide ? "" : workspace,
    enterprise_id: wide ? workspace : "",
    api_app_id: app,
    event_id: unique,
    event: {
      type: direct ? "message" : "app_mention",
      ...(direct && { channel_type: "im" }),
      user: "UTEST",
      text,
      channel: to,
      ...(direct && { ts: `${Math.floor(nowMs / 1000)}.000000` }),
    },
  };
  const signingSecret = secrets["signingSecret"];
  if (signingSecret === undefined) {
    const reading = readEvent(event, installation);
    if (reading.kind !== "message") throw invalidChannel("to", "Slack does not take such a message.");
    return { signed: false, reading };
  }
  const body = Buffer.from(JSON.stringify(event));
  const timestamp = String(Math.floor(nowMs / 1000));
  const fields: Readonly<Record<string, string>> = {
    "content-type": "application/json",
    "x-slack-request-timestamp": timestamp,
    "x-slack-signature": sign(signingSecret, timestamp, body),
  };
  return { signed: true, delivery: { header: (name) => (fields[name] === undefined ? [] : [fields[name]]), body } };
}

function dropped(reason: string, audit = false): Extract<Reading, { kind: "dropped" }> {
  return { kind: "dropped", reason, audit, acknowledgement: NONE };
}

function objectOf(body: Json | undefined): Record<string, Json> {
  return typeof body === "object" && body !== null && !Array.isArray(body) ? body : {};
}

/** Slack's own word for what is wrong, if it is one. */
function errorOf(body: Record<string, Json>): string {
  const { error } = body;
  return typeof error === "string" && /^[a-z_]{1,64}$/.test(error) ? error : "unknown";
}
