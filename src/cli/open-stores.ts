import path from "node:path";
import { systemClock, systemRandom, toFault } from "../kernel/index.ts";
import { type CacheStore, createCacheStore, createMemoryCache, createRedisCache } from "../stores/cache/index.ts";
import { createFileStore, createFolderEngine, createS3Engine, type FileEngine, type FileStore } from "../stores/files/index.ts";
import type { VaultStore } from "../stores/vault/index.ts";
import { createAwsClient } from "../wire/index.ts";
import { awsCredentials, type StorePorts } from "./open-vault.ts";

/** The cache and the files where the settings say. */
export async function openCacheAndFiles(
  ports: StorePorts,
  vault: VaultStore,
): Promise<{ readonly cache: CacheStore; readonly files: FileStore }> {
  const { data, telemetry } = ports;
  const shared = { vault, clock: systemClock, report: telemetry.report };
  const engine = await openFiles(ports);
  return {
    cache: createCacheStore({ ...shared, engine: openCache(ports) }),
    files: createFileStore({ ...shared, data, random: systemRandom, engine }),
  };
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
