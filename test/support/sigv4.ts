import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** Who may sign, and for what. */
export interface SigningIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  readonly service: string;
  readonly sessionToken?: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
/** Fields that a signature must cover; without the digest of the body a signature says nothing of it. */
const ALWAYS_SIGNED = ["host", "x-amz-content-sha256", "x-amz-date"];
const SKEW_MS = 15 * 60_000;

/**
 * Fails unless the request is signed as AWS Signature Version 4 wants it, written after its specification and apart from the client. Also what
 * a service may leave to chance is asked for here: every x-amz field signed, the digest that of the body, the time near `nowMs`.
 */
export function assertSigned(request: IncomingMessage, body: Buffer, identity: SigningIdentity, nowMs = Date.now()): void {
  const { authorization = "" } = request.headers;
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  assert.ok(parts, `authorization: ${authorization}`);
  const [, accessKeyId = "", day = "", region = "", service = "", names = "", signature = ""] = parts;
  assert.deepEqual([accessKeyId, region, service], [identity.accessKeyId, identity.region, identity.service]);
  const time = field(request, "x-amz-date");
  assert.match(time, /^\d{8}T\d{6}Z$/);
  assert.equal(time.slice(0, 8), day);
  const at = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  assert.ok(Math.abs(at - nowMs) < SKEW_MS, `signed at ${time}`);
  assert.equal(request.headers["x-amz-security-token"], identity.sessionToken);
  const signed = names.split(";");
  assert.deepEqual(signed, signed.toSorted());
  const sent = Object.keys(request.headers).filter((name) => name.startsWith("x-amz-") || name === "content-type");
  for (const name of [...ALWAYS_SIGNED, ...sent]) assert.ok(signed.includes(name), `${name} is not signed`);
  const digest = createHash("sha256").update(body).digest("hex");
  assert.equal(field(request, "x-amz-content-sha256"), digest, "the digest is not that of the body");
  const canonical = canonicalRequest(request, signed, digest, service);
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = [ALGORITHM, time, scope, createHash("sha256").update(canonical).digest("hex")].join("\n");
  assert.equal(signature, signatureOf(text, identity.secretAccessKey, [day, region, service]));
}

/** The last steps of the specification, on their own for its published example. */
export function signatureOf(text: string, secret: string, scope: readonly [day: string, region: string, service: string]): string {
  const key = [...scope, "aws4_request"].reduce<Buffer>(
    (last, part) => createHmac("sha256", last).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
  return createHmac("sha256", key).update(text).digest("hex");
}

function canonicalRequest(request: IncomingMessage, signed: readonly string[], digest: string, service: string): string {
  const [rawPath = "", rawQuery = ""] = (request.url ?? "").split("?");
  // each piece as it was sent is encoded once more, but for S3
  const path = service === "s3" ? rawPath : rawPath.split("/").map(encodeURIComponent).join("/");
  const query = rawQuery
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .toSorted()
    .join("&");
  const fields = signed.map((name) => `${name}:${field(request, name).trim().replaceAll(/ +/g, " ")}\n`);
  return [request.method, path, query, fields.join(""), signed.join(";"), digest].join("\n");
}

function field(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  assert.ok(typeof value === "string", `${name} is not sent once`);
  return value;
}
