import { Fault, type Json } from "../../kernel/index.ts";
import { secretOf } from "../environment-secret.ts";
import { withManagement } from "../installation.ts";
import type { CommonFlags } from "../options.ts";
import { printOne, printRows } from "../terminal.ts";
import { tenantPath } from "./tenant.ts";

interface WebsiteFlags extends Readonly<Partial<Record<(typeof WEBSITE_TEXTS)[number], string>>> {
  readonly origin?: readonly string[];
}

/** The flags of `channel add`. */
export interface ChannelAddFlags extends CommonFlags, WebsiteFlags {
  readonly name?: string;
  readonly botTokenEnv: string;
  readonly signingSecretEnv: string;
  readonly appTokenEnv: string;
  readonly socket?: boolean;
  readonly externalMembers?: boolean;
  readonly guild?: readonly string[];
  readonly directMessages?: boolean;
}

/** The flags of `channel change`. */
export type ChannelChangeFlags = CommonFlags & WebsiteFlags & Pick<ChannelAddFlags, "name">;

/** The flags of `channel test`. */
export interface ChannelTestFlags extends CommonFlags {
  readonly to: string;
  readonly message?: string;
}

/** The settings of a website that are texts, each with a flag of the same name. */
const WEBSITE_TEXTS = ["title", "greeting", "placeholder", "color", "launcher"] as const;
const COLUMNS = ["id", "platform", "name", "app", "workspace", "path"] as const;

function channelsPath(tenant: string): string {
  return `${tenantPath(tenant)}/channels`;
}

/** Installs an app of a tenant. Its secrets come from the environment: on a command line, others could read them. */
export async function addChannel(tenant: string, platform: string, flags: ChannelAddFlags): Promise<void> {
  const settings = settingsOf(platform, flags);
  const body: Json = { platform, settings, ...(flags.name !== undefined && { name: flags.name }) };
  const made = await withManagement(flags, (management) => management.call("POST", channelsPath(tenant), body));
  printOne({ ...(made as object) }, flags.json); // the call answers with a channel
}

/** Changes what an app of a tenant is called, and how the chat of a website looks. What no flag names stays. */
export async function changeChannel(tenant: string, id: string, flags: ChannelChangeFlags): Promise<void> {
  const settings = webSettingsOf(flags);
  const body: Json = { ...(flags.name !== undefined && { name: flags.name }), ...(Object.keys(settings).length > 0 && { settings }) };
  const path = `${channelsPath(tenant)}/${encodeURIComponent(id)}`;
  const changed = await withManagement(flags, (management) => management.call("PATCH", path, body));
  printOne({ ...(changed as object) }, flags.json); // the call answers with a channel
}

/** Prints the apps of a tenant. */
export async function listChannels(tenant: string, flags: CommonFlags): Promise<void> {
  const answer = await withManagement(flags, (management) => management.call("GET", channelsPath(tenant)));
  const { channels } = answer as { channels: Record<string, unknown>[] }; // the call's own shape
  printRows(channels, COLUMNS, flags.json);
}

/** Takes an app of a tenant away. */
export async function removeChannel(tenant: string, id: string, flags: CommonFlags): Promise<void> {
  await withManagement(flags, (management) => management.call("DELETE", `${channelsPath(tenant)}/${encodeURIComponent(id)}`));
  printOne({ tenant, channel: id, removed: true }, flags.json);
}

/** Sends a message through an app of a tenant, and prints how it ended. Throws when its answer did not arrive. */
export async function testChannel(tenant: string, id: string, flags: ChannelTestFlags): Promise<void> {
  const body: Json = { to: flags.to, ...(flags.message !== undefined && { message: flags.message }) };
  const path = `${channelsPath(tenant)}/${encodeURIComponent(id)}/test`;
  const run = await withManagement(flags, (management) => management.call("POST", path, body));
  const { outcome } = run as { outcome?: { state: string; problem: string | null } }; // the call's own shape
  printOne({ ...(run as object), outcome: outcome?.state ?? "dropped", problem: outcome?.problem ?? null }, flags.json);
  if (outcome?.state === "sent" && outcome.problem === null) return;
  const detail = `The answer did not arrive: ${outcome?.problem ?? outcome?.state ?? "too many messages in this conversation"}.`;
  throw new Fault("upstream_invalid", detail, { public: { detail } });
}

function settingsOf(platform: string, flags: ChannelAddFlags): Record<string, Json> {
  if (platform === "web") return { origins: [], ...webSettingsOf(flags) };
  const botToken = secretOf(flags.botTokenEnv);
  if (platform === "discord") {
    return {
      botToken,
      guilds: [...(flags.guild ?? [])],
      ...(flags.directMessages && { directMessages: true }),
      ...(flags.socket && { socket: true }),
    };
  }
  const proof = flags.socket ? { appToken: secretOf(flags.appTokenEnv) } : { signingSecret: secretOf(flags.signingSecretEnv) };
  return { botToken, ...proof, ...(flags.externalMembers && { externalMembers: true }) };
}

/** What is given of a website, and an empty text as null, which stands for the default. */
function webSettingsOf({ origin, ...texts }: WebsiteFlags): Record<string, Json> {
  const given = WEBSITE_TEXTS.flatMap((name) => (texts[name] === undefined ? [] : [[name, texts[name] || null] as const]));
  return { ...(origin && { origins: [...origin] }), ...Object.fromEntries(given) };
}
