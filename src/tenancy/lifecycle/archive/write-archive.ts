import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { type Pack, pack as createPack } from "tar-stream";
import type { StoreLifecycle, StoreRecord, StoreTenant } from "../../../kernel/index.ts";
import { ARCHIVE_BOUNDS, ARCHIVE_FORMAT, type ArchiveManifest, type ArchivePart, HEAD_NAME, MANIFEST_NAME, partName } from "./format.ts";

/** What is written. */
export interface ArchiveSource {
  readonly tenant: StoreTenant;
  readonly stores: readonly StoreLifecycle[];
  readonly exportedAt: Date;
  readonly program: string;
  /** Called when the last record is in. */
  onManifest?(manifest: ArchiveManifest): void;
}

/**
 * The archive of a tenant: a gzipped tar, made while it is read, with never more than one part in memory. When a store fails it ends in that
 * fault; what was read by then has no manifest and is refused by every import.
 */
export async function* writeArchive(source: ArchiveSource): AsyncGenerator<Uint8Array, void> {
  const pack = createPack();
  const zipped = createGzip();
  // errors of either side come out of `zipped`
  const piping = pipeline(Readable.from(pack), zipped).catch(() => undefined);
  const filling = fill(pack, source).catch((error: unknown) => pack.destroy(error instanceof Error ? error : new Error(String(error))));
  try {
    for await (const piece of zipped) yield piece as Uint8Array; // it has no encoding
  } finally {
    pack.destroy();
    zipped.destroy();
    await Promise.all([piping, filling]);
  }
}

async function fill(pack: Pack, source: ArchiveSource): Promise<void> {
  const writer = new PartWriter(pack, source.exportedAt);
  const { tenant, exportedAt, program } = source;
  const head = { format: ARCHIVE_FORMAT, tenant: tenant.id, exportedAt: exportedAt.toISOString(), program };
  await writer.entry(HEAD_NAME, Buffer.from(JSON.stringify(head)));
  for (const store of source.stores) {
    for await (const record of store.export(tenant)) await writer.add(store.name, record);
    await writer.flush();
  }
  const manifest: ArchiveManifest = { parts: writer.parts, records: writer.records };
  source.onManifest?.(manifest);
  await writer.entry(MANIFEST_NAME, Buffer.from(JSON.stringify(manifest)));
  pack.finalize();
}

class PartWriter {
  readonly parts: ArchivePart[] = [];
  readonly records: Record<string, Record<string, number>> = {};
  readonly #pack: Pack;
  readonly #at: Date;
  readonly #gone: Promise<never>;
  #store = "";
  #lines: string[] = [];
  #bytes = 0;
  #number = 0;

  constructor(pack: Pack, at: Date) {
    this.#pack = pack;
    this.#at = at;
    this.#gone = new Promise((_, reject) => pack.once("close", () => reject(new Error("the archive is not read any more"))));
    this.#gone.catch(() => undefined); // also when nothing is being written
  }

  async add(store: string, { kind, value, bytes }: StoreRecord): Promise<void> {
    this.#store = store;
    const file = bytes && partName(store, this.#number + 1, "bin");
    const line = JSON.stringify({ kind, value, ...(file !== undefined && { file }) });
    this.#lines.push(line);
    this.#bytes += line.length;
    const counts = (this.records[store] ??= {});
    counts[kind] = (counts[kind] ?? 0) + 1;
    if (bytes || this.#bytes >= ARCHIVE_BOUNDS.partBytes) await this.flush();
    if (bytes && file !== undefined) await this.#part(file, store, 0, Buffer.from(bytes));
  }

  /** Ends the part under way. */
  async flush(): Promise<void> {
    const lines = this.#lines;
    if (lines.length === 0) return;
    this.#lines = [];
    this.#bytes = 0;
    await this.#part(partName(this.#store, this.#number, "jsonl"), this.#store, lines.length, Buffer.from(`${lines.join("\n")}\n`));
  }

  async #part(name: string, store: string, records: number, content: Buffer): Promise<void> {
    this.#number++;
    const sha256 = createHash("sha256").update(content).digest("hex");
    this.parts.push({ name, store, records, bytes: content.length, sha256 });
    await this.entry(name, content);
  }

  async entry(name: string, content: Buffer): Promise<void> {
    const written = new Promise<void>((resolve, reject) => {
      this.#pack.entry({ name, size: content.length, mode: 0o600, mtime: this.#at, type: "file" }, content, (error) =>
        error ? reject(error) : resolve(),
      );
    });
    await Promise.race([written, this.#gone]);
  }
}
