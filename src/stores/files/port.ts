import type { StoreLifecycle, StorePlaces, StoreUse, TenantContext } from "../../kernel/index.ts";

/** What is known of a file. */
export interface FileInfo {
  readonly name: string;
  readonly bytes: number;
  /** Of the content, in hexadecimal digits. */
  readonly sha256: string;
  readonly contentType: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** How a file is stored. */
export interface PutOptions {
  /** Default: `application/octet-stream`. */
  readonly contentType?: string;
  /** Ends the upload; its reason is what is thrown then. */
  readonly signal?: AbortSignal;
}

/** Bytes of a file from `from` on, and before `to` where that is given. */
export interface ByteRange {
  readonly from: number;
  readonly to?: number;
}

/** A file that is being read. */
export interface FileContent {
  readonly info: FileInfo;
  /** What is given of it. */
  readonly range: { readonly from: number; readonly to: number };
  /**
   * The bytes, once, each piece checked before it is given. Throws `isolation_violation` where they are not what was stored, and
   * `dependency_unavailable` when the file was replaced or deleted meanwhile.
   */
  readonly content: AsyncIterable<Uint8Array>;
}

/** A page of files, in the order of their names. */
export interface FilePage {
  readonly files: readonly FileInfo[];
  /** What `after` is for the next page; absent on the last one. */
  readonly next?: string;
}

/** The files of one tenant. Names that no system could take for another place are all there are; others throw `malformed_request`. */
export interface TenantFiles {
  /**
   * Stores a file, or another content for it: all of it or nothing. Throws `storage_full` when the tenant would have more than its quota, which
   * is counted exactly also when many are stored at once, and `conflict` when another file's name differs in case or form only.
   */
  put(name: string, content: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<FileInfo>;
  /** Throws `not_found`, and `malformed_request` for a range that is none of the file. */
  get(name: string, range?: ByteRange): Promise<FileContent>;
  /** Throws `not_found`. */
  stat(name: string): Promise<FileInfo>;
  /** Files whose names begin with `prefix`, after the name `after`. */
  list(query: { readonly prefix?: string; readonly after?: string; readonly limit: number }): Promise<FilePage>;
  /** Throws `not_found`. */
  delete(name: string): Promise<void>;
  /** What the quota counts. */
  use(): Promise<StoreUse>;
}

/** The files of all tenants. */
export interface FileStore {
  /** The files of the context's tenant. Cheap: may be called once per request. */
  forTenant(context: TenantContext): TenantFiles;
  /** Removes what uploads have left behind that were killed, and what was replaced or deleted. It is also done once a minute. */
  sweep(): Promise<void>;
  readonly lifecycle: StoreLifecycle;
  /** Where tenants' files are, and moving them. */
  readonly places: StorePlaces;
  close(): Promise<void>;
}

/**
 * Keeps sealed objects by tenant and id; an id is written once. It need not be trusted: what it gives is checked. Everything throws
 * `dependency_unavailable` when the place cannot be reached, and writing `storage_full` when it is full.
 */
export interface FileEngine {
  /** Where it is, in a word. */
  readonly place: string;
  provision(tenant: string): Promise<void>;
  /** Resolves when the object would survive a loss of power. What was written before an error stays until it is removed. */
  write(tenant: string, object: string, pieces: AsyncIterable<Uint8Array>): Promise<void>;
  /** `length` bytes from `from` on. */
  read(tenant: string, object: string, from: number, length: number): AsyncIterable<Uint8Array>;
  /** Also what is half written. One that is not there is removed already. */
  remove(tenant: string, object: string): Promise<void>;
  /** What is there of the tenant, half written or not. */
  count(tenant: string): Promise<StoreUse>;
  erase(tenant: string): Promise<void>;
}
