import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { Fault, toFault } from "../../../kernel/index.ts";
import type { Call, ConsumerCredential, Plugin, PluginPorts } from "../../proxy/plugin.ts";
import { ANONYMOUS_CONSUMER, realmSchema } from "../shared/auth-schema.ts";
import { type Authentication, type AuthSettings, createAuthInstance } from "../shared/authenticate.ts";
import { readSignature, type SignatureFields } from "./signature-fields.ts";

interface Settings extends AuthSettings {
  readonly allowed_algorithms: readonly string[];
  /** Seconds. */
  readonly clock_skew: number;
  readonly signed_headers: readonly string[];
  readonly validate_request_body: boolean;
  readonly max_req_body_size: number;
  readonly realm: string;
}

const ALGORITHMS: Readonly<Record<string, string>> = { "hmac-sha1": "sha1", "hmac-sha256": "sha256", "hmac-sha512": "sha512" };
const UNVALIDATED = "client request can't be validated";

/** Proves a consumer by a signature over its request, made with the secret of its credential. */
export const hmacAuth: Plugin<Settings> = {
  name: "hmac-auth",
  priority: 2530,
  kind: "auth",
  schema: {
    type: "object",
    properties: {
      allowed_algorithms: {
        type: "array",
        minItems: 1,
        items: { type: "string", enum: Object.keys(ALGORITHMS) },
        default: Object.keys(ALGORITHMS),
      },
      clock_skew: { type: "integer", default: 300, minimum: 1 },
      signed_headers: { type: "array", default: ["date"], items: { type: "string", minLength: 1, maxLength: 50 } },
      validate_request_body: { type: "boolean", default: false },
      max_req_body_size: { type: "integer", minimum: 1, default: 67_108_864 },
      hide_credentials: { type: "boolean" },
      realm: realmSchema("hmac"),
      anonymous_consumer: ANONYMOUS_CONSUMER,
    },
  },
  consumer: {
    schema: {
      type: "object",
      properties: {
        key_id: { type: "string", minLength: 1, maxLength: 256 },
        secret_key: { type: "string", minLength: 1, maxLength: 256 },
      },
      required: ["key_id", "secret_key"],
    },
    unique: "key_id",
  },
  claims(_settings, head) {
    const { keyId } = readSignature(head.headers.all("authorization")[0] ?? "") ?? {};
    return keyId === undefined ? [] : [{ plugin: "hmac-auth", value: keyId }];
  },
  create(settings, owner, ports) {
    return createAuthInstance(
      {
        name: "hmac-auth",
        challenge: `hmac realm="${settings.realm}"`,
        hide: (call) => call.upstream.headers.remove("authorization"),
        check: (call) => check(call, settings, ports),
      },
      settings,
      owner,
      ports,
    );
  },
};

function check(call: Call, settings: Settings, ports: PluginPorts): Authentication | Promise<Authentication> {
  const field = call.profile === "strict" ? call.head.headers.one("authorization") : call.head.headers.all("authorization")[0];
  if (field === undefined) return { ok: false, message: `${UNVALIDATED}: missing Authorization header`, presented: false };
  const fields = readSignature(field);
  // nothing that was meant for this scheme
  if (!fields) return { ok: false, message: `${UNVALIDATED}: Authorization header does not start with 'Signature'`, presented: false };
  const { keyId } = fields;
  const found = keyId === undefined ? undefined : ports.findConsumer("hmac-auth", keyId);
  if (!found || !isFresh(call, settings, ports) || !isSigned(call, settings, fields, found)) return failed(UNVALIDATED);
  if (!settings.validate_request_body) return { ok: true, found };
  return checkBody(call, settings, found);
}

function failed(message: string): Authentication {
  return { ok: false, message, presented: true };
}

/** RFC 9110, 5.6.7. */
const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

function isFresh({ head }: Call, settings: Settings, { clock }: PluginPorts): boolean {
  const date = head.headers.one("date");
  if (date === undefined || !HTTP_DATE.test(date)) return false;
  // a date that there is not gives NaN, which is within nothing
  return Math.abs(clock.now() - Date.parse(date)) <= settings.clock_skew * 1000;
}

function isSigned(call: Call, settings: Settings, fields: SignatureFields, { settings: credential }: ConsumerCredential): boolean {
  const { keyId, algorithm, signature, headers } = fields;
  const hash = algorithm !== undefined && settings.allowed_algorithms.includes(algorithm) ? ALGORITHMS[algorithm] : undefined;
  if (hash === undefined || signature === undefined || !settings.signed_headers.every((name) => headers.includes(name))) return false;
  const lines = [keyId];
  for (const name of headers) {
    const value = call.head.headers.all(name)[0];
    if (value !== undefined) lines.push(`${name}: ${value}`);
    else if (name === "@request-target") lines.push(`${call.head.method} ${call.head.target.raw}`);
  }
  const expected = createHmac(hash, String(credential["secret_key"]))
    .update(`${lines.join("\n")}\n`)
    .digest();
  const given = Buffer.from(signature, "base64");
  return expected.length === given.length && timingSafeEqual(expected, given);
}

async function checkBody(call: Call, settings: Settings, found: ConsumerCredential): Promise<Authentication> {
  const digest = call.head.headers.one("digest");
  if (digest === undefined) return failed(UNVALIDATED);
  try {
    const body = await call.body(settings.max_req_body_size);
    return digest === `SHA-256=${createHash("sha256").update(body).digest("base64")}` ? { ok: true, found } : failed(UNVALIDATED);
  } catch (error) {
    const fault = toFault(error);
    // not a matter of the credential
    throw fault.code === "body_too_large" ? fault : new Fault("malformed_request", fault.message, { cause: fault });
  }
}
