import { parse } from "yaml";
import { Fault, parseJson, toFault } from "../../kernel/index.ts";

/** How a document is written. */
export type TextFormat = "yaml" | "json";

/** Bytes of one document, and how deep it may be nested. */
const DOCUMENT_BOUNDS = { bytesMax: 32 * 1024 * 1024, depthMax: 64 } as const;
const ALIASES_MAX = 1_000;
/** A document of the dialect ends with it; a file without it may be half written. */
const END_MARK = /(?:^|\n)#END\s*$/;
const VARIABLE = /\$\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?::=([^}]*))?\}\}/g;

/**
 * The value that a document's text says, after `${{NAME}}` and `${{NAME:=value}}` are replaced. A duplicate key is an error in both formats.
 * Throws `invalid_settings` with the place: also for a variable that is not set and has no value of its own.
 */
export function readGatewayText(text: string, format: TextFormat, variable: (name: string) => string | undefined): unknown {
  if (Buffer.byteLength(text) > DOCUMENT_BOUNDS.bytesMax) throw invalid(`a document has at most ${DOCUMENT_BOUNDS.bytesMax} bytes`);
  const filled = fillIn(text, variable);
  try {
    if (format === "json") return parseJson(Buffer.from(filled.replace(END_MARK, "")), DOCUMENT_BOUNDS);
    return parse(filled, { strict: true, uniqueKeys: true, maxAliasCount: ALIASES_MAX }) as unknown; // the reader gives any
  } catch (cause) {
    const fault = toFault(cause);
    throw invalid(fault.public.detail ?? fault.message, cause);
  }
}

function fillIn(text: string, variable: (name: string) => string | undefined): string {
  return text.replaceAll(VARIABLE, (_whole, name: string, fallback: string | undefined) => {
    const value = variable(name) ?? fallback?.trim();
    if (value === undefined) throw invalid(`the variable ${name} is not set`);
    return value;
  });
}

function invalid(detail: string, cause?: unknown): Fault {
  return new Fault("invalid_settings", detail, { public: { detail }, ...(cause !== undefined && { cause }) });
}
