import { z } from "zod";
import { Fault, type Json, type Tenant } from "../../kernel/index.ts";
import type { Installation } from "../../tenancy/registry/index.ts";
import type { ProvedApp } from "./channel.ts";
import { invalidChannel } from "./platform-api.ts";

/** A website's origin: scheme, host and port, and nothing that could end a header field or a list in it. */
const origin = z.string().max(200).refine(isOrigin, "use an origin such as https://www.example.com");
const label = (lengthMax: number): z.ZodString => z.string().trim().min(1).max(lengthMax);

/** What a website is given. */
export const webSettings = z.strictObject({
  /** The sites that may show it. */
  origins: z.array(origin).min(1).max(50),
  title: label(80).default("Chat"),
  greeting: label(500).default("Hello! How can I help you?"),
  placeholder: label(80).default("Write a message"),
});

/** The page of a website's visitors. */
export interface WebPage {
  readonly tenant: Tenant;
  readonly installation: Installation;
  readonly settings: z.output<typeof webSettings>;
}

/** A website as an installation. It has no secrets: whoever opens the site is a visitor, and the sites are kept by their visitors' browsers. */
export function webInstallation(id: string, given: Readonly<Record<string, Json>>): ProvedApp {
  const parsed = webSettings.safeParse(given);
  if (parsed.success) return { app: id, workspace: id, settings: parsed.data, secrets: {} };
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
