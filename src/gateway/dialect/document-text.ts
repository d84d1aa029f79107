import { Fault } from "../../kernel/index.ts";
import type { TextFormat } from "./read-text.ts";

/** A document as bytes that every thread sees without copying them. */
export interface DocumentText {
  /** The same for the same text only. */
  readonly id: number;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly format: TextFormat;
  /** Whether `${{NAME}}` in it stands for a variable of this process: only in what is on this machine. */
  readonly trusted: boolean;
}

/** Bytes of one document. */
export const DOCUMENT_BYTES_MAX = 32 * 1024 * 1024;

let made = 0;

/** Takes these bytes as a document. Throws `invalid_settings` when they are too many. */
export function toDocumentText(bytes: Uint8Array, format: TextFormat, { trusted }: { readonly trusted: boolean }): DocumentText {
  if (bytes.length > DOCUMENT_BYTES_MAX) {
    const detail = `a document has at most ${DOCUMENT_BYTES_MAX} bytes`;
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return { id: ++made, bytes: shared, format, trusted };
}
