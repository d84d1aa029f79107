import { setTimeout as pause } from "node:timers/promises";
import { Fault, isUuid, toFault } from "../../../kernel/index.ts";
import type { FileEngine } from "../port.ts";
import { fieldOf, fieldsOf } from "./s3-xml.ts";

/** Where the buckets are. */
export interface S3Settings {
  /** `https://s3.<region>.amazonaws.com`, or another address that speaks the same protocol. Buckets are the first part of the path. */
  readonly endpoint: string;
  readonly region: string;
  /** With `{tenant}` in it every tenant has a bucket of its own, named by its internal id, which is made and removed with the tenant. */
  readonly bucket: string;
  /** In front of every object's name. */
  readonly prefix: string;
}

/** One request, as it is to be signed and sent. */
export interface S3Request {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

/** Signs and sends a request, and gives the answer whatever its status. */
export type SendToS3 = (request: S3Request) => Promise<{
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array;
}>;

/** Bytes of one part of an upload; S3 takes no smaller ones but the last. */
const S3_PART_BYTES = 8 * 1024 * 1024;
/** Bytes that one request reads. */
const READ_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 60_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** Waits before a request is sent again, where the service says that it could not, or says nothing. */
const RETRY_MS = [100, 400];
const RETRIED: ReadonlySet<number> = new Set([500, 502, 503, 504]);
const PAGE = 1_000;
const REMOVALS = 16;

/**
 * Objects in a bucket of S3 or of whatever speaks its protocol: one prefix, or one bucket, for each tenant. Every request is signed with the digest
 * of its body, so that what arrives is what was sent.
 */
export function createS3Engine(settings: S3Settings, send: SendToS3): FileEngine {
  return new S3Engine(settings, send);
}

interface Call extends Pick<S3Request, "method"> {
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  readonly bytesMax?: number;
  /** What is no failure. */
  readonly expected: readonly number[];
}

class S3Engine implements FileEngine {
  readonly place = "bucket of files";
  readonly #settings: S3Settings;
  readonly #send: SendToS3;

  constructor(settings: S3Settings, send: SendToS3) {
    this.#settings = settings;
    this.#send = send;
  }

  get #isOwnBucket(): boolean {
    return this.#settings.bucket.includes("{tenant}");
  }

  async provision(tenant: string): Promise<void> {
    if (!this.#isOwnBucket) return;
    const { region } = this.#settings;
    const place = `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`;
    const answer = await this.#call(tenant, {
      method: "PUT",
      ...(region !== "us-east-1" && { body: place, headers: { "content-type": "application/xml" } }), // the one region that may not be named
      expected: [200, 409],
    });
    if (answer.status === 409 && fieldOf(answer.text, "Code") !== "BucketAlreadyOwnedByYou") {
      throw new Fault("dependency_unavailable", "the tenant's bucket belongs to somebody else");
    }
  }

  async write(tenant: string, object: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const key = this.#keyOf(tenant, object);
    let upload: string | undefined;
    const tags: string[] = [];
    for await (const { part, isLast } of partsOf(pieces)) {
      if (isLast && upload === undefined) return await this.#putWhole(tenant, key, part);
      upload ??= await this.#begin(tenant, key);
      tags.push(await this.#putPart(tenant, key, { upload, number: tags.length + 1, part }));
    }
    if (upload !== undefined) await this.#complete(tenant, key, upload, tags);
  }

  async *read(tenant: string, object: string, from: number, length: number): AsyncGenerator<Uint8Array> {
    const key = this.#keyOf(tenant, object);
    for (let at = from; at < from + length; at += READ_BYTES) {
      const size = Math.min(READ_BYTES, from + length - at);
      const headers = { range: `bytes=${at}-${at + size - 1}` };
      const { status, body } = await this.#call(tenant, { method: "GET", key, headers, bytesMax: size, expected: [206, 404, 416] });
      if (status !== 206) throw new Fault("dependency_unavailable", `an object is not there any more, or not all of it: ${status}`);
      yield body;
    }
  }

  async remove(tenant: string, object: string): Promise<void> {
    const key = this.#keyOf(tenant, object);
    await this.#abort(tenant, key);
    await this.#call(tenant, { method: "DELETE", key, expected: [200, 204, 404] });
  }

  async count(tenant: string) {
    let [items, bytes] = [0, 0];
    for await (const page of this.#pages(tenant)) {
      items += page.length;
      for (const each of page) bytes += each.bytes;
    }
    return { items: items + (await this.#uploads(tenant, this.#prefixOf(tenant))).length, bytes };
  }

  async erase(tenant: string): Promise<void> {
    await this.#abort(tenant, this.#prefixOf(tenant));
    for await (const page of this.#pages(tenant)) {
      for (let at = 0; at < page.length; at += REMOVALS) {
        const some = page.slice(at, at + REMOVALS);
        await Promise.all(some.map(({ key }) => this.#call(tenant, { method: "DELETE", key, expected: [200, 204, 404] })));
      }
    }
    if (this.#isOwnBucket) await this.#call(tenant, { method: "DELETE", expected: [200, 204, 404] });
  }

  async #putWhole(tenant: string, key: string, body: Uint8Array): Promise<void> {
    await this.#call(tenant, { method: "PUT", key, body, headers: { "content-type": "application/octet-stream" }, expected: [200] });
  }

  async #begin(tenant: string, key: string): Promise<string> {
    const headers = { "content-type": "application/octet-stream" };
    const { text } = await this.#call(tenant, { method: "POST", key, query: { uploads: "" }, headers, expected: [200] });
    return fieldOf(text, "UploadId") ?? lacking("UploadId");
  }

  async #putPart(
    tenant: string,
    key: string,
    { upload, number, part }: { upload: string; number: number; part: Uint8Array },
  ): Promise<string> {
    const query = { partNumber: String(number), uploadId: upload };
    const headers = { "content-type": "application/octet-stream" };
    const answer = await this.#call(tenant, { method: "PUT", key, query, headers, body: part, expected: [200] });
    const tag = answer.headers["etag"];
    return typeof tag === "string" && /^"?[\w-]+"?$/.test(tag) ? tag.replaceAll('"', "") : lacking("ETag");
  }

  async #complete(tenant: string, key: string, upload: string, tags: readonly string[]): Promise<void> {
    const parts = tags.map((tag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>"${tag}"</ETag></Part>`);
    const body = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join("")}</CompleteMultipartUpload>`;
    const headers = { "content-type": "application/xml" };
    const { text } = await this.#call(tenant, { method: "POST", key, query: { uploadId: upload }, headers, body, expected: [200] });
    // S3 says 200 before it knows
    if (fieldOf(text, "ETag") === undefined)
      throw new Fault("dependency_unavailable", `S3 did not complete an upload: ${fieldOf(text, "Code")}`);
  }

  /** Ends uploads under way whose keys begin so, with what they have stored. */
  async #abort(tenant: string, prefix: string): Promise<void> {
    for (;;) {
      const uploads = await this.#uploads(tenant, prefix);
      if (uploads.length === 0) return;
      for (const { key, uploadId } of uploads)
        await this.#call(tenant, { method: "DELETE", key, query: { uploadId }, expected: [204, 404] });
    }
  }

  /** The first of the uploads under way whose keys begin so. */
  async #uploads(tenant: string, prefix: string): Promise<readonly { readonly key: string; readonly uploadId: string }[]> {
    const query = { "max-uploads": String(PAGE), prefix, uploads: "" };
    const { status, text } = await this.#call(tenant, { method: "GET", query, expected: [200, 404] });
    if (status === 404) return []; // the tenant's own bucket is not there
    return fieldsOf(text, "Upload").map((upload) => ({
      key: this.#owned(fieldOf(upload, "Key"), prefix),
      uploadId: fieldOf(upload, "UploadId") ?? lacking("UploadId"),
    }));
  }

  async *#pages(tenant: string): AsyncGenerator<readonly { readonly key: string; readonly bytes: number }[]> {
    const prefix = this.#prefixOf(tenant);
    let after = "";
    for (;;) {
      const query = { "list-type": "2", "max-keys": String(PAGE), prefix, ...(after !== "" && { "start-after": after }) };
      const { status, text } = await this.#call(tenant, { method: "GET", query, expected: [200, 404] });
      if (status === 404) return;
      const page = fieldsOf(text, "Contents").map((each) => ({
        key: this.#owned(fieldOf(each, "Key"), prefix),
        bytes: Number(fieldOf(each, "Size") ?? 0),
      }));
      const last = page.at(-1);
      if (!last) return;
      yield page;
      after = last.key;
    }
  }

  /** What a listing names is removed next, so it has to be the tenant's. */
  #owned(key: string | undefined, prefix: string): string {
    if (key?.startsWith(prefix) === true) return key;
    throw new Fault("isolation_violation", "S3 listed an object outside the tenant's prefix");
  }

  #prefixOf(tenant: string): string {
    return `${this.#settings.prefix}${idOf(tenant)}/`;
  }

  #keyOf(tenant: string, object: string): string {
    return `${this.#prefixOf(tenant)}${idOf(object)}`;
  }

  async #call(tenant: string, { method, key, query = {}, headers = {}, body, bytesMax = ANSWER_BYTES_MAX, expected }: Call) {
    const { endpoint, bucket } = this.#settings;
    const path = [bucket.replaceAll("{tenant}", idOf(tenant)), ...(key?.split("/") ?? [])].map(encodeURIComponent).join("/");
    const pairs = Object.entries(query).map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    const url = `${endpoint}/${path}${pairs.length > 0 ? `?${pairs.join("&")}` : ""}`;
    const request = { method, url, headers, timeoutMs: TIMEOUT_MS, bytesMax, ...(body !== undefined && { body }) };
    const answer = await this.#retried(request);
    const text = Buffer.from(answer.body).toString("utf8");
    if (expected.includes(answer.status)) return { ...answer, text };
    const code = fieldOf(text, "Code") ?? "";
    throw new Fault("dependency_unavailable", `S3 answered ${answer.status} ${code} to ${method}`.trim(), {
      public: { detail: "The store of files does not answer as it should.", retryAfterMs: 1_000 },
    });
  }

  async #retried(request: S3Request): ReturnType<SendToS3> {
    for (const waitMs of RETRY_MS) {
      const answer = await this.#send(request).catch(() => undefined);
      if (answer && !RETRIED.has(answer.status)) return answer;
      await pause(waitMs);
    }
    return await this.#send(request).catch((cause: unknown) => {
      const detail = "The store of files cannot be reached.";
      throw new Fault("dependency_unavailable", `S3: ${toFault(cause).message}`, { cause, public: { detail, retryAfterMs: 1_000 } });
    });
  }
}

/** The bytes in parts of the size that S3 wants, the last one marked. */
async function* partsOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<{ readonly part: Buffer; readonly isLast: boolean }> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    if (bytes >= S3_PART_BYTES) {
      yield { part: Buffer.concat(held), isLast: false };
      [held, bytes] = [[], 0];
    }
    held.push(piece);
    bytes += piece.length;
  }
  yield { part: Buffer.concat(held), isLast: true };
}

function idOf(text: string): string {
  if (!isUuid(text)) throw new Fault("internal", "a key is made of something that is no id");
  return text;
}

function lacking(field: string): never {
  throw new Fault("dependency_unavailable", `the answer of S3 has no ${field}`);
}
