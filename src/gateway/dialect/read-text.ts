import { isScalar, parseDocument, visit } from "yaml";
import { Fault, parseJson, toFault } from "../../kernel/index.ts";
import { DOCUMENT_BYTES_MAX } from "./document-text.ts";

/** How a document is written. */
export type TextFormat = "yaml" | "json";

const DOCUMENT_BOUNDS = { bytesMax: DOCUMENT_BYTES_MAX, depthMax: 64 } as const;
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
    return readYaml(filled);
  } catch (cause) {
    const fault = toFault(cause);
    throw invalid(fault.public.detail ?? fault.message, cause);
  }
}

/** The reader's own check for equal keys compares each with all before it: 100,000 tenants took minutes. */
function readYaml(text: string): unknown {
  const document = parseDocument(text, { strict: true, uniqueKeys: false });
  const [error] = document.errors;
  if (error) throw error;
  visit(document, {
    Map(_key, map) {
      const keys = new Set<unknown>();
      for (const { key } of map.items) {
        const name = isScalar(key) ? key.value : key;
        if (keys.has(name)) throw new Error(`Map keys must be unique: ${String(name)} is there twice${placeOf(key, text)}`);
        keys.add(name);
      }
    },
  });
  return document.toJS({ maxAliasCount: ALIASES_MAX }) as unknown; // the reader gives any
}

function placeOf(key: unknown, text: string): string {
  const [start] = (isScalar(key) && key.range) || [];
  return start === undefined ? "" : ` at line ${text.slice(0, start).split("\n").length}`;
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
