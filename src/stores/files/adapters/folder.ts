import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, realpath, rm } from "node:fs/promises";
import path from "node:path";
import { Fault, isUuid } from "../../../kernel/index.ts";
import type { FileEngine } from "../port.ts";

const READ_BYTES = 256 * 1024;
/** A link in the place of the file is an error. Other systems than POSIX have no such flag; there the check of what was opened remains. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/**
 * Objects in a folder: one folder for each tenant, and in it one file for each object, both named by ids alone. Nothing but plain files in plain
 * folders is read or written: a link that was put in their place is refused, never followed.
 */
export async function createFolderEngine(folder: string): Promise<FileEngine> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return new FolderEngine(await realpath(folder));
}

class FolderEngine implements FileEngine {
  readonly place = "folder of files";
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async provision(tenant: string): Promise<void> {
    await guarded(async () => {
      await mkdir(this.#folderOf(tenant), { mode: 0o700 }).catch(unless("EEXIST"));
      await this.#checked(tenant);
      await sync(this.#root);
    });
  }

  async write(tenant: string, object: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const folder = this.#folderOf(tenant);
    if ((await guarded(() => lstat(folder).catch(unless("ENOENT")))) === undefined) await this.provision(tenant);
    const file = await this.#open(tenant, object, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
    try {
      for await (const piece of pieces) await guarded(() => writeAll(file, piece));
      await guarded(() => file.sync());
    } finally {
      await file.close();
    }
    await guarded(() => sync(folder));
  }

  async *read(tenant: string, object: string, from: number, length: number): AsyncGenerator<Uint8Array> {
    const file = await this.#open(tenant, object, constants.O_RDONLY);
    try {
      for (let at = from; at < from + length;) {
        const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, from + length - at));
        const { bytesRead } = await guarded(() => file.read(buffer, 0, buffer.length, at));
        if (bytesRead === 0) return; // shorter than it was written: whoever opens the segments sees it
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    } finally {
      await file.close();
    }
  }

  async remove(tenant: string, object: string): Promise<void> {
    await guarded(async () => {
      if (!(await this.#checked(tenant))) return;
      await rm(this.#fileOf(tenant, object), { force: true }); // of a link, the link
      await sync(this.#folderOf(tenant));
    });
  }

  async count(tenant: string) {
    return await guarded(async () => {
      const folder = this.#folderOf(tenant);
      const there = await lstat(folder).catch(unless("ENOENT"));
      if (!there) return { items: 0, bytes: 0 };
      if (!there.isDirectory()) return { items: 1, bytes: 0 };
      const names = await readdir(folder);
      const sizes = await Promise.all(names.map(async (name) => (await lstat(path.join(folder, name)).catch(unless("ENOENT")))?.size ?? 0));
      return { items: names.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
    });
  }

  async erase(tenant: string): Promise<void> {
    await guarded(async () => {
      await rm(this.#folderOf(tenant), { recursive: true, force: true }); // of links, the links
      await sync(this.#root);
    });
  }

  async #open(tenant: string, object: string, flags: number): Promise<FileHandle> {
    return await guarded(async () => {
      if (!(await this.#checked(tenant))) throw new Fault("dependency_unavailable", "the tenant has no folder of files");
      const file = await open(this.#fileOf(tenant, object), flags | NO_FOLLOW, 0o600);
      const stats = await file.stat();
      if (stats.isFile() && stats.nlink === 1) return file;
      await file.close();
      throw foreign();
    });
  }

  /** Whether the tenant's folder is there. Throws when it is a link or anything else but a folder in its place. */
  async #checked(tenant: string): Promise<boolean> {
    const folder = this.#folderOf(tenant);
    const stats = await lstat(folder).catch(unless("ENOENT"));
    if (!stats) return false;
    if (!stats.isDirectory() || (await realpath(folder)) !== folder) throw foreign();
    return true;
  }

  #folderOf(tenant: string): string {
    return path.join(this.#root, idOf(tenant));
  }

  #fileOf(tenant: string, object: string): string {
    return path.join(this.#folderOf(tenant), idOf(object));
  }
}

/** Only ids become parts of a path. */
function idOf(text: string): string {
  if (!isUuid(text)) throw new Fault("internal", "a path is made of something that is no id");
  return text;
}

async function writeAll(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let at = 0; at < piece.length;) at += (await file.write(piece, at)).bytesWritten;
}

/** Makes sure that names in the folder survive a loss of power. */
async function sync(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Fault) throw error;
    const code = codeOf(error);
    if (code === "ELOOP") throw foreign();
    const message = error instanceof Error ? error.message : String(error);
    throw new Fault(FULL.has(code) ? "storage_full" : "dependency_unavailable", `folder of files: ${message}`, { cause: error });
  }
}

function unless(expected: string): (error: unknown) => undefined {
  return (error) => {
    if (codeOf(error) !== expected) throw error;
    return undefined;
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function foreign(): Fault {
  return new Fault("isolation_violation", "something else than a plain file or folder is in the place of a tenant's files");
}
