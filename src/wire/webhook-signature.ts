import { createHash, createHmac } from "node:crypto";

/** What a request to somebody else's service is signed with and about. */
export interface SignedRequest {
  /** `whsec_` and the key in base64. */
  readonly secret: string;
  /** Unique per message. */
  readonly id: string;
  readonly nowMs: number;
  readonly body: string;
}

const PREFIX = "whsec_";

/** What a secret looks like: `whsec_` and 24 to 64 bytes in base64. */
export const SIGNING_SECRET = /^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The fields by which a service knows that a request is ours, of now, and whole: those of Standard Webhooks 1.0 (HMAC-SHA256 over id, time in
 * seconds and body), and the digest of the body (RFC 9530).
 */
export function signatureFields({ secret, id, nowMs, body }: SignedRequest): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const key = Buffer.from(secret.slice(PREFIX.length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${signature}`,
    "content-digest": `sha-256=:${createHash("sha256").update(body).digest("base64")}:`,
  };
}
