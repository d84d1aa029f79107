import type { ProviderSettings, SpokenProtocol } from "./schema.ts";

/** Where a provider is and how it is spoken to, with everything said. */
export interface Provider {
  readonly name: string;
  /** Without a slash at the end. */
  readonly base: URL;
  readonly protocols: readonly SpokenProtocol[];
  readonly auth: NonNullable<ProviderSettings["auth"]>;
  /** Of AWS; empty where it is not there. */
  readonly region: string;
  /** The member that tells tenants apart in the provider's prompt cache, sent with every request. */
  readonly cacheKey: NonNullable<ProviderSettings["cacheKey"]>;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeouts: ProviderSettings["timeouts"];
}

const OPENAI: readonly SpokenProtocol[] = ["chat-completions", "responses", "embeddings"];

const PRESETS: Readonly<
  Record<
    ProviderSettings["kind"],
    { baseUrl?: string; auth: Provider["auth"]; protocols: readonly SpokenProtocol[]; cacheKey?: Provider["cacheKey"] }
  >
> = {
  openai: { baseUrl: "https://api.openai.com/v1", auth: "bearer", protocols: OPENAI, cacheKey: "prompt_cache_key" },
  anthropic: { baseUrl: "https://api.anthropic.com/v1", auth: "x-api-key", protocols: ["messages"] },
  bedrock: { auth: "bearer", protocols: ["converse"] },
  azure: { auth: "api-key", protocols: OPENAI, cacheKey: "prompt_cache_key" },
  // its own surface for clients of OpenAI
  gemini: {
    baseUrl: "https://generativelanguage.googleapis.com/v1beta/openai",
    auth: "bearer",
    protocols: ["chat-completions", "embeddings"],
  },
  ollama: { baseUrl: "http://127.0.0.1:11434/v1", auth: "none", protocols: OPENAI },
  "openai-compatible": { auth: "bearer", protocols: ["chat-completions", "embeddings"] },
};

/** The address that the settings stand for; empty where they need one and have none. */
export function baseUrlOf({ kind, baseUrl, region = "" }: ProviderSettings): string {
  if (kind === "bedrock") return baseUrl ?? `https://bedrock-runtime.${region}.amazonaws.com`;
  return baseUrl ?? PRESETS[kind].baseUrl ?? "";
}

/** The provider of these settings. `base` is their address, checked by whoever knows where it may lead. */
export function toProvider(name: string, settings: ProviderSettings, base: URL): Provider {
  const preset = PRESETS[settings.kind];
  return {
    name,
    base,
    protocols: settings.protocols ?? preset.protocols,
    auth: settings.auth ?? preset.auth,
    region: settings.region ?? "",
    cacheKey: settings.cacheKey ?? preset.cacheKey ?? "none",
    headers: settings.headers,
    timeouts: settings.timeouts,
  };
}
