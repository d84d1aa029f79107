import { z } from "zod";
import { json, NO_CONTENT, type Operation, streamingTenantOperation, tenantOperation } from "../../../gateway/index.ts";
import { FILE_BYTES_MAX, type FileContent } from "../../../stores/files/index.ts";
import type { Answer, RequestHead } from "../../../wire/index.ts";
import { rangeOf, tagOf } from "./range.ts";

const ACCESS = { role: "member", scope: "documents" } as const;
const PATH = "/files/content";
/** In the query: a name has slashes in it, and a segment of a path has none. */
const query = z.strictObject({ name: z.string().min(1) });

/** The calls on one file: store, read, delete. */
export function fileContent(): readonly Operation[] {
  return [putContent(), readContent(), removeContent()];
}

function putContent(): Operation {
  return streamingTenantOperation(ACCESS, {
    method: "PUT",
    path: PATH,
    summary: "Store a file, or another content for it: the body as it is, of the type that Content-Type says. All of it or nothing.",
    query,
    bytesMax: FILE_BYTES_MAX,
    async run({ query: { name }, body, head, scope, signal }) {
      const contentType = head.headers.one("content-type");
      const options = { signal, ...(contentType !== undefined && contentType !== "" && { contentType }) };
      return json(200, await scope.files.put(name, body, options));
    },
  });
}

function readContent(): Operation {
  return tenantOperation(ACCESS, {
    method: "GET",
    path: PATH,
    summary: "Read a file, or the one range of it that a Range field names. Each piece is checked before it is sent.",
    query,
    async run({ query: { name }, head, scope }) {
      const whole = await scope.files.get(name);
      const tag = tagOf(whole.info);
      if (head.headers.all("if-none-match").some((field) => field.split(",").some((each) => ["*", tag].includes(each.trim())))) {
        return { status: 304, headers: { etag: tag }, body: undefined };
      }
      const part = await partOf(whole, head, (range) => scope.files.get(name, range));
      return answerOf(head.method === "HEAD" ? part : { ...part, content: await begun(part.content) }, name);
    },
  });
}

function removeContent(): Operation {
  return tenantOperation(ACCESS, {
    method: "DELETE",
    path: PATH,
    summary: "Delete a file.",
    query,
    async run({ query: { name }, scope }) {
      await scope.files.delete(name);
      return NO_CONTENT;
    },
  });
}

/** The part that is asked for; the whole file where none is, or where another content has taken its place meanwhile. */
async function partOf(
  whole: FileContent,
  head: RequestHead,
  read: (range: { readonly from: number; readonly to: number }) => Promise<FileContent>,
): Promise<FileContent> {
  const range = rangeOf(head, whole.info);
  const part = range && (await read(range));
  return part?.info.sha256 === whole.info.sha256 ? part : whole;
}

/** The same pieces with the first one read: what cannot be opened is refused, instead of being broken off behind a head that promises it. */
async function begun(content: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const pieces = content[Symbol.asyncIterator]();
  let first: IteratorResult<Uint8Array> | undefined = await pieces.next();
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const read = first ?? (await pieces.next());
        first = undefined;
        return read;
      },
      // also when nobody has asked for a piece: the file is open
      async return() {
        await pieces.return?.();
        return { done: true, value: undefined };
      },
    }),
  };
}

function answerOf({ info, range, content }: FileContent, name: string): Answer {
  const isPart = range.to - range.from < info.bytes;
  const file = encodeURIComponent(name.slice(name.lastIndexOf("/") + 1)).replaceAll(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16)}`,
  );
  return {
    status: isPart ? 206 : 200,
    headers: {
      "content-type": info.contentType,
      // whatever a tenant's user stored: no browser is to run it under this host
      "content-disposition": `attachment; filename*=UTF-8''${file}`,
      "content-security-policy": "sandbox",
      "accept-ranges": "bytes",
      etag: tagOf(info),
      "last-modified": new Date(info.updatedAt).toUTCString(),
      ...(isPart && { "content-range": `bytes ${range.from}-${range.to - 1}/${info.bytes}` }),
    },
    body: content,
    bodyBytes: range.to - range.from,
  };
}
