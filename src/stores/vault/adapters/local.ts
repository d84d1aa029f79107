import { createHmac } from "node:crypto";
import { AEAD_NONCE_BYTES, aeadOpen, aeadSeal, Fault, partsToBytes, type Random } from "../../../kernel/index.ts";
import type { KeyBinding, RootKeys } from "../port.ts";

const KIND = "local";

/** Root keys that this process holds: the installation's own, and those the operator has given. The first wraps. */
export function createLocalRootKeys(keys: readonly [Buffer, ...Buffer[]], random: Random): RootKeys {
  const named = new Map(keys.map((key) => [nameOf(key), key]));
  const [first] = keys;
  return {
    kind: KIND,
    inForce: async () => nameOf(first),
    async wrap(dataKey, binding) {
      const nonce = Buffer.from(random.bytes(AEAD_NONCE_BYTES));
      return { root: nameOf(first), bytes: Buffer.concat([nonce, aeadSeal({ key: first, nonce, about: about(binding) }, dataKey)]) };
    },
    async unwrap({ root, bytes }, binding) {
      const key = named.get(root);
      if (!key) throw new Fault("dependency_unavailable", `the root key ${root} is not among those given`);
      const nonce = bytes.subarray(0, AEAD_NONCE_BYTES);
      const dataKey =
        nonce.length === AEAD_NONCE_BYTES ? aeadOpen({ key, nonce, about: about(binding) }, bytes.subarray(AEAD_NONCE_BYTES)) : undefined;
      if (!dataKey) throw new Fault("dependency_unavailable", `a key under ${root} was wrapped for something else, or is damaged`);
      return dataKey;
    },
    checkOwn() {
      const detail = "A tenant's own root key is one of a key management service.";
      throw new Fault("invalid_settings", detail, { public: { detail, field: "root" } });
    },
  };
}

/** Tells keys apart, and tells nothing of them. */
function nameOf(key: Buffer): string {
  return `${KIND}:${createHmac("sha256", key).update("freehold/root-name").digest("hex").slice(0, 16)}`;
}

function about({ tenant, purpose, version }: KeyBinding): Buffer {
  return partsToBytes(["freehold/root/1", tenant, purpose, String(version)]);
}
