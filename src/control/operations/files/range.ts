import { Fault } from "../../../kernel/index.ts";
import type { FileInfo } from "../../../stores/files/index.ts";
import type { RequestHead } from "../../../wire/index.ts";

/** The entity tag of a content: equal for equal contents alone. */
export function tagOf({ sha256 }: Pick<FileInfo, "sha256">): string {
  return `"${sha256}"`;
}

/**
 * The one range of bytes that is asked for (RFC 9110, 14.2); nothing where the whole is: no range, several, one that is none, or one of
 * another content (`If-Range`). Throws `range_not_satisfiable` where the file has no byte of it.
 */
export function rangeOf(
  { headers }: Pick<RequestHead, "headers">,
  info: Pick<FileInfo, "sha256" | "bytes">,
): { readonly from: number; readonly to: number } | undefined {
  const condition = headers.one("if-range");
  if (condition !== undefined && condition !== tagOf(info)) return undefined;
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.all("range").join(",")) ?? [];
  if (first === "" && last === "") return undefined;
  const { bytes } = info;
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  const from = first === "" ? Math.max(0, bytes - Number(last)) : Number(first);
  const to = first === "" || last === "" ? bytes : Math.min(bytes, Number(last) + 1);
  if (from < to) return { from, to };
  const detail = `The file has ${bytes} bytes.`;
  throw new Fault("range_not_satisfiable", detail, { public: { detail, headers: { "content-range": `bytes */${bytes}` } } });
}
