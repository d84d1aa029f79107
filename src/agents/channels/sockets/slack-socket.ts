import { z } from "zod";
import { Fault, type Json, parseJson, type StoreTenant } from "../../../kernel/index.ts";
import { tenantOf } from "../../../tenancy/registry/index.ts";
import type { AdmittedReading, OpenInstallation, SocketEnd, SocketTurn } from "../channel.ts";
import { assertUsable, type PlatformAnswer, type PlatformApi } from "../platform-api.ts";

/** What reads what came in an envelope, as if it had been delivered. */
export interface SlackReaders {
  readonly event: (payload: Json, installation: OpenInstallation) => AdmittedReading;
  readonly command: (payload: Json, installation: OpenInstallation) => AdmittedReading;
}

const MESSAGE_BYTES_MAX = 1024 * 1024;
const opened = z.object({ ok: z.literal(true), url: z.string().max(2_048) });
const refusal = z.object({ ok: z.literal(false), error: z.string().regex(/^[a-z_]{1,64}$/) });
const hello = z.object({ connection_info: z.object({ app_id: z.string() }) });
const envelope = z.object({
  type: z.string(),
  envelope_id: z.string().min(1).max(128).optional(),
  payload: z.json().optional(),
  accepts_response_payload: z.boolean().optional(),
});
/** What Slack answers when it may do the same later. */
export const TRANSIENT: ReadonlySet<string> = new Set([
  "ratelimited",
  "internal_error",
  "fatal_error",
  "service_unavailable",
  "request_timeout",
]);

/** Asks Slack for the address of one connection. It is good once. */
export async function askSlackSocket(
  api: PlatformApi,
  apiUrl: string,
  tenant: StoreTenant,
  appToken: string,
  signal?: AbortSignal,
): Promise<{ readonly url: string } | { readonly error: string }> {
  const answer: PlatformAnswer = await api(tenant, {
    method: "POST",
    url: `${apiUrl}/api/apps.connections.open`,
    headers: { authorization: `Bearer ${appToken}`, "content-type": "application/x-www-form-urlencoded" },
    body: "",
    ...(signal && { signal }),
  });
  assertUsable("Slack", answer);
  const good = opened.safeParse(answer.body);
  if (good.success) return { url: good.data.url };
  const error = refusal.safeParse(answer.body).data?.error ?? "unknown";
  if (TRANSIENT.has(error)) throw new Fault("upstream_invalid", `Slack answered ${error}`);
  return { error };
}

/**
 * One connection of Slack's Socket Mode. Slack has to say first that it is this app's. An envelope is acknowledged when everything of it that
 * matters is put down, and not otherwise: then Slack sends it again, over this connection or another.
 */
export async function speakSlack(api: PlatformApi, apiUrl: string, readers: SlackReaders, turn: SocketTurn): Promise<SocketEnd> {
  const { installation, signal } = turn;
  const address = await askSlackSocket(api, apiUrl, tenantOf(installation), installation.secrets["appToken"] ?? "", signal);
  if ("error" in address) return { kind: "refused", reason: address.error };
  const connection = await turn.connect(address.url, MESSAGE_BYTES_MAX);
  try {
    let admitted = false;
    for await (const text of connection.messages) {
      const message = parseJson(Buffer.from(text));
      const { type, envelope_id: id, payload, accepts_response_payload: takesAnswer } = envelope.parse(message);
      if (type === "disconnect") return { kind: "again" };
      if (type === "hello") {
        admitted = hello.safeParse(message).data?.connection_info.app_id === installation.app;
        if (!admitted) return { kind: "refused", reason: "another_app" };
      }
      const reading = admitted && id !== undefined ? readingOf(type, payload ?? null, readers, installation) : undefined;
      if (!reading) continue;
      try {
        const answer = await turn.take(reading);
        await connection.send(JSON.stringify({ envelope_id: id, ...(answer && takesAnswer === true && { payload: answer }) }));
      } catch (error) {
        turn.problem(error);
      }
    }
  } finally {
    connection.close(1000, "");
  }
  throw new Fault("upstream_unreachable", "Slack's connection was lost");
}

function readingOf(type: string, payload: Json, readers: SlackReaders, installation: OpenInstallation): AdmittedReading | undefined {
  if (type === "events_api") return readers.event(payload, installation);
  if (type === "slash_commands") return readers.command(payload, installation);
  // acknowledged, so that Slack does not send it again
  return type === "interactive" ? { kind: "dropped", reason: "unknown_type", audit: false, acknowledgement: undefined } : undefined;
}
