import { createHash } from "node:crypto";
import { type Clock, Fault, type FaultCode, type Random, uuidV7 } from "../../kernel/index.ts";
import type { TenantVault } from "../vault/index.ts";
import { checkFileName } from "./file-name.ts";
import type { FileEngines } from "./file-engines.ts";
import { type FileRow, type FileTable, type PlacedObject, storageFull } from "./file-table.ts";
import type { ByteRange, FileContent, FileInfo, FilePage, PutOptions, TenantFiles } from "./port.ts";
import { openSegments, SEGMENT_BYTES, sealedRange, sealSegments } from "./segments.ts";

/** What one tenant's files are made of. */
export interface TenantFilesParts {
  readonly tenant: string;
  readonly table: FileTable;
  readonly vault: TenantVault;
  readonly engines: FileEngines;
  readonly clock: Clock;
  readonly random: Random;
  /** The most that the tenant may have. */
  readonly bytesMax: number;
  /** Runs an upload, or throws `concurrency_exceeded`. */
  readonly admit: <T>(work: () => Promise<T>) => Promise<T>;
}

/** The largest file. */
export const FILE_BYTES_MAX = 16 * 1024 ** 3;
const LIMIT_MAX = 1_000;
/** How often an upload says that it goes on. */
const GO_ON_MS = 60_000;
/** What a commit throws when it has stored nothing; anything else can have happened after it. */
const REFUSED: ReadonlySet<FaultCode> = new Set(["conflict", "storage_full"]);
const DEFAULT_TYPE = "application/octet-stream";
const CONTENT_TYPE = /^[a-z0-9!#$&^_.+-]{1,127}\/[a-z0-9!#$&^_.+-]{1,127}(?:; ?charset=[a-z0-9-]{1,40})?$/i;

/** The files of one tenant. */
export function tenantFiles(parts: TenantFilesParts): TenantFiles {
  const { table } = parts;
  const found = async (name: string): Promise<FileRow> => {
    const row = await table.find(checkFileName(name));
    if (!row) throw new Fault("not_found", "no such file");
    return row;
  };
  return {
    put: async (name, content, options = {}) => {
      checkFileName(name);
      const contentType = checkContentType(options.contentType);
      return await parts.admit(() => put(parts, name, contentType, content, options));
    },
    get: async (name, range) => read(parts, await found(name), range),
    stat: async (name) => toInfo(await found(name)),
    list: (query) => list(table, query),
    async delete(name) {
      const removed = await table.remove(checkFileName(name));
      if (!removed) throw new Fault("not_found", "no such file");
      await removeObject(parts, removed);
    },
    use: () => table.use(),
  };
}

/** Removes an object that is a leftover. When that fails it stays one, and the sweep tries again. */
export async function removeObject(
  { tenant, table, engines }: Pick<TenantFilesParts, "tenant" | "table" | "engines">,
  { object, place }: PlacedObject,
): Promise<void> {
  try {
    await engines.at(place).remove(tenant, object);
    await table.forget({ object, place });
  } catch {
    // the row that says so is still there
  }
}

async function put(
  parts: TenantFilesParts,
  name: string,
  contentType: string,
  content: AsyncIterable<Uint8Array>,
  { signal }: PutOptions,
): Promise<FileInfo> {
  const { tenant, table, engines, vault, clock, random, bytesMax } = parts;
  signal?.throwIfAborted();
  const object = uuidV7(clock, random);
  const [old, { bytes: used }] = await Promise.all([table.find(name), table.use()]);
  // what is in use can change meanwhile, so this only keeps an upload from going on for nothing; what counts is counted at the end
  const room = Math.min(FILE_BYTES_MAX, bytesMax - used + (old?.bytes ?? 0));
  if (room < 0) throw storageFull(bytesMax);
  const place = await table.begin(object);
  let isCommitting = false;
  try {
    const measured = measure(content, { room, full: () => storageFull(bytesMax), goOn: () => table.goOn(object), clock, signal });
    await engines.at(place).write(tenant, object, sealSegments(vault, object, measured.pieces));
    signal?.throwIfAborted();
    const { bytes, sha256 } = measured.total();
    isCommitting = true;
    const { stored, replaced } = await table.commit({ name, object, bytes, sha256, contentType, bytesMax });
    if (replaced !== undefined) await removeObject(parts, replaced);
    return toInfo(stored);
  } catch (error) {
    const isUpload = await table.giveUp(object).catch(() => false);
    // when only the word of the commit was lost, there is no upload to give up, and the object is the file's
    const isRefused = error instanceof Fault && REFUSED.has(error.code);
    if (isUpload || !isCommitting || isRefused) await removeObject(parts, { object, place });
    throw error;
  }
}

interface Measuring {
  readonly room: number;
  readonly full: () => Fault;
  readonly goOn: () => Promise<void>;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
}

/** The content on its way, counted and digested. */
function measure(content: AsyncIterable<Uint8Array>, { room, full, goOn, clock, signal }: Measuring) {
  const hash = createHash("sha256");
  let bytes = 0;
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    let toldMs = clock.monotonic();
    for await (const piece of content) {
      signal?.throwIfAborted();
      bytes += piece.length;
      if (bytes > room) throw full();
      hash.update(piece);
      yield piece;
      if (clock.monotonic() - toldMs < GO_ON_MS) continue;
      await goOn();
      toldMs = clock.monotonic();
    }
  };
  return { pieces: pieces(), total: () => ({ bytes, sha256: hash.digest("hex") }) };
}

function read({ tenant, engines, vault }: TenantFilesParts, row: FileRow, asked: ByteRange = { from: 0 }): FileContent {
  const { from, to = row.bytes } = asked;
  if (![from, to].every(Number.isSafeInteger) || from < 0 || to < from || from > row.bytes) {
    const detail = `The file has ${row.bytes} bytes: the range is none of it.`;
    throw new Fault("malformed_request", detail, { public: { detail, field: "range" } });
  }
  const range = { from, to: Math.min(to, row.bytes) };
  const content = async function* (): AsyncGenerator<Uint8Array> {
    const sealed = sealedRange(row.bytes, range.from, range.to);
    const hash = createHash("sha256");
    let at = sealed.first * SEGMENT_BYTES;
    let given = 0;
    const segments = engines.at(row.place).read(tenant, row.object, sealed.from, sealed.length);
    for await (const segment of openSegments(vault, row.object, { bytes: row.bytes, first: sealed.first }, segments)) {
      const piece = segment.subarray(Math.max(0, range.from - at), Math.max(0, range.to - at));
      at += segment.length;
      hash.update(piece);
      given += piece.length;
      if (piece.length > 0) yield piece;
    }
    if (given !== range.to - range.from) throw new Fault("isolation_violation", "a stored object ends before its file does");
    if (given === row.bytes && hash.digest("hex") !== row.sha256) throw new Fault("isolation_violation", "a file is not what was stored");
  };
  return { info: toInfo(row), range, content: content() };
}

async function list(table: FileTable, { prefix = "", after = "", limit }: Parameters<TenantFiles["list"]>[0]): Promise<FilePage> {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
    const detail = `The limit is a whole number from 1 to ${LIMIT_MAX}.`;
    throw new Fault("malformed_request", detail, { public: { detail, field: "limit" } });
  }
  for (const [field, text] of Object.entries({ prefix, after })) {
    if (text.isWellFormed() && !text.includes("\0") && Buffer.byteLength(text) <= 1_024) continue;
    throw new Fault("malformed_request", `${field} of a list of files`, { public: { detail: `${field} is no part of a name.`, field } });
  }
  const rows = await table.page(prefix, after, limit + 1);
  const files = rows.slice(0, limit).map(toInfo);
  const last = files.at(-1);
  return rows.length > limit && last ? { files, next: last.name } : { files };
}

function checkContentType(given = DEFAULT_TYPE): string {
  if (CONTENT_TYPE.test(given)) return given;
  const detail = "The content type is one such as text/plain.";
  throw new Fault("malformed_request", detail, { public: { detail, field: "contentType" } });
}

function toInfo({ name, bytes, sha256, contentType, createdAt, updatedAt }: FileRow): FileInfo {
  return { name, bytes, sha256, contentType, createdAt, updatedAt };
}
