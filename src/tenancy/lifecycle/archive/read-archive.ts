import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { type Extract, extract as createExtract } from "tar-stream";
import { Fault, type Json, parseJson, type StoreRecord } from "../../../kernel/index.ts";
import {
  ARCHIVE_BOUNDS,
  ARCHIVE_FORMAT,
  type ArchiveHead,
  type ArchiveManifest,
  type ArchivePart,
  badArchive,
  HEAD_NAME,
  MANIFEST_NAME,
  partName,
} from "./format.ts";

/** What an archive was found to hold. */
export interface ArchiveContents {
  readonly head: ArchiveHead;
  readonly manifest: ArchiveManifest;
}

/** One entry, read whole. */
interface ReadEntry {
  readonly name: string;
  readonly content: Buffer;
}

type Counts = Record<string, Record<string, number>>;

/**
 * Reads the whole archive and throws `invalid_archive` unless every part of it is what the manifest says: names and order, sizes, digests,
 * numbers of records; nothing else is in it; every record is strict JSON. Nothing is stored, and no entry ever names a file of this machine.
 */
export async function checkArchive(file: string): Promise<ArchiveContents> {
  const checker = new Checker();
  for await (const entry of entriesOf(file)) checker.take(entry);
  return checker.end();
}

/** The records of one store, of an archive that was checked. */
export async function* recordsOf(file: string, store: string): AsyncGenerator<StoreRecord> {
  let carrier: ArchiveRecord | undefined;
  for await (const { name, content } of entriesOf(file)) {
    if (!name.startsWith(`${store}/`)) continue;
    if (name.endsWith(".bin")) {
      if (carrier) yield { kind: carrier.kind, value: carrier.value, bytes: content };
      carrier = undefined;
      continue;
    }
    for (const line of linesOf(content)) {
      const record = parseRecord(line);
      if (record.file === undefined) yield { kind: record.kind, value: record.value };
      else carrier = record;
    }
  }
}

class Checker {
  #head: ArchiveHead | undefined;
  #manifest: ArchiveManifest | undefined;
  readonly #parts: ArchivePart[] = [];
  readonly #records: Counts = {};
  /** The file that the last record of the part before must be followed by. */
  #awaited: string | undefined;

  take({ name, content }: ReadEntry): void {
    if (this.#manifest) throw badArchive("Something comes after the manifest.");
    if (!this.#head) this.#head = parseHead(name, content);
    else if (name === MANIFEST_NAME) this.#manifest = parseManifest(content);
    else this.#takePart(name, content);
  }

  end(): ArchiveContents {
    if (!this.#head || !this.#manifest) throw badArchive("The archive has no manifest: its writing was broken off.");
    if (this.#awaited !== undefined) throw badArchive("A file that a record names is missing.");
    const found: ArchiveManifest = { parts: this.#parts, records: this.#records };
    if (canonical(found) !== canonical(this.#manifest)) throw badArchive("The archive's parts are not those that its manifest lists.");
    return { head: this.#head, manifest: found };
  }

  #takePart(name: string, content: Buffer): void {
    const store = /^([a-z]{1,32})\/[0-9]{8}\.(?:jsonl|bin)$/.exec(name)?.[1];
    const ending = name.endsWith(".bin") ? "bin" : "jsonl";
    if (store === undefined || name !== partName(store, this.#parts.length, ending))
      throw badArchive("An entry has a name that no archive has.");
    if ((ending === "bin") !== (this.#awaited !== undefined) || (ending === "bin" && name !== this.#awaited)) {
      throw badArchive("A file is not where its record says.");
    }
    this.#awaited = undefined;
    const lines = ending === "bin" ? [] : linesOf(content);
    for (const [at, line] of lines.entries()) this.#takeRecord(store, parseRecord(line), at === lines.length - 1);
    const sha256 = createHash("sha256").update(content).digest("hex");
    this.#parts.push({ name, store, records: lines.length, bytes: content.length, sha256 });
  }

  #takeRecord(store: string, { kind, file }: ArchiveRecord, last: boolean): void {
    const counts = (this.#records[store] ??= {});
    counts[kind] = (counts[kind] ?? 0) + 1;
    if (file === undefined) return;
    if (!last || file !== partName(store, this.#parts.length + 1, "bin"))
      throw badArchive("A record names a file that does not follow it.");
    this.#awaited = file;
  }
}

interface ArchiveRecord {
  readonly kind: string;
  readonly value: Readonly<Record<string, Json>>;
  readonly file: string | undefined;
}

const KIND = /^[A-Za-z0-9_."$-]{1,128}$/;

function parseRecord(line: Buffer): ArchiveRecord {
  const { kind, value, file, ...others } = parseObject(line, ARCHIVE_BOUNDS.partMax);
  const sound =
    typeof kind === "string" &&
    KIND.test(kind) &&
    isObject(value) &&
    (file === undefined || typeof file === "string") &&
    Object.keys(others).length === 0;
  if (!sound) throw badArchive("A record is not one.");
  return { kind, value, file };
}

function parseHead(name: string, content: Buffer): ArchiveHead {
  if (name !== HEAD_NAME) throw badArchive("This is not an archive of Freehold.");
  const { format, tenant, exportedAt, program } = parseObject(content, ARCHIVE_BOUNDS.headMax);
  if (format !== ARCHIVE_FORMAT) throw badArchive("The archive has a format that this version does not know.");
  if (typeof tenant !== "string" || typeof exportedAt !== "string" || typeof program !== "string") {
    throw badArchive("The archive does not say whose it is.");
  }
  return { format, tenant, exportedAt, program };
}

function parseManifest(content: Buffer): ArchiveManifest {
  const { parts, records, ...others } = parseObject(content, ARCHIVE_BOUNDS.manifestMax);
  if (!Array.isArray(parts) || !isObject(records) || Object.keys(others).length > 0) throw badArchive("The manifest is not one.");
  return { parts, records } as unknown as ArchiveManifest; // compared as a whole with what was found
}

function parseObject(content: Buffer, bytesMax: number): Record<string, Json> {
  try {
    const value = parseJson(content, { bytesMax, depthMax: ARCHIVE_BOUNDS.depthMax });
    if (isObject(value)) return value;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw badArchive("A part of the archive is not strict JSON.", error);
  }
  throw badArchive("A part of the archive is not a JSON object.");
}

function isObject(value: Json | undefined): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The lines of a part; each ends with a line break. */
function linesOf(content: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let from = 0; from < content.length;) {
    const end = content.indexOf(0x0a, from);
    if (end === -1) throw badArchive("A part of the archive is cut off.");
    lines.push(content.subarray(from, end));
    from = end + 1;
  }
  return lines;
}

/** The same text for the same contents, in whatever order names stand in objects. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** The entries one after the other, each whole, within the bounds. What is no plain file, or larger than its bound, ends the reading before it is read. */
async function* entriesOf(file: string): AsyncGenerator<ReadEntry> {
  const extract = createExtract();
  const source = createReadStream(file);
  const unzipped = createGunzip();
  source.on("error", (error) => unzipped.destroy(error));
  source.pipe(unzipped);
  const feeding = feed(extract, unzipped, () => source.bytesRead).catch((error: unknown) =>
    extract.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  try {
    for await (const entry of extract) {
      const { name, type, size } = entry.header;
      if (type !== "file") throw badArchive("The archive holds something that is not a file.");
      if (size > boundOf(name)) throw badArchive("An entry of the archive is larger than it may be.");
      yield { name, content: await whole(entry) };
    }
    await feeding;
  } catch (error) {
    throw error instanceof Fault ? error : badArchive("The archive is damaged, or not a gzipped tar.", error);
  } finally {
    extract.destroy();
    unzipped.destroy();
    source.destroy();
    await feeding;
  }
}

async function whole(entry: AsyncIterable<unknown>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of entry) pieces.push(piece as Buffer); // it has no encoding
  return Buffer.concat(pieces);
}

function boundOf(name: string): number {
  if (name === HEAD_NAME) return ARCHIVE_BOUNDS.headMax;
  if (name === MANIFEST_NAME) return ARCHIVE_BOUNDS.manifestMax;
  return name.endsWith(".bin") ? ARCHIVE_BOUNDS.fileMax : ARCHIVE_BOUNDS.partMax;
}

/** Hands over what comes, as fast as it is taken, and stops at contents that are much larger than the archive could be of real records. */
async function feed(extract: Extract, unzipped: AsyncIterable<Buffer>, read: () => number): Promise<void> {
  let bytes = 0;
  const closed = new Promise<void>((resolve) => extract.once("close", resolve));
  for await (const piece of unzipped) {
    bytes += piece.length;
    if (bytes > ARCHIVE_BOUNDS.ratioFree + ARCHIVE_BOUNDS.ratioMax * read())
      throw badArchive("The archive's contents are too large for it.");
    if (extract.destroyed) return;
    if (!extract.write(piece)) await Promise.race([new Promise<void>((resolve) => extract.once("drain", resolve)), closed]);
  }
  extract.end(undefined);
}
