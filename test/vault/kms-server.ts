import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { assertSigned, type SigningIdentity } from "../support/sigv4.ts";
import { startStub, type StubServer, withParts } from "../support/stub-server.ts";

/** The installation's key, and two that tenants bring. */
export const REGION = "eu-central-1";
export const PLATFORM_KEY = `arn:aws:kms:${REGION}:111122223333:key/platform`;
export const IDENTITY: SigningIdentity = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  sessionToken: "session-token-of-the-test",
  region: REGION,
  service: "kms",
};

/** The policy of a key: whose data keys it wraps, or everybody's. */
export interface KmsKey {
  tenant?: string;
  enabled: boolean;
}

/** A stub of AWS KMS: every request has to be signed and well formed; ciphertexts open only with their key and encryption context. */
export interface KmsServer extends StubServer {
  readonly keys: Map<string, KmsKey>;
}

interface Call {
  readonly KeyId?: string;
  readonly Plaintext?: string;
  readonly CiphertextBlob?: string;
  readonly EncryptionContext?: Record<string, string>;
}

/** Starts one with the installation's key. */
export async function startKms(): Promise<KmsServer> {
  const keys = new Map<string, KmsKey>([[PLATFORM_KEY, { enabled: true }]]);
  const secrets = new Map<string, Buffer>();
  const secretOf = (arn: string): Buffer => {
    const secret = secrets.get(arn) ?? randomBytes(32);
    secrets.set(arn, secret);
    return secret;
  };
  const stub = await startStub((request, body, response) => {
    assertSigned(request, body, IDENTITY);
    assert.deepEqual([request.method, request.url, request.headers["content-type"]], ["POST", "/", "application/x-amz-json-1.1"]);
    const call = JSON.parse(body.toString()) as Call;
    const action = /^TrentService\.(Encrypt|Decrypt)$/.exec(String(request.headers["x-amz-target"]))?.[1];
    assert.ok(action, "an action that is not known");
    const refuse = (type: string): void => void response.writeHead(400).end(JSON.stringify({ __type: type, Message: "no" }));
    const { KeyId: arn = "", EncryptionContext: context = {} } = call;
    assert.deepEqual(Object.keys(context).toSorted(), ["freehold:purpose", "freehold:tenant", "freehold:version"]);
    const key = keys.get(arn);
    if (!key) return refuse("NotFoundException");
    if (!key.enabled) return refuse("DisabledException");
    if (key.tenant !== undefined && key.tenant !== context["freehold:tenant"]) return refuse("AccessDeniedException");
    const about = Buffer.from(
      JSON.stringify([
        arn,
        Object.keys(context)
          .toSorted()
          .map((name) => [name, context[name]]),
      ]),
    );
    if (action === "Encrypt") {
      const plain = Buffer.from(call.Plaintext ?? "", "base64");
      assert.ok(plain.length > 0 && plain.length <= 4096);
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", secretOf(arn), nonce).setAAD(about);
      const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
      return void response.writeHead(200).end(JSON.stringify({ CiphertextBlob: sealed.toString("base64"), KeyId: arn }));
    }
    const sealed = Buffer.from(call.CiphertextBlob ?? "", "base64");
    try {
      const decipher = createDecipheriv("aes-256-gcm", secretOf(arn), sealed.subarray(0, 12), { authTagLength: 16 }).setAAD(about);
      decipher.setAuthTag(sealed.subarray(-16));
      const plain = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
      response.writeHead(200).end(JSON.stringify({ Plaintext: plain.toString("base64"), KeyId: arn }));
    } catch {
      refuse("InvalidCiphertextException");
    }
  });
  return withParts(stub, { keys });
}
