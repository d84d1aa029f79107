import { Fault, type Keyring, ROOT_KEY_BYTES, Secret, systemClock, systemRandom, toFault } from "../kernel/index.ts";
import type { DataStore } from "../stores/data/index.ts";
import {
  createAwsKmsRootKeys,
  createLocalRootKeys,
  createVaultStore,
  createVaultTransitRootKeys,
  type RootKeys,
  VAULT_BOUNDS,
  type VaultStore,
} from "../stores/vault/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";
import { type AwsCredentials, createAwsClient, type Outbound } from "../wire/index.ts";
import type { Settings } from "./settings.ts";
import type { Telemetry } from "./telemetry.ts";

/** Where stores are, and how they are sealed. */
export type StorageSettings = Pick<Settings, "data" | "database" | "vault" | "cache" | "files">;

/** What stores beside the database are opened with. */
export interface StorePorts {
  readonly settings: StorageSettings;
  readonly data: DataStore;
  readonly keyring: Keyring;
  /** Reads an environment variable that the settings name. */
  readonly readVariable: (name: string) => string | undefined;
  readonly outbound: Outbound;
  readonly report: (fault: Fault) => void;
}

/** What is sealed with keys that change. */
export interface KeyedParts {
  readonly vault: VaultStore;
  readonly registry: Registry;
  readonly resealColumns: (signal: AbortSignal) => Promise<number>;
}

type RootSettings = Settings["vault"]["roots"][number];

/** The vault under the root keys of the settings, and at last the installation's own. */
export async function openVault(ports: StorePorts): Promise<VaultStore> {
  const { settings, data, keyring, report } = ports;
  return await createVaultStore({
    system: data.system,
    roots: rootsOf(ports, createLocalRootKeys([keyring.key("vault-root")], systemRandom)),
    clock: systemClock,
    random: systemRandom,
    report,
    bounds: { ...VAULT_BOUNDS, keyTtlMs: settings.vault.keyTtlMs },
  });
}

/**
 * Puts wrapped keys under the root key in force, and secrets and sealed columns under the key in force, in the background; `stop` ends it where it
 * is.
 */
export function keepKeysCurrent({ vault, registry, resealColumns }: KeyedParts, telemetry: Telemetry): { stop(): Promise<void> } {
  const ending = new AbortController();
  const work = async (): Promise<void> => {
    const { rewrapped, failed } = await vault.rewrap(ending.signal);
    if (rewrapped > 0) telemetry.log.info({ rewrapped }, "keys of tenants are under the root key in force");
    if (failed > 0) telemetry.log.warn({ failed }, "keys of tenants stay under an older root key: it is still needed");
    const { resealed } = await registry.resealSecrets(ending.signal);
    if (resealed > 0) telemetry.log.info({ resealed }, "secrets of tenants are under their key in force");
    const columns = await resealColumns(ending.signal);
    if (columns > 0) telemetry.log.info({ resealed: columns }, "sealed columns of tenants are under their key in force");
  };
  const working = work().catch((error: unknown) => telemetry.report(toFault(error))); // the next start goes on
  return {
    async stop() {
      ending.abort();
      await working;
    },
  };
}

/** The credentials that these settings name. Throws `invalid_settings` when a variable is not set. */
export function awsCredentials(
  ports: Pick<StorePorts, "readVariable">,
  settings: { readonly accessKeyIdEnv: string; readonly secretAccessKeyEnv: string; readonly sessionTokenEnv?: string | undefined },
): AwsCredentials {
  const { accessKeyIdEnv, secretAccessKeyEnv, sessionTokenEnv } = settings;
  return {
    accessKeyId: required(ports, accessKeyIdEnv),
    secretAccessKey: new Secret(required(ports, secretAccessKeyEnv)),
    ...(sessionTokenEnv !== undefined && { sessionToken: new Secret(required(ports, sessionTokenEnv)) }),
  };
}

function rootsOf(ports: StorePorts, own: RootKeys): readonly [RootKeys, ...RootKeys[]] {
  const [first, ...others] = ports.settings.vault.roots.map((root) => openRoot(ports, root));
  return first ? [first, ...others, own] : [own];
}

function openRoot(ports: StorePorts, root: RootSettings): RootKeys {
  const { outbound } = ports;
  switch (root.kind) {
    case "local":
      return createLocalRootKeys([localKey(ports, root.keyEnv)], systemRandom);
    case "aws-kms": {
      const { region, keyId, endpoint = `https://kms.${region}.amazonaws.com` } = root;
      const client = createAwsClient(
        { service: "kms", region, credentials: awsCredentials(ports, root) },
        { outbound, clock: systemClock },
      );
      return createAwsKmsRootKeys({ endpoint, region, keyId }, client);
    }
    case "transit": {
      const { address, mount, keyName, namespace, tokenEnv } = root;
      const token = new Secret(required(ports, tokenEnv));
      return createVaultTransitRootKeys({ address, mount, keyName, token, ...(namespace !== undefined && { namespace }) }, (call) =>
        outbound.fetch({ ...call, verify: true }),
      );
    }
  }
}

function localKey(ports: StorePorts, name: string): Buffer {
  const text = required(ports, name);
  if (text.length === 2 * ROOT_KEY_BYTES && /^[0-9a-f]+$/i.test(text)) return Buffer.from(text, "hex");
  const detail = `${name} must be ${2 * ROOT_KEY_BYTES} hexadecimal digits.`;
  throw new Fault("invalid_settings", detail, { public: { detail } });
}

function required({ readVariable }: Pick<StorePorts, "readVariable">, name: string): string {
  const value = readVariable(name);
  if (value !== undefined && value !== "") return value;
  const detail = `The environment variable ${name}, which the settings name, is not set.`;
  throw new Fault("invalid_settings", detail, { public: { detail } });
}
