import { Fault } from "../../kernel/index.ts";
import type { DocumentText } from "./document-text.ts";
import { fitStored, type FitOptions, type FittedDocument, type StoredObject } from "./fit-stored.ts";
import { readGatewayText } from "./read-text.ts";
import { isRecord } from "./schema/compiler.ts";
import { mergeDocuments, type SourceDocument, type SourceObject, splitDocument } from "./source-document.ts";

/** What a document and stored objects come to, without the document itself. */
export type DocumentVerdict = Omit<FittedDocument, "document">;

/** All that takes long where a document is large. It holds up whoever calls it: see `DocumentReader`. */
export class DocumentWork {
  readonly #options: FitOptions;
  /** The text that was parsed last: changes of stored objects come again and again over the same one. */
  #last: { readonly id: number; readonly document: SourceDocument } | undefined;
  /** What was checked last and not served yet: a change is checked before it is stored, and served after it. */
  #checked: { readonly key: string; readonly fitted: FittedDocument } | undefined;

  constructor(options: FitOptions) {
    this.#options = options;
  }

  /** The document of the text with the stored objects that fit. Throws `invalid_settings` for what is wrong with the text. */
  fit(text: DocumentText | undefined, stored: readonly StoredObject[]): FittedDocument {
    return this.#fit(text, stored, this.#checked && keyOf(text, stored));
  }

  /** The same without the document. */
  check(text: DocumentText | undefined, stored: readonly StoredObject[]): DocumentVerdict {
    const key = keyOf(text, stored);
    const fitted = this.#fit(text, stored, key);
    this.#checked = { key, fitted };
    const { document: _, ...verdict } = fitted;
    return verdict;
  }

  /** Both together as they are written, as JSON. */
  source(text: DocumentText | undefined, stored: readonly StoredObject[]): Uint8Array<ArrayBuffer> {
    return new TextEncoder().encode(JSON.stringify(mergeDocuments(this.#parse(text), stored).document));
  }

  /** The objects that the text is made of. Throws `invalid_settings` for a part that no object can be made of. */
  objects(text: DocumentText): readonly SourceObject[] {
    const document = parse(text, this.#options);
    const objects = splitDocument(document);
    assertParts(document, objects);
    return objects;
  }

  /** What was checked under this key, or is fitted now; what was checked is given once. */
  #fit(text: DocumentText | undefined, stored: readonly StoredObject[], key: string | undefined): FittedDocument {
    const checked = this.#checked;
    this.#checked = undefined;
    return checked && checked.key === key ? checked.fitted : fitStored(this.#parse(text), stored, this.#options);
  }

  #parse(text: DocumentText | undefined): SourceDocument {
    if (!text) return {};
    if (this.#last?.id !== text.id) this.#last = { id: text.id, document: parse(text, this.#options) };
    return this.#last.document;
  }
}

function keyOf(text: DocumentText | undefined, stored: readonly StoredObject[]): string {
  return JSON.stringify([text?.id ?? null, stored.map(({ kind, id, value, unreadable }) => [kind, id, value, unreadable === true])]);
}

function parse({ bytes, format, trusted }: DocumentText, { variable }: FitOptions): SourceDocument {
  const known = trusted && variable ? variable : () => undefined;
  const value = readGatewayText(Buffer.from(bytes.buffer).toString("utf8"), format, known) ?? {};
  if (isRecord(value)) return value;
  throw invalid("invalid configuration: the gateway document must be a mapping");
}

/** What the parts of a document cannot keep must not be lost without a word. */
function assertParts(document: SourceDocument, objects: readonly SourceObject[]): void {
  const kinds = new Set(objects.map(({ kind }) => kind));
  const unknown = Object.keys(document).find((name) => !name.endsWith("_conf_version") && !isEmpty(document[name]) && !kinds.has(name));
  if (unknown !== undefined) throw invalid(`${unknown} is no part of a document`);
  const names = new Set<string>();
  const twice = objects.find(({ kind, id }) => names.size === names.add(JSON.stringify([kind, id])).size);
  if (twice) throw invalid(`${twice.kind} ${twice.id} is there twice`);
}

function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

function invalid(detail: string): Fault {
  return new Fault("invalid_settings", detail, { public: { detail } });
}
