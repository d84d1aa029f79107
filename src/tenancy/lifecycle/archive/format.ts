import { Fault } from "../../../kernel/index.ts";

/** The version of the archive's format; an archive of another one is refused. */
export const ARCHIVE_FORMAT = 1;
/** The first entry, which says whose archive it is. */
export const HEAD_NAME = "freehold.json";
/** The last entry, which says what is in it. */
export const MANIFEST_NAME = "manifest.json";

/** Bounds of an archive, in bytes. */
export const ARCHIVE_BOUNDS = {
  headMax: 64 * 1024,
  manifestMax: 64 * 1024 * 1024,
  /** A part of records; it is begun anew at `partBytes`, but one record may be larger. */
  partMax: 16 * 1024 * 1024,
  partBytes: 1024 * 1024,
  /** One file that a record carries. */
  fileMax: 256 * 1024 * 1024,
  /** How much larger than the archive its contents may be: what real records never reach. */
  ratioMax: 200,
  /** What the ratio is not asked of. */
  ratioFree: 64 * 1024 * 1024,
  depthMax: 100,
} as const;

/** What the first entry says. */
export interface ArchiveHead {
  readonly format: number;
  /** The name of the tenant where it was exported. Its internal id is in no archive. */
  readonly tenant: string;
  /** ISO 8601, UTC. */
  readonly exportedAt: string;
  /** The version of the program that wrote it. */
  readonly program: string;
}

/** One entry as the manifest lists it. */
export interface ArchivePart {
  readonly name: string;
  readonly store: string;
  /** Lines of a part of records; 0 for a file. */
  readonly records: number;
  readonly bytes: number;
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
}

/** What the last entry says: every entry between the first and itself, in order, and how many records of each kind each store has. */
export interface ArchiveManifest {
  readonly parts: readonly ArchivePart[];
  readonly records: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** The name of the entry with this number: of records, or a file that the last record of the part before it carries. */
export function partName(store: string, number: number, ending: "jsonl" | "bin"): string {
  return `${store}/${String(number).padStart(8, "0")}.${ending}`;
}

/** A fault of the archive, in words for whoever brings it. */
export function badArchive(detail: string, cause?: unknown): Fault {
  return new Fault("invalid_archive", detail, { public: { detail }, cause });
}
