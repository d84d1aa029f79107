import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { startStub, type StubServer, withParts } from "../support/stub-server.ts";

export const TRANSIT_KEY = "freehold";
export const MOUNT = "transit";
export const NAMESPACE = "platform/eu";
export const TOKEN = "hvs.token-of-the-test";

/** A stub of the Transit engine: every request has to carry token and namespace; ciphertexts open only with their associated data. */
export interface TransitServer extends StubServer {
  /** The secrets of each key, by version from 1 on. */
  readonly keys: Map<string, Buffer[]>;
  rotate(name: string): void;
}

/** Starts one with the installation's key. */
export async function startTransit(): Promise<TransitServer> {
  const keys = new Map<string, Buffer[]>([[TRANSIT_KEY, [randomBytes(32)]]]);
  const stub = await startStub((request, body, response) => {
    const { headers } = request;
    assert.deepEqual([headers["x-vault-token"], headers["x-vault-namespace"], headers["x-vault-request"]], [TOKEN, NAMESPACE, "true"]);
    const path = /^\/v1\/transit\/(keys|encrypt|decrypt)\/([A-Za-z0-9_-]+)$/.exec(request.url ?? "");
    assert.ok(path, `${request.method} ${request.url}`);
    const [, action, name = ""] = path;
    const versions = keys.get(name);
    const refuse = (status: number): void => void response.writeHead(status).end(JSON.stringify({ errors: ["no"] }));
    if (!versions) return refuse(404);
    const answer = (data: unknown): void => void response.writeHead(200).end(JSON.stringify({ request_id: "1", data }));
    if (action === "keys") {
      assert.equal(request.method, "GET");
      return answer({ latest_version: versions.length, name, type: "aes256-gcm96" });
    }
    assert.deepEqual([request.method, headers["content-type"]], ["POST", "application/json"]);
    const call = JSON.parse(body.toString()) as { plaintext?: string; ciphertext?: string; associated_data?: string };
    assert.ok(call.associated_data, "no associated data");
    const about = Buffer.from(call.associated_data, "base64");
    if (action === "encrypt") {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", versions.at(-1) ?? Buffer.alloc(0), nonce).setAAD(about);
      const plain = Buffer.from(call.plaintext ?? "", "base64");
      const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
      return answer({ ciphertext: `vault:v${versions.length}:${sealed.toString("base64")}`, key_version: versions.length });
    }
    const [, version = "", text = ""] = /^vault:v(\d+):(.+)$/.exec(call.ciphertext ?? "") ?? [];
    const secret = versions[Number(version) - 1];
    if (!secret) return refuse(400);
    const sealed = Buffer.from(text, "base64");
    try {
      const decipher = createDecipheriv("aes-256-gcm", secret, sealed.subarray(0, 12), { authTagLength: 16 }).setAAD(about);
      decipher.setAuthTag(sealed.subarray(-16));
      answer({ plaintext: Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString("base64") });
    } catch {
      refuse(400);
    }
  });
  return withParts(stub, { keys, rotate: (name: string) => void keys.get(name)?.push(randomBytes(32)) });
}
