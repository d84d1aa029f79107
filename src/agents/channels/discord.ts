import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { z } from "zod";
import { BoundedMap, type Json, parseJson, type StoreTenant } from "../../kernel/index.ts";
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
  type ReplyOutcome,
  type Sample,
} from "./channel.ts";
import { type DiscordReader, snowflake, speakDiscord } from "./sockets/discord-socket.ts";
import { assertUsable, invalidChannel, type PlatformApi } from "./platform-api.ts";

/** Where Discord is. */
export interface DiscordAddresses {
  /** Without `/api`. */
  readonly apiUrl: string;
}

/** What a tenant gives of its Discord app. */
const discordInput = z.strictObject({
  botToken: z.string().regex(/^[A-Za-z0-9._-]{20,200}$/, "use the token of the app's bot"),
  /** The servers in which the app is answered. */
  guilds: z.array(snowflake).min(1).max(100),
  /** Whether people are answered in direct messages, where there is no server. */
  directMessages: z.boolean().default(false),
  /** Whether Discord is connected to: then messages that mention the app are answered too, and nothing is delivered. */
  socket: z.boolean().default(false),
});

/** What is kept of an installation besides: the key that Discord named, and what the tenant wants. */
const discordSettings = z.object({
  publicKey: z.string().regex(/^[0-9a-f]{64}$/),
  guilds: z.array(snowflake),
  directMessages: z.boolean(),
  socket: z.boolean().default(false),
});
type DiscordSettings = z.output<typeof discordSettings>;

const interaction = z.object({
  type: z.int(),
  id: snowflake,
  application_id: snowflake,
  token: z.string().regex(/^[A-Za-z0-9._=-]{1,500}$/),
  guild_id: snowflake.nullish(),
  channel_id: snowflake.nullish(),
  member: z.object({ user: z.object({ id: snowflake, bot: z.boolean().optional() }) }).nullish(),
  user: z.object({ id: snowflake, bot: z.boolean().optional() }).nullish(),
  data: z
    .object({
      name: z.string().max(64).optional(),
      options: z.array(z.object({ type: z.int(), value: z.unknown().optional() })).optional(),
    })
    .nullish(),
});

/** A message in a channel or to the app itself. */
const written = z.object({
  id: snowflake,
  type: z.int(),
  channel_id: snowflake,
  guild_id: snowflake.nullish(),
  author: z.object({ id: snowflake, bot: z.boolean().optional() }),
  webhook_id: z.string().nullish(),
  content: z.string(),
  mentions: z.array(z.object({ id: z.string() })),
});

/** The answer to a command, or a message in a channel, to another message where there is one. */
const addressSchema = z.union([
  z.strictObject({ token: z.string() }),
  z.strictObject({ channel: snowflake, message: snowflake.optional() }),
]);

const PING = 1;
const COMMAND = 2;
const TEXT_OPTION = 3;
const PONG: Acknowledgement = { type: 1 };
const DEFERRED: Acknowledgement = { type: 5 };
const EPHEMERAL = 64;
/** A message that a person has written, and one in answer to another. */
const WRITTEN: ReadonlySet<number> = new Set([0, 19]);
/** Messages of servers and direct ones: their text comes along where they mention the app, so that no privileged intent is needed. */
const INTENTS = { guilds: 1 << 9, direct: 1 << 12 } as const;
const TEXT_MAX = 6_000;
const CONTENT_MAX = 2_000;
const NOBODY = { parse: [], replied_user: false };
const KEYS_MAX = 10_000;
/** SubjectPublicKeyInfo in front of the 32 bytes of an Ed25519 public key (RFC 8410, 4). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/**
 * Discord by interactions: a slash command with one text, answered later by an edit of the deferred answer; over a connection also messages that
 * mention the app. Signatures are Ed25519 over time and body; Discord says nothing of how old one may be, so the bound is our own.
 */
export function createDiscordChannel(api: PlatformApi, addresses: DiscordAddresses): Channel {
  const keys = new BoundedMap<string, KeyObject>(KEYS_MAX);
  const keyOf = (hex: string): KeyObject => {
    const key =
      keys.get(hex) ?? createPublicKey({ key: Buffer.concat([SPKI_PREFIX, Buffer.from(hex, "hex")]), format: "der", type: "spki" });
    keys.set(hex, key);
    return key;
  };
  return {
    platform: "discord",
    prove: (tenant, given) => prove(api, addresses, tenant, given),
    read(delivery, installation, nowMs) {
      const reason = unsigned(delivery, keyOf(discordSettings.parse(installation.settings).publicKey), nowMs);
      if (reason !== undefined) return { kind: "refused", reason };
      const body = parseJson(delivery.body);
      if (typeof body === "object" && body !== null && !Array.isArray(body) && body["type"] === PING)
        return { kind: "greeting", acknowledgement: PONG };
      return readInteraction(body, installation);
    },
    reply: (installation, address, text, signal) => reply(api, addresses, installation, address, text, signal),
    speak(turn) {
      const { directMessages } = discordSettings.parse(turn.installation.settings);
      const intents = INTENTS.guilds | (directMessages ? INTENTS.direct : 0);
      return speakDiscord({ api, apiUrl: addresses.apiUrl, intents, read: readEvent }, turn);
    },
    sample,
  };
}

const readEvent: DiscordReader = (kind, data, installation, botUser) => {
  if (kind === "INTERACTION_CREATE") return readInteraction(data, installation);
  return kind === "MESSAGE_CREATE" ? readMessage(data, installation, botUser) : undefined;
};

function readMessage(data: Json, installation: OpenInstallation, botUser: string): AdmittedReading {
  const parsed = written.safeParse(data);
  if (!parsed.success) return ignored("unreadable");
  const { id, type, channel_id: channel, guild_id: guild, author, webhook_id: webhook, content, mentions } = parsed.data;
  const { guilds, directMessages } = discordSettings.parse(installation.settings);
  if (author.bot === true || webhook || author.id === botUser || !WRITTEN.has(type)) return ignored("bot");
  if (guild ? !mentions.some((each) => each.id === botUser) : !directMessages) return ignored("not_addressed");
  if (guild && !guilds.includes(guild)) return { ...ignored("another_workspace"), audit: true };
  const text = content.replace(new RegExp(`^\\s*<@!?${botUser}>`), "").trim();
  if (text === "" || text.length > TEXT_MAX) return ignored("no_text");
  return {
    kind: "message",
    acknowledgement: undefined,
    message: {
      deliveryId: `message:${id}`,
      conversation: ["message", channel, author.id],
      sender: `discord:${author.id}`,
      text,
      address: { channel, message: id },
      metadata: { workspace: guild ?? "", channel },
    },
  };
}

function ignored(reason: string): Extract<AdmittedReading, { kind: "dropped" }> {
  return { kind: "dropped", reason, audit: false, acknowledgement: undefined };
}

async function prove(
  api: PlatformApi,
  addresses: DiscordAddresses,
  tenant: StoreTenant,
  given: Readonly<Record<string, Json>>,
): Promise<ProvedApp> {
  const parsed = discordInput.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalidChannel(issue?.path.join(".") ?? "", issue?.message ?? "not valid");
  }
  const { botToken, guilds, directMessages, socket } = parsed.data;
  const headers = { authorization: `Bot ${botToken}` };
  const me = await api(tenant, { method: "GET", url: `${addresses.apiUrl}/api/v10/applications/@me`, headers });
  assertUsable("Discord", me);
  const app = z.object({ id: snowflake, verify_key: z.string().regex(/^[0-9a-f]{64}$/) }).safeParse(me.body);
  if (me.status !== 200 || !app.success) throw invalidChannel("botToken", "Discord does not take the bot token.");
  for (const [at, guild] of guilds.entries()) {
    const found = await api(tenant, { method: "GET", url: `${addresses.apiUrl}/api/v10/guilds/${guild}`, headers });
    assertUsable("Discord", found);
    if (found.status !== 200) throw invalidChannel(`guilds.${at}`, "The app's bot is not in this server. Add it there first.");
  }
  return {
    app: app.data.id,
    // an app has one address for all servers, so it is one tenant's as a whole
    workspace: app.data.id,
    settings: { publicKey: app.data.verify_key, guilds, directMessages, socket } satisfies DiscordSettings,
    secrets: { botToken },
  };
}

/** Why the delivery is not one that Discord has signed for this app within the last minutes. */
function unsigned(delivery: Delivery, key: KeyObject, nowMs: number): string | undefined {
  const timestamp = onlyValue(delivery, "x-signature-timestamp");
  const signature = onlyValue(delivery, "x-signature-ed25519");
  if (timestamp === undefined || signature === undefined || !/^[0-9a-f]{128}$/.test(signature)) return "signature_missing";
  if (!isFresh(timestamp, nowMs)) return "signature_too_old";
  const signed = Buffer.concat([Buffer.from(timestamp), delivery.body]);
  return verify(null, signed, key, Buffer.from(signature, "hex")) ? undefined : "signature_invalid";
}

function readInteraction(data: Json, installation: OpenInstallation): AdmittedReading {
  const parsed = interaction.safeParse(data);
  if (!parsed.success) return says("unreadable", "This cannot be answered.");
  const body = parsed.data;
  const { guilds, directMessages } = discordSettings.parse(installation.settings);
  if (body.application_id !== installation.app) return says("another_app", "This app is not set up here.", true);
  const guild = body.guild_id ?? undefined;
  if (guild === undefined ? !directMessages : !guilds.includes(guild))
    return says("another_workspace", "This app is not set up for this server.", true);
  const user = body.member?.user ?? body.user;
  if (!user || user.bot === true) return says("bot", "This cannot be answered.");
  const option = body.data?.options?.find(({ type }) => type === TEXT_OPTION)?.value;
  const text = typeof option === "string" ? option.trim() : "";
  if (body.type !== COMMAND || text === "" || text.length > TEXT_MAX) return says("no_text", "Write a question after the command.");
  return {
    kind: "message",
    acknowledgement: DEFERRED,
    message: {
      deliveryId: `interaction:${body.id}`,
      conversation: ["command", body.channel_id ?? "", user.id],
      sender: `discord:${user.id}`,
      text,
      address: { token: body.token },
      metadata: {
        workspace: guild ?? "",
        channel: body.channel_id ?? "",
        ...(body.data?.name !== undefined && { command: body.data.name }),
      },
    },
  };
}

/** Not for the agent; whoever asked is told so, alone. */
function says(reason: string, content: string, audit = false): AdmittedReading {
  return { kind: "dropped", reason, audit, acknowledgement: { type: 4, data: { content, flags: EPHEMERAL, allowed_mentions: NOBODY } } };
}

async function reply(
  api: PlatformApi,
  { apiUrl }: DiscordAddresses,
  installation: OpenInstallation,
  sealed: Json,
  text: string,
  signal: AbortSignal,
): Promise<ReplyOutcome> {
  const tenant = tenantOf(installation);
  const address = addressSchema.parse(sealed);
  const content = text.length <= CONTENT_MAX ? text : `${text.slice(0, CONTENT_MAX - 2).toWellFormed()} …`;
  const answered = "message" in address && address.message !== undefined ? address.message : undefined;
  const body = JSON.stringify({
    content,
    allowed_mentions: NOBODY,
    ...(answered !== undefined && { message_reference: { message_id: answered, fail_if_not_exists: false } }),
  });
  const json = { "content-type": "application/json" };
  const answer =
    "token" in address
      ? await api(tenant, {
          method: "PATCH",
          url: `${apiUrl}/api/v10/webhooks/${installation.app}/${address.token}/messages/@original`,
          headers: json,
          body,
          signal,
        })
      : await api(tenant, {
          method: "POST",
          url: `${apiUrl}/api/v10/channels/${address.channel}/messages`,
          headers: { ...json, authorization: `Bot ${installation.secrets["botToken"] ?? ""}` },
          body,
          signal,
        });
  assertUsable("Discord", answer);
  return answer.status < 300 ? { kind: "sent" } : { kind: "refused", reason: `status_${answer.status}` };
}

/** Discord alone has the key that signs: the message begins behind the signature, and its answer goes to a channel. */
function sample({ app }: OpenInstallation, to: string, text: string, { id }: { readonly id: string }): Sample {
  if (!snowflake.safeParse(to).success) throw invalidChannel("to", "Name a channel by its id.");
  const message = {
    deliveryId: `test:${id}`,
    conversation: ["test", to],
    sender: `discord:${app}`,
    text,
    address: { channel: to },
    metadata: { channel: to },
  };
  return { signed: false, reading: { kind: "message", acknowledgement: undefined, message } };
}
