import { Fault } from "../../../kernel/index.ts";
import type { KeyBinding, RootKeys } from "../port.ts";
import { callRoot, type SendToRoot, textOf, unavailable } from "../root-http.ts";

const KIND = "aws-kms";

/** Where the keys are. */
export interface AwsKmsSettings {
  /** `https://kms.<region>.amazonaws.com`, or another address that speaks the same protocol. */
  readonly endpoint: string;
  readonly region: string;
  /** The ARN or id of the installation's root key; `alias/…` too. */
  readonly keyId: string;
}

/**
 * Root keys in AWS KMS, by `Encrypt` and `Decrypt`. Every call says in its encryption context for which tenant, purpose and version it is: KMS
 * unwraps for no other, writes it into its own trail, and the policy of a tenant's own key can demand `freehold:tenant`. `send` signs.
 */
export function createAwsKmsRootKeys(settings: AwsKmsSettings, send: SendToRoot): RootKeys {
  const call = async (action: "Encrypt" | "Decrypt", body: Readonly<Record<string, unknown>>) =>
    await callRoot(send, {
      method: "POST",
      url: `${settings.endpoint}/`,
      headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": `TrentService.${action}` },
      body: JSON.stringify(body),
    });
  return {
    kind: KIND,
    inForce: async (own) => `${KIND}:${own ?? settings.keyId}`,
    async wrap(dataKey, binding, own) {
      const keyId = own ?? settings.keyId;
      const answer = await call("Encrypt", {
        KeyId: keyId,
        Plaintext: Buffer.from(dataKey).toString("base64"),
        EncryptionContext: contextOf(binding),
      });
      return { root: `${KIND}:${keyId}`, bytes: Buffer.from(textOf(answer, "CiphertextBlob"), "base64") };
    },
    async unwrap({ root, bytes }, binding) {
      const answer = await call("Decrypt", {
        // without it KMS would take whichever key the ciphertext names
        KeyId: root.slice(KIND.length + 1),
        CiphertextBlob: Buffer.from(bytes).toString("base64"),
        EncryptionContext: contextOf(binding),
      });
      const dataKey = Buffer.from(textOf(answer, "Plaintext"), "base64");
      if (dataKey.length === 0) throw unavailable("AWS KMS gave an empty key");
      return dataKey;
    },
    checkOwn(own) {
      // an alias could be pointed at another key later; another region would not be asked
      const arn = /^arn:aws(?:-[a-z]+){0,2}:kms:(?<region>[a-z0-9-]{1,32}):\d{12}:key\/[A-Za-z0-9-]{1,64}$/.exec(own);
      if (arn?.groups?.["region"] === settings.region && own !== settings.keyId) return;
      const detail = `A tenant's own key is the ARN of a key in ${settings.region}, and not the installation's.`;
      throw new Fault("invalid_settings", detail, { public: { detail, field: "root" } });
    },
  };
}

function contextOf({ tenant, purpose, version }: KeyBinding): Record<string, string> {
  return { "freehold:tenant": tenant, "freehold:purpose": purpose, "freehold:version": String(version) };
}
