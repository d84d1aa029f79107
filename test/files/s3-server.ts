import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { assertSigned, type SigningIdentity } from "../support/sigv4.ts";
import { startStub, type StubServer, withParts } from "../support/stub-server.ts";

export const S3_IDENTITY: SigningIdentity = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  region: "eu-central-1",
  service: "s3",
};

/** The least that S3 takes as a part that is not the last. */
const PART_BYTES_MIN = 5 * 1024 * 1024;

interface Upload {
  readonly key: string;
  readonly parts: Map<number, Buffer>;
}

interface Bucket {
  readonly objects: Map<string, Buffer>;
  readonly uploads: Map<string, Upload>;
}

/** A stub of S3 with buckets in the path: every request has to be signed; it keeps to what S3 documents, in pages of at most `pageMax`. */
export interface S3Server extends StubServer {
  readonly buckets: Map<string, Bucket>;
  /** Called with each request that is well formed; what it returns true for is answered with 503. */
  busy: (request: IncomingMessage) => boolean;
  pageMax: number;
}

/** Starts one with this bucket. */
export async function startS3(bucket: string): Promise<S3Server> {
  const buckets = new Map<string, Bucket>([[bucket, { objects: new Map(), uploads: new Map() }]]);
  const state = { busy: (_request: IncomingMessage): boolean => false, pageMax: 3 };
  const stub = await startStub((request, body, response) => {
    assertSigned(request, body, S3_IDENTITY);
    if (state.busy(request)) return void response.writeHead(503).end("<Error><Code>SlowDown</Code></Error>");
    const url = new URL(request.url ?? "", "http://stub");
    const [, name = "", ...rest] = url.pathname.split("/");
    const key = rest.map(decodeURIComponent).join("/");
    answer({ request, body, response, buckets, bucket: decodeURIComponent(name), key, query: url.searchParams, pageMax: state.pageMax });
  });
  return Object.defineProperties(withParts(stub, { buckets }), Object.getOwnPropertyDescriptors(stateOf(state))) as S3Server; // all its parts
}

function stateOf(state: Pick<S3Server, "busy" | "pageMax">): Pick<S3Server, "busy" | "pageMax"> {
  return {
    get busy() {
      return state.busy;
    },
    set busy(value) {
      state.busy = value;
    },
    get pageMax() {
      return state.pageMax;
    },
    set pageMax(value) {
      state.pageMax = value;
    },
  };
}

interface S3Call {
  readonly request: IncomingMessage;
  readonly body: Buffer;
  readonly response: ServerResponse;
  readonly buckets: Map<string, Bucket>;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly pageMax: number;
}

function answer(call: S3Call): void {
  const { request, response, buckets, bucket: name, key } = call;
  const bucket = buckets.get(name);
  if (key === "" && request.method === "PUT") return createBucket(call);
  if (!bucket) return refuse(response, 404, "NoSuchBucket");
  if (key === "" && request.method === "DELETE") {
    if (bucket.objects.size > 0 || bucket.uploads.size > 0) return refuse(response, 409, "BucketNotEmpty");
    buckets.delete(name);
    return void response.writeHead(204).end();
  }
  if (key === "") return list(call, bucket);
  if (request.method === "GET") return get(call, bucket);
  if (request.method === "PUT") return put(call, bucket);
  if (request.method === "DELETE") return remove(call, bucket);
  assert.equal(request.method, "POST");
  return call.query.has("uploads") ? begin(call, bucket) : complete(call, bucket);
}

function createBucket({ response, buckets, bucket, body }: S3Call): void {
  assert.match(bucket, /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "no name of a bucket");
  assert.match(body.toString(), /<LocationConstraint>eu-central-1<\/LocationConstraint>/);
  if (buckets.has(bucket)) return refuse(response, 409, "BucketAlreadyOwnedByYou");
  buckets.set(bucket, { objects: new Map(), uploads: new Map() });
  response.writeHead(200).end();
}

function list({ response, query, pageMax }: S3Call, { objects, uploads }: Bucket): void {
  const prefix = query.get("prefix") ?? "";
  assert.notEqual(prefix, "", "a listing of everything");
  if (query.has("uploads")) {
    const found = [...uploads].filter(([, { key }]) => key.startsWith(prefix)).slice(0, pageMax);
    const elements = found.map(([id, { key }]) => `<Upload><Key>${escape(key)}</Key><UploadId>${escape(id)}</UploadId></Upload>`);
    return void response.writeHead(200).end(`<ListMultipartUploadsResult>${elements.join("")}</ListMultipartUploadsResult>`);
  }
  assert.equal(query.get("list-type"), "2");
  const after = query.get("start-after") ?? "";
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).toSorted();
  const elements = keys
    .slice(0, pageMax)
    .map((key) => `<Contents><Key>${escape(key)}</Key><Size>${objects.get(key)?.length}</Size></Contents>`);
  response
    .writeHead(200)
    .end(`<ListBucketResult>${elements.join("")}<IsTruncated>${keys.length > pageMax}</IsTruncated></ListBucketResult>`);
}

function get({ request, response, key }: S3Call, { objects }: Bucket): void {
  const object = objects.get(key);
  if (!object) return refuse(response, 404, "NoSuchKey");
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  assert.ok(from !== undefined && to !== undefined, "a whole object is asked for");
  if (Number(from) >= object.length) return refuse(response, 416, "InvalidRange");
  response.writeHead(206).end(object.subarray(Number(from), Number(to) + 1));
}

function put({ response, key, query, body }: S3Call, { objects, uploads }: Bucket): void {
  const id = query.get("uploadId");
  if (id === null) {
    assert.ok(!objects.has(key), "an object is written twice");
    objects.set(key, body);
    return void response.writeHead(200, { etag: tagOf(body) }).end();
  }
  const upload = uploads.get(id);
  if (!upload || upload.key !== key) return refuse(response, 404, "NoSuchUpload");
  upload.parts.set(Number(query.get("partNumber")), body);
  response.writeHead(200, { etag: tagOf(body) }).end();
}

function begin({ response, key }: S3Call, { uploads }: Bucket): void {
  const id = `${randomBytes(8).toString("hex")}~&`;
  uploads.set(id, { key, parts: new Map() });
  response.writeHead(200).end(`<InitiateMultipartUploadResult><UploadId>${escape(id)}</UploadId></InitiateMultipartUploadResult>`);
}

function complete({ response, key, query, body }: S3Call, { objects, uploads }: Bucket): void {
  const id = query.get("uploadId") ?? "";
  const upload = uploads.get(id);
  if (!upload || upload.key !== key) return refuse(response, 404, "NoSuchUpload");
  const named = [...body.toString().matchAll(/<Part><PartNumber>(\d+)<\/PartNumber><ETag>("[0-9a-f]+")<\/ETag><\/Part>/g)];
  const parts = named.map(([, number, tag], at) => {
    assert.equal(Number(number), at + 1);
    const part = upload.parts.get(at + 1) ?? assert.fail("a part that was not sent");
    assert.equal(tag, tagOf(part));
    assert.ok(part.length >= PART_BYTES_MIN || at === named.length - 1, "a part is too small");
    return part;
  });
  assert.equal(parts.length, upload.parts.size);
  objects.set(key, Buffer.concat(parts));
  uploads.delete(id);
  response.writeHead(200).end(`<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>`);
}

function remove({ response, key, query }: S3Call, { objects, uploads }: Bucket): void {
  const id = query.get("uploadId");
  if (id === null) objects.delete(key);
  else uploads.delete(id);
  response.writeHead(204).end();
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status).end(`<Error><Code>${code}</Code><Message>no</Message></Error>`);
}

function tagOf(body: Buffer): string {
  return `"${createHash("md5").update(body).digest("hex")}"`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
