import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Clock, type Fault, Secret, systemClock, systemRandom } from "../../src/kernel/index.ts";
import type { DataStore } from "../../src/stores/data/index.ts";
import { createFileStore, createFolderEngine, createS3Engine, type FileEngine, type FileStore } from "../../src/stores/files/index.ts";
import type { VaultStore } from "../../src/stores/vault/index.ts";
import { createAwsClient, createOutbound } from "../../src/wire/index.ts";
import { S3_IDENTITY, type S3Server, startS3 } from "./s3-server.ts";

/** One place of contents, for tests that hold for all. */
export interface FilePlace {
  readonly engine: FileEngine;
  /** All bytes that are kept there. */
  everything(): Promise<Buffer>;
  /** Changes or removes what is kept: each object is given to `change`, whose result takes its place; null removes it. */
  tamper(change: (object: Buffer) => Buffer | null): Promise<void>;
  problems(): readonly unknown[];
  close(): Promise<void>;
}

const BUCKET = "files-of-the-test";

/** Every adapter of the port; S3 with one bucket for all and with one for each tenant. */
export const FILE_PLACES: Readonly<Record<string, () => Promise<FilePlace>>> = {
  folder: folderPlace,
  S3: () => s3Place(BUCKET),
  "S3, own buckets": () => s3Place("fh-{tenant}"),
};

/** The store of files over these, as one process has it. */
export function openFiles(parts: {
  readonly data: DataStore;
  readonly vault: VaultStore;
  readonly engine: FileEngine;
  readonly ownEngine?: FileEngine;
  readonly clock?: Clock;
  readonly reports?: Fault[];
}): FileStore {
  const { reports = [], clock = systemClock, ...stores } = parts;
  return createFileStore({ ...stores, clock, random: systemRandom, report: (fault) => void reports.push(fault) });
}

/** Pieces of bytes one after the other, as an upload brings them. */
export async function* pieces(...all: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const piece of all) {
    await new Promise((resolve) => setImmediate(resolve));
    yield typeof piece === "string" ? Buffer.from(piece) : piece;
  }
}

/** All of it. */
export async function readAll(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const read: Uint8Array[] = [];
  for await (const piece of content) read.push(piece);
  return Buffer.concat(read);
}

/** An engine over this S3. */
export function s3Engine(server: S3Server, bucket: string): FileEngine & { close(): Promise<void> } {
  const outbound = createOutbound();
  const { accessKeyId, secretAccessKey, region } = S3_IDENTITY;
  const credentials = { accessKeyId, secretAccessKey: new Secret(secretAccessKey) };
  const send = createAwsClient({ service: "s3", region, credentials }, { outbound, clock: systemClock });
  const engine = createS3Engine({ endpoint: server.url, region, bucket, prefix: "freehold/" }, send);
  return Object.assign(engine, { close: () => outbound.close() });
}

async function s3Place(bucket: string): Promise<FilePlace> {
  const server = await startS3(BUCKET);
  const engine = s3Engine(server, bucket);
  const objects = (): [Map<string, Buffer>, string, Buffer][] =>
    [...server.buckets.values()].flatMap((each) =>
      [...each.objects].map(([key, value]): [Map<string, Buffer>, string, Buffer] => [each.objects, key, value]),
    );
  return {
    engine,
    everything: async () => Buffer.concat(objects().map(([, , value]) => value)),
    async tamper(change) {
      for (const [map, key, value] of objects()) {
        const next = change(value);
        if (next) map.set(key, next);
        else map.delete(key);
      }
    },
    problems: () => server.problems,
    async close() {
      await engine.close();
      server.close();
    },
  };
}

async function folderPlace(): Promise<FilePlace> {
  const { readdir, readFile, rm, writeFile } = await import("node:fs/promises");
  const folder = await mkdtemp(path.join(tmpdir(), "freehold-files-"));
  const files = async (): Promise<string[]> =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((each) => each.isFile())
      .map((each) => path.join(each.parentPath, each.name));
  return {
    engine: await createFolderEngine(folder),
    everything: async () => Buffer.concat(await Promise.all((await files()).map((file) => readFile(file)))),
    async tamper(change) {
      for (const file of await files()) {
        const next = change(await readFile(file));
        if (next) await writeFile(file, next);
        else await rm(file);
      }
    },
    problems: () => [],
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
