import type { ModelProtocol } from "../../../models/index.ts";
import type { InstanceSettings, ProviderName } from "./settings.ts";

type Paths = Partial<Readonly<Record<ModelProtocol, string>>>;

const openaiPaths = (prefix: string): Paths => ({
  "chat-completions": `${prefix}/chat/completions`,
  responses: `${prefix}/responses`,
  embeddings: `${prefix}/embeddings`,
});

/** Where each provider is and what it speaks there. What is not here is not served. */
const PLACES: Partial<Readonly<Record<ProviderName, { readonly origin?: string; readonly paths: Paths }>>> = {
  openai: { origin: "https://api.openai.com", paths: openaiPaths("/v1") },
  "openai-compatible": { paths: openaiPaths("/v1") },
  "azure-openai": { paths: openaiPaths("/openai/v1") },
  aimlapi: { origin: "https://api.aimlapi.com", paths: openaiPaths("/v1") },
  openrouter: { origin: "https://openrouter.ai", paths: { "chat-completions": "/api/v1/chat/completions" } },
  deepseek: { origin: "https://api.deepseek.com", paths: { "chat-completions": "/chat/completions" } },
  gemini: { origin: "https://generativelanguage.googleapis.com", paths: openaiPaths("/v1beta/openai") },
  anthropic: { origin: "https://api.anthropic.com", paths: { messages: "/v1/messages", "chat-completions": "/v1/chat/completions" } },
};

/** The address of an instance, with what it speaks. */
export interface Endpoint {
  readonly url: URL;
  /** The path for a protocol, or undefined where the provider does not speak it. */
  pathFor(protocol: ModelProtocol): string | undefined;
}

/** The endpoint of an instance, or what is wrong about it. A path in the settings stands for every protocol. */
export function endpointOf({ provider, override }: Pick<InstanceSettings, "provider" | "override">): Endpoint | string {
  const place = PLACES[provider];
  if (!place) return `the provider ${provider} is not served`;
  const text = override?.endpoint ?? place.origin;
  if (text === undefined) return `a provider ${provider} needs override.endpoint`;
  const url = URL.parse(text);
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) return `override.endpoint ${text} is no address of http or https`;
  const own = url.pathname === "/" ? undefined : url.pathname;
  return { url, pathFor: (protocol) => (place.paths[protocol] === undefined ? undefined : (own ?? place.paths[protocol])) };
}
