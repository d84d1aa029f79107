import { createHash, type Hash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { StoreTenant } from "../../kernel/index.ts";
import type { ArchiveManifest } from "./archive/format.ts";
import { writeArchive } from "./archive/write-archive.ts";
import type { LifecyclePorts } from "./ports.ts";
import { writeWholeFile } from "./whole-file.ts";

/** An archive in the folder. */
export interface WrittenArchive {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly records: ArchiveManifest["records"];
}

/** Writes the tenant's archive under this name, whole or not at all. */
export async function writeArchiveFile(ports: LifecyclePorts, tenant: StoreTenant, name: string): Promise<WrittenArchive> {
  const file = path.join(ports.folder, "exports", name);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const digest = createHash("sha256");
  let records: ArchiveManifest["records"] = {};
  const archive = archiveOf(ports, tenant, (manifest) => (records = manifest.records));
  const bytes = await writeWholeFile(file, digested(archive, digest));
  return { file, sha256: digest.digest("hex"), bytes, records };
}

async function* digested(pieces: AsyncIterable<Uint8Array>, digest: Hash): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    digest.update(piece);
    yield piece;
  }
}

/** The tenant's archive as it is made. */
export function archiveOf(
  { stores, clock, program }: LifecyclePorts,
  tenant: StoreTenant,
  onManifest?: (manifest: ArchiveManifest) => void,
): AsyncGenerator<Uint8Array, void> {
  const exportedAt = new Date(Math.floor(clock.now() / 1000) * 1000); // a tar knows whole seconds
  return writeArchive({ tenant, stores, exportedAt, program, ...(onManifest && { onManifest }) });
}
