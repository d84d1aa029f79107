import { type Clock, Fault, type Secret, type TenantContext } from "../../kernel/index.ts";
import { type Egress, signatureFields } from "../../wire/index.ts";
import { parseData } from "../protocols/openai-parts.ts";
import type { GuardrailSettings } from "../settings/guardrail-schema.ts";
import { contentRefused, type Side } from "./content-refused.ts";

/** The name under which the secret of the service is set, beside the keys of providers. */
export const MODERATION_SECRET = "moderation";

/** What the service is asked with. */
export interface ModerationPorts {
  readonly egress: Pick<Egress, "request">;
  readonly clock: Clock;
  /** The secret that the service knows. */
  readonly secret: () => Promise<Secret | undefined>;
}

/** What the service is asked about. */
export interface Moderated {
  readonly side: Side;
  readonly model: string;
  readonly requestId: string;
  readonly texts: readonly string[];
  readonly signal: AbortSignal;
}

const VERDICT_BYTES_MAX = 16 * 1024;
const REASON_LENGTH_MAX = 300;

/**
 * Asks the tenant's service by the guarded client, signed as requests to agents are. Throws `content_refused` when it says so, and what is wrong
 * when it cannot be asked, unless the tenant wants that to pass. Without a secret it is never asked.
 */
export async function moderate(
  { url, timeoutMs, onFailure }: NonNullable<GuardrailSettings["moderation"]>,
  { egress, clock, secret }: ModerationPorts,
  { tenant }: TenantContext,
  { side, model, requestId, texts, signal }: Moderated,
): Promise<void> {
  const key = await secret();
  if (!key) {
    const detail = "The moderation service has no signing secret. Set it first.";
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
  const body = JSON.stringify({ type: `model.${side}`, data: { tenantId: tenant.id, requestId, model, texts } });
  const signed = signatureFields({ secret: key.reveal(), id: `${requestId}.${side}`, nowMs: clock.now(), body });
  let verdict: Readonly<Record<string, unknown>> | undefined;
  try {
    const headers = { "content-type": "application/json", accept: "application/json", "user-agent": "freehold", ...signed };
    const answer = await egress.request(tenant.id, { method: "POST", url, headers, body, timeoutMs, bytesMax: VERDICT_BYTES_MAX, signal });
    const said = parseData(Buffer.from(await answer.bytes()).toString("utf8"));
    if (answer.status !== 200 || !said || typeof said["allow"] !== "boolean")
      throw new Fault("upstream_invalid", `the moderation service answered ${answer.status} and no verdict`);
    verdict = said;
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (onFailure === "pass") return;
    const detail = "The moderation service could not be asked, so nothing was let through.";
    throw new Fault("dependency_unavailable", detail, { public: { detail }, cause });
  }
  if (verdict["allow"] === true) return;
  const { reason } = verdict;
  throw contentRefused(side, typeof reason === "string" ? reason.slice(0, REASON_LENGTH_MAX) : "the moderation service does not allow it");
}
