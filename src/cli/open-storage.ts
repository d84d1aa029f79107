import path from "node:path";
import { Fault, systemClock, systemRandom, toFault } from "../kernel/index.ts";
import { type CacheStore, createCacheStore, createMemoryCache, createRedisCache } from "../stores/cache/index.ts";
import type { DataStore } from "../stores/data/index.ts";
import {
  createFileStore,
  createFolderEngine,
  createS3Engine,
  type FileEngine,
  type FileStore,
  type FileStoreOptions,
} from "../stores/files/index.ts";
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
  const { report } = ports;
  const data = await openData(ports.settings, ports.keyring, report);
  onClose(() => data.close());
  const outbound = createOutbound();
  onClose(() => outbound.close());
  const opened = { ...ports, data, outbound };
  const vault = await openVault(opened);
  onClose(() => vault.close());
  const shared = { vault, clock: systemClock, report };
  const cache = createCacheStore({ ...shared, engine: openCache(opened) });
  onClose(() => cache.close());
  const files = createFileStore({ ...shared, data, random: systemRandom, ...(await openFiles(opened)) });
  onClose(() => files.close());
  return { data, vault, cache, files };
}

function openCache({ settings: { cache }, report }: StorePorts) {
  if (cache.kind === "memory") return createMemoryCache(cache, systemClock);
  return createRedisCache({
    url: cache.url,
    random: systemRandom,
    onChange: (reached, error) => {
      if (reached) return;
      const reason = error ? toFault(error).message : "no answer";
      report(new Fault("dependency_unavailable", `Redis is not reached, nothing is cached until it is: ${reason}`, { cause: error }));
    },
  });
}

type PlaceOfFiles = Exclude<StorePorts["settings"]["files"]["own"], undefined>;

async function openFiles(ports: StorePorts): Promise<Pick<FileStoreOptions, "engine" | "ownEngine">> {
  const { files, data } = ports.settings;
  const shared = files.kind === "folder" ? { ...files, folder: files.folder ?? path.join(data, "files") } : files;
  return {
    engine: await openPlaceOfFiles(ports, shared),
    ownEngine: files.own && (await openPlaceOfFiles(ports, files.own)),
  };
}

async function openPlaceOfFiles(ports: StorePorts, files: PlaceOfFiles): Promise<FileEngine> {
  if (files.kind === "folder") return await createFolderEngine(files.folder);
  const { region, bucket, prefix, endpoint = `https://s3.${region}.amazonaws.com` } = files;
  const client = createAwsClient(
    { service: "s3", region, credentials: awsCredentials(ports, files) },
    { outbound: ports.outbound, clock: systemClock },
  );
  return createS3Engine({ endpoint, region, bucket, prefix }, client);
}
