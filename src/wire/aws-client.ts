import { createHash } from "node:crypto";
import aws4 from "aws4";
import type { Clock, Secret } from "../kernel/index.ts";
import type { Outbound, OutboundRequest, OutboundResponse } from "./outbound.ts";

/** Whose name a request is signed in. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  /** With temporary credentials. */
  readonly sessionToken?: Secret;
}

/** What signatures are for. */
export interface AwsScope {
  readonly service: "kms" | "s3" | "bedrock";
  readonly region: string;
  readonly credentials: AwsCredentials;
}

/** One request to a service of AWS, or one that speaks the same protocol. Path and query are encoded; for `s3` they need no encoding. */
export type AwsRequest = Omit<OutboundRequest, "verify">;

/**
 * A client that signs each request (AWS Signature Version 4): method, path, query, every field and the digest of the body. What is sent is what
 * was signed, or the service refuses it.
 */
export function createAwsClient(scope: AwsScope, { outbound, clock }: { readonly outbound: Outbound; readonly clock: Clock }) {
  return async (request: AwsRequest): Promise<OutboundResponse> =>
    await outbound.fetch({ ...request, headers: awsFields(request, scope, clock.now()), verify: true });
}

/** The fields of a request with its signature: those given, the host, and what AWS asks for. */
export function awsFields(
  { method, url, headers, body }: Pick<AwsRequest, "method" | "url" | "headers" | "body">,
  scope: AwsScope,
  nowMs: number,
): Record<string, string> {
  const { host, pathname, search } = new URL(url);
  const { accessKeyId, secretAccessKey, sessionToken } = scope.credentials;
  const bytes = body === undefined ? undefined : Buffer.from(body);
  const request = aws4.sign(
    {
      service: scope.service,
      region: scope.region,
      method,
      path: `${pathname}${search}`,
      headers: {
        ...headers,
        host,
        "x-amz-date": new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, ""),
        "x-amz-content-sha256": createHash("sha256")
          .update(bytes ?? "")
          .digest("hex"),
        ...(sessionToken && { "x-amz-security-token": sessionToken.reveal() }),
      },
      ...(bytes && { body: bytes }),
    },
    { accessKeyId, secretAccessKey: secretAccessKey.reveal() },
  );
  return Object.fromEntries(Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]));
}
