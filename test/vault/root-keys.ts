import { randomBytes } from "node:crypto";
import { type Clock, Secret, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { createAwsKmsRootKeys, createLocalRootKeys, createVaultTransitRootKeys, type RootKeys } from "../../src/stores/vault/index.ts";
import { createAwsClient, createOutbound } from "../../src/wire/index.ts";
import { IDENTITY, type KmsServer, PLATFORM_KEY, REGION, startKms } from "./kms-server.ts";
import { MOUNT, NAMESPACE, startTransit, TOKEN, TRANSIT_KEY, type TransitServer } from "./transit-server.ts";

/** One place of root keys with its real client, for tests that hold for all. */
export interface RootPlace {
  readonly roots: RootKeys;
  /** The root key becomes another; what was wrapped before can still be unwrapped. Gives the root keys to go on with. */
  rotate(): RootKeys;
  /** Cuts it off, and back; absent where it is in the process itself. */
  cut?(down: boolean): void;
  /** Requests that were not as they have to be. */
  problems(): readonly unknown[];
  close(): Promise<void>;
}

/** Every adapter of the port. */
export const ROOT_PLACES: Readonly<Record<string, () => Promise<RootPlace>>> = {
  local: localPlace,
  "AWS KMS": kmsPlace,
  Transit: transitPlace,
};

async function localPlace(): Promise<RootPlace> {
  const first = randomBytes(32);
  return {
    roots: createLocalRootKeys([first], systemRandom),
    rotate: () => createLocalRootKeys([randomBytes(32), first], systemRandom),
    problems: () => [],
    close: async () => {},
  };
}

/** Root keys in this KMS. */
export function kmsRoots(server: KmsServer, keyId = PLATFORM_KEY, clock: Clock = systemClock): RootKeys & { close(): Promise<void> } {
  const outbound = createOutbound();
  const credentials = {
    accessKeyId: IDENTITY.accessKeyId,
    secretAccessKey: new Secret(IDENTITY.secretAccessKey),
    sessionToken: new Secret(IDENTITY.sessionToken ?? ""),
  };
  const send = createAwsClient({ service: "kms", region: REGION, credentials }, { outbound, clock });
  return { ...createAwsKmsRootKeys({ endpoint: server.url, region: REGION, keyId }, send), close: () => outbound.close() };
}

/** Root keys in this Transit engine. */
export function transitRoots(server: TransitServer, token = TOKEN): RootKeys & { close(): Promise<void> } {
  const outbound = createOutbound();
  const settings = { address: server.url, mount: MOUNT, keyName: TRANSIT_KEY, namespace: NAMESPACE, token: new Secret(token) };
  const roots = createVaultTransitRootKeys(settings, (call) => outbound.fetch({ ...call, verify: true }));
  return { ...roots, close: () => outbound.close() };
}

async function kmsPlace(): Promise<RootPlace> {
  const server = await startKms();
  const roots = kmsRoots(server);
  const next = `${PLATFORM_KEY}-next`;
  server.keys.set(next, { enabled: true });
  const rotated = kmsRoots(server, next);
  return {
    roots,
    rotate: () => rotated,
    cut: (down) => void (server.down = down),
    problems: () => server.problems,
    close: async () => {
      await Promise.all([roots.close(), rotated.close()]);
      server.close();
    },
  };
}

async function transitPlace(): Promise<RootPlace> {
  const server = await startTransit();
  const roots = transitRoots(server);
  return {
    roots,
    rotate: () => {
      server.rotate(TRANSIT_KEY);
      return roots;
    },
    cut: (down) => void (server.down = down),
    problems: () => server.problems,
    close: async () => {
      await roots.close();
      server.close();
    },
  };
}
