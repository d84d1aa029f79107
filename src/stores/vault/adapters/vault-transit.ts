import { Fault, partsToBytes, type Secret } from "../../../kernel/index.ts";
import type { KeyBinding, RootKeys } from "../port.ts";
import { callRoot, type SendToRoot, textOf, unavailable } from "../root-http.ts";

const KIND = "transit";
const KEY_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?$/;

/** Where the keys are and who asks. */
export interface VaultTransitSettings {
  /** The address of HashiCorp Vault or OpenBao, without a path. */
  readonly address: string;
  /** The path of the secrets engine. */
  readonly mount: string;
  /** The name of the installation's root key; of a type with associated data, such as aes256-gcm96. */
  readonly keyName: string;
  readonly namespace?: string;
  readonly token: Secret;
}

/**
 * Root keys in the Transit engine of HashiCorp Vault. Tenant, purpose and version are the associated data of every call. A key that was
 * rotated there has a new version, and with it another name here.
 */
export function createVaultTransitRootKeys(settings: VaultTransitSettings, send: SendToRoot): RootKeys {
  const call = async (method: "GET" | "POST", path: string, body?: Readonly<Record<string, string>>) => {
    const headers = {
      accept: "application/json",
      "x-vault-request": "true", // what a server behind an agent asks for, against forged requests
      "x-vault-token": settings.token.reveal(),
      ...(settings.namespace !== undefined && { "x-vault-namespace": settings.namespace }),
      ...(body && { "content-type": "application/json" }),
    };
    const url = `${settings.address}/v1/${settings.mount}/${path}`;
    const answer = await callRoot(send, { method, url, headers, ...(body && { body: JSON.stringify(body) }) });
    const data = answer["data"];
    if (typeof data !== "object" || data === null) throw unavailable("Vault answered without data");
    return data as Readonly<Record<string, unknown>>;
  };
  return {
    kind: KIND,
    async inForce(own = settings.keyName) {
      const version = (await call("GET", `keys/${own}`))["latest_version"];
      if (typeof version !== "number" || !Number.isSafeInteger(version)) throw unavailable("Vault named no latest version of the key");
      return rootOf(own, version);
    },
    async wrap(dataKey, binding, own = settings.keyName) {
      const plaintext = Buffer.from(dataKey).toString("base64");
      const ciphertext = textOf(await call("POST", `encrypt/${own}`, { plaintext, associated_data: about(binding) }), "ciphertext");
      const version = /^vault:v(\d{1,9}):/.exec(ciphertext)?.[1];
      if (version === undefined) throw unavailable("Vault gave something that is no ciphertext of it");
      return { root: rootOf(own, Number(version)), bytes: Buffer.from(ciphertext, "utf8") };
    },
    async unwrap({ root, bytes }, binding) {
      const [, name = ""] = root.split(":");
      if (!KEY_NAME.test(name)) throw unavailable("a wrapped key names no key of Vault");
      const ciphertext = Buffer.from(bytes).toString("utf8");
      return Buffer.from(
        textOf(await call("POST", `decrypt/${name}`, { ciphertext, associated_data: about(binding) }), "plaintext"),
        "base64",
      );
    },
    checkOwn(own) {
      if (KEY_NAME.test(own) && own !== settings.keyName) return;
      const detail = "A tenant's own key is the name of a key in Transit, and not the installation's.";
      throw new Fault("invalid_settings", detail, { public: { detail, field: "root" } });
    },
  };
}

function rootOf(name: string, version: number): string {
  return `${KIND}:${name}:v${version}`;
}

function about({ tenant, purpose, version }: KeyBinding): string {
  return partsToBytes(["freehold/root/1", tenant, purpose, String(version)]).toString("base64");
}
