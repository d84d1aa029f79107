import {
  type Clock,
  Fault,
  type Json,
  JSON_BOUNDS,
  parseJson,
  type Secret,
  type Tenant,
  type TenantContext,
  toTraceparent,
} from "../../kernel/index.ts";
import { type Egress, type EgressResponse, signatureFields } from "../../wire/index.ts";
import { parseSse, type SseEvent } from "../sse.ts";
import { upstreamInvalid } from "../upstream-invalid.ts";
import type { Invocation } from "./protocol.ts";

/** The most bytes of one answer of an agent. */
export const ANSWER_BYTES_MAX = 1024 * 1024;

/** An answer of an agent in one of the two shapes that are read. */
export type AgentReply =
  | { readonly type: "json"; readonly body: Json }
  | { readonly type: "events"; readonly events: AsyncIterable<SseEvent> };

/** What agents are called over. */
export interface AgentLine {
  readonly egress: Egress;
  readonly clock: Clock;
  /** One of the tenant's secrets for its agent; undefined where it has none. */
  readonly secret: (tenant: Tenant, name: "agent.apiKey" | "agent.signingSecret") => Promise<Secret | undefined>;
}

/** The tenant's agent address, checked. Throws `invalid_settings` when it has none and `egress_denied` when it may not be called. */
export function agentUrl(egress: Egress, context: TenantContext): URL {
  const { invokeUrl } = context.tenant.agentConfig;
  if (invokeUrl === null) throw invalidSetting("invokeUrl", "The agent has no address. Set agentConfig.invokeUrl.");
  return egress.check(invokeUrl);
}

/** The fault of a setting of the agent that is missing or wrong. */
export function invalidSetting(name: string, detail: string): Fault {
  return new Fault("invalid_settings", detail, { public: { detail, field: `/agentConfig/${name}` } });
}

/**
 * Posts JSON to an agent and reads the head of its answer. A redirect is an answer that cannot be used: nobody follows it.
 * Throws `upstream_invalid` and what the egress client throws.
 */
export async function askAgent(line: AgentLine, invocation: Invocation, url: URL, body: Json, signal: AbortSignal): Promise<AgentReply> {
  const { tenant } = invocation.context;
  const text = JSON.stringify(body);
  const response = await line.egress.request(tenant.id, {
    method: "POST",
    url: url.href,
    headers: { ...headersFor(invocation), ...(await credentialsFor(line, invocation, text)) },
    body: text,
    timeoutMs: tenant.agentConfig.timeout,
    bytesMax: ANSWER_BYTES_MAX,
    signal,
  });
  return readReply(response);
}

/** Every field an agent receives. It is a list of what goes out, so that no credential of the caller can get in by being forgotten. */
function headersFor({ context, stream }: Invocation): Record<string, string> {
  return {
    "content-type": "application/json",
    accept: stream ? "text/event-stream, application/json" : "application/json",
    ...contextFields(context),
  };
}

/** The fields that tell a tenant's own server who calls, for which tenant and in which request. */
export function contextFields({ tenant, requestId, trace }: TenantContext): Record<string, string> {
  return { "user-agent": "freehold", "x-request-id": requestId, traceparent: toTraceparent(trace), "x-tenant-id": tenant.id };
}

/**
 * What proves to the agent who calls. A tenant that has a secret is never called without it: where it cannot be opened, the call fails.
 */
async function credentialsFor(
  { clock, secret }: AgentLine,
  { context: { tenant }, message }: Invocation,
  body: string,
): Promise<Record<string, string>> {
  const fields: Record<string, string> = {};
  if (tenant.agentSecrets.apiKey) fields["authorization"] = `Bearer ${revealed(await secret(tenant, "agent.apiKey"))}`;
  if (tenant.agentSecrets.signingSecret) {
    const key = revealed(await secret(tenant, "agent.signingSecret"));
    Object.assign(fields, signatureFields({ secret: key, id: message.id, nowMs: clock.now(), body }));
  }
  return fields;
}

function revealed(secret: Secret | undefined): string {
  if (secret) return secret.reveal();
  // taken away since the tenant was read: the next call knows
  throw new Fault("dependency_unavailable", "a secret of the agent is no longer there");
}

async function readReply(response: EgressResponse): Promise<AgentReply> {
  const { status, headers } = response;
  if (status >= 300 && status < 400) throw upstreamInvalid("The agent answered with a redirect, which is not followed.");
  // 201 too, since several frameworks answer any POST with it
  if (status !== 200 && status !== 201) throw upstreamInvalid(`The agent answered with status ${status}.`);
  const type = headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  if (type === "application/json") return { type: "json", body: readJson(await response.bytes()) };
  if (type === "text/event-stream") return { type: "events", events: parseSse(response.body) };
  throw upstreamInvalid("The agent answered with neither application/json nor text/event-stream.");
}

/** JSON from an agent, as strictly read as JSON from a caller. Throws `upstream_invalid`: the fault is the agent's, not the caller's. */
export function readJson(bytes: Uint8Array): Json {
  try {
    return parseJson(bytes, { bytesMax: ANSWER_BYTES_MAX, depthMax: JSON_BOUNDS.depthMax });
  } catch (cause) {
    throw upstreamInvalid("The agent answered with something that is not valid JSON.", cause);
  }
}

/** A field of a JSON object; undefined when the value is no object or has no such field. */
export function fieldOf(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name) ? value[name] : undefined;
}
