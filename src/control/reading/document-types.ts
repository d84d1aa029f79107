import { Fault } from "../../kernel/index.ts";

/** What a document may be uploaded as. */
export const DOCUMENT_TYPES = ["text/plain", "text/markdown", "text/html", "application/pdf"] as const;
export type DocumentType = (typeof DOCUMENT_TYPES)[number];

/** What an upload says that it is. */
export interface ContentType {
  readonly type: DocumentType;
  /** Of text: as it was said, utf-8 unless it was. */
  readonly charset: string;
}

/** What was read out of an upload. */
export interface ReadDocument {
  /** What the document calls itself. */
  readonly title: string | undefined;
  readonly text: string;
}

/** The type that a Content-Type names. Throws `unsupported_media_type` for every other. */
export function parseContentType(header: string | undefined): ContentType {
  const [media = "", ...parameters] = (header ?? "").split(";").map((part) => part.trim());
  const type = DOCUMENT_TYPES.find((known) => known === media.toLowerCase());
  if (type === undefined) throw unsupported(`Send ${DOCUMENT_TYPES.join(", ")}, and say so in Content-Type.`);
  const named = parameters.map((parameter) => /^charset="?([^"]*)"?$/i.exec(parameter)?.[1]).find((value) => value !== undefined);
  return { type, charset: named ?? "utf-8" };
}

/** The characters of a text. Throws `unsupported_media_type` for a charset that nobody knows, `malformed_request` for bytes that are not of it. */
export function decodeText(bytes: Uint8Array, charset: string): string {
  const decoder = decoderOf(charset);
  try {
    return decoder.decode(bytes);
  } catch {
    throw unreadable(`The bytes are not ${decoder.encoding}.`);
  }
}

function decoderOf(charset: string) {
  try {
    return new TextDecoder(charset, { fatal: true });
  } catch {
    throw unsupported("The charset of Content-Type is not known.");
  }
}

/** The refusal of an upload that cannot be read, with the reason. */
export function unreadable(detail: string): Fault {
  return new Fault("malformed_request", detail, { public: { detail } });
}

function unsupported(detail: string): Fault {
  return new Fault("unsupported_media_type", detail, { public: { detail } });
}
