import { z } from "zod";
import { Fault, type Json, type Tenant } from "../../kernel/index.ts";
import type { Installation } from "../../tenancy/registry/index.ts";
import type { ProvedApp } from "./channel.ts";
import { invalidChannel } from "./platform-api.ts";

/** A website's origin: scheme, host and port, and nothing that could end a header field or a list in it. */
const origin = z.string().max(200).refine(isOrigin, "use an origin such as https://www.example.com");
/** One line of plain text: it is shown as it is, and never as HTML. */
const line = (lengthMax: number): z.ZodString =>
  z
    .string()
    .trim()
    .min(1)
    .max(lengthMax)
    .regex(/^\P{Cc}*$/u, "use one line of text");

/** What a website is given. */
export const webSettings = z.strictObject({
  /** The sites that may show it. */
  origins: z.array(origin).min(1).max(50),
  title: line(80).default("Chat"),
  /** May have line breaks. */
  greeting: z
    .string()
    .trim()
    .min(1)
    .max(500)
    .regex(/^(?:\n|\P{Cc})*$/u, "use plain text")
    .default("Hello! How can I help you?"),
  placeholder: line(80).default("Write a message"),
  /** The tenant's colour; the colour of text on it follows from it. */
  color: z
    .string()
    .regex(/^#[0-9a-f]{6}$/i, "use a colour such as #1f3a8a")
    .toLowerCase()
    .default("#1f3a8a"),
  /** What stands on the button that opens the chat; null shows a picture alone. */
  launcher: line(40).nullable().default(null),
});

/** The page of a website's visitors. */
export interface WebPage {
  readonly tenant: Tenant;
  readonly installation: Installation;
  readonly settings: z.output<typeof webSettings>;
}

/** A website as an installation. It has no secrets: whoever opens the site is a visitor, and the sites are kept by their visitors' browsers. */
export function webInstallation(id: string, given: Readonly<Record<string, Json>>): ProvedApp {
  return { app: id, workspace: id, settings: parseWebSettings(given), secrets: {} };
}

/** The settings of a website with what is given in place of what was. Throws `invalid_settings`, for an app too. */
export function changedWebSettings({ platform, settings }: Installation, given: Readonly<Record<string, Json>>): ProvedApp["settings"] {
  if (platform !== "web")
    throw invalidChannel("settings", "Only a website's settings can be changed. Remove this app, and install it again.");
  return parseWebSettings({ ...settings, ...given });
}

/** With the defaults in place of nulls. */
function parseWebSettings(given: Readonly<Record<string, Json>>): z.output<typeof webSettings> {
  const parsed = webSettings.safeParse(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null)));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalidChannel(issue?.path.join(".") ?? "", issue?.message ?? "not valid");
}

/** Throws `forbidden` where the tenant has switched its web channel off. */
export function assertWebEnabled({ channels }: Tenant): void {
  if (channels.web.enabled) return;
  throw new Fault("forbidden", "the web channel is off", { public: { detail: "The tenant has switched its web channel off." } });
}

function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === "https:" || url.protocol === "http:") && url.origin === text && /^[a-z0-9:/.[\]-]+$/.test(text);
}
