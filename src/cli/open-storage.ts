import path from "node:path";
import { systemClock, systemRandom, toFault } from "../kernel/index.ts";
import { type CacheStore, createCacheStore, createMemoryCache, createRedisCache } from "../stores/cache/index.ts";
import type { DataStore } from "../stores/data/index.ts";
import { createFileStore, createFolderEngine, createS3Engine, type FileEngine, type FileStore } from "../stores/files/index.ts";
import type { VaultStore } from "../stores/vault/index.ts";
import { createAwsClient, createOutbound } from "../wire/index.ts";
import { openData } from "./open-data.ts";
import { awsCredentials, openVault, type StorePorts } from "./open-vault.ts";

/** The stores that keep what they are given somewhere of their own. */
export interface Storage {
  readonly data: DataStore;
  readonly vault: VaultStore;
  readonly cache: CacheStore;
  readonly files: FileStore;
}

/** Opens them where the settings say, each after those it is built on. `onClose` is given what closes each of them, the last one first. */
export async function openStorage(
  ports: Omit<StorePorts, "data" | "outbound">,
  onClose: (step: () => Promise<void>) => void,
): Promise<Storage> {
  const { telemetry } = ports;
  const data = await openData(ports.settings, ports.keyring, telemetry.report);
  onClose(() => data.close());
  const outbound = createOutbound();
  onClose(() => outbound.close());
  const opened = { ...ports, data, outbound };
  const vault = await openVault(opened);
  onClose(() => vault.close());
  const shared = { vault, clock: systemClock, report: telemetry.report };
  const cache = createCacheStore({ ...shared, engine: openCache(opened) });
  onClose(() => cache.close());
  const files = createFileStore({ ...shared, data, random: systemRandom, engine: await openFiles(opened) });
  onClose(() => files.close());
  return { data, vault, cache, files };
}

function openCache({ settings, telemetry }: StorePorts) {
  const { cache } = settings;
  if (cache.kind === "memory") return createMemoryCache(cache, systemClock);
  return createRedisCache({
    url: cache.url,
    random: systemRandom,
    onChange: (reached, error) => {
      if (reached) telemetry.log.info("Redis is reached: the cache is in use");
      else telemetry.log.warn({ err: error && toFault(error) }, "Redis is not reached: nothing is cached");
    },
  });
}

async function openFiles(ports: StorePorts): Promise<FileEngine> {
  const { files, data } = ports.settings;
  if (files.kind === "folder") return await createFolderEngine(files.folder ?? path.join(data, "files"));
  const { region, bucket, prefix, endpoint = `https://s3.${region}.amazonaws.com` } = files;
  const client = createAwsClient(
    { service: "s3", region, credentials: awsCredentials(ports, files) },
    { outbound: ports.outbound, clock: systemClock },
  );
  return createS3Engine({ endpoint, region, bucket, prefix }, client);
}
