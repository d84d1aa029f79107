import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { Fault, isUuid } from "../../kernel/index.ts";

/** The file of an upload, by an id that names no other place. Throws `not_found` for anything that is not such an id. */
export function uploadFile(folder: string, upload: string): string {
  if (!isUuid(upload)) throw new Fault("not_found", "not the id of an upload");
  return path.join(folder, "imports", `${upload}.tar.gz`);
}

/**
 * Adds a piece to an upload at the place where it ends, and gives the new end. The piece at 0 begins it. Throws `conflict`, with the end,
 * when the piece does not belong there: a piece whose answer was lost is not added twice.
 */
export async function addToUpload(folder: string, upload: string, at: number, piece: Uint8Array): Promise<number> {
  const file = uploadFile(folder, upload);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, "a", 0o600);
  try {
    const { size } = await handle.stat();
    if (size !== at) {
      throw new Fault("conflict", `upload ends at ${size}, not ${at}`, { public: { detail: `The upload ends at ${size}.`, field: "at" } });
    }
    await handle.appendFile(piece);
    return size + piece.length;
  } finally {
    await handle.close();
  }
}

/** Whether there is such an upload. */
export async function hasUpload(folder: string, upload: string): Promise<boolean> {
  const file = uploadFile(folder, upload);
  return await stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Takes an upload away, if it is there. */
export async function dropUpload(folder: string, upload: string): Promise<void> {
  await rm(uploadFile(folder, upload), { force: true });
}

/** How long an upload may lie before it is imported: what it holds is a tenant's data. */
const KEPT_MS = 24 * 60 * 60 * 1_000;

/** Takes away the uploads that were left lying for a day, apart from those that are in use. */
export async function sweepUploads(folder: string, now: number, inUse: ReadonlySet<string>): Promise<void> {
  const imports = path.join(folder, "imports");
  const names = await readdir(imports).catch(() => []); // nothing was ever uploaded
  for (const name of names) {
    const file = path.join(imports, name);
    const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: now })); // another process was faster
    if (now - mtimeMs > KEPT_MS && !inUse.has(name.replace(/\.tar\.gz$/, ""))) await rm(file, { force: true });
  }
}
