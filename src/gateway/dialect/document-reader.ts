import type { Plugin, Profile } from "../proxy/plugin.ts";
import type { DocumentText } from "./document-text.ts";
import { DocumentThread } from "./document-thread.ts";
import { type DocumentVerdict, DocumentWork } from "./document-work.ts";
import type { FittedDocument, StoredObject } from "./fit-stored.ts";
import type { SourceObject } from "./source-document.ts";

/** What documents are read with. */
export interface ReaderOptions {
  readonly profile: Profile;
  /** The built-in ones: those are what the thread has. */
  readonly plugins: readonly Plugin[];
  readonly variable: (name: string) => string | undefined;
  readonly storedVariable: (name: string) => string | undefined;
}

/** Reads documents of any size without holding up the event loop for longer than a small one takes. */
export interface DocumentReader {
  /** The document of the text with the stored objects that fit. Throws `invalid_settings` for what is wrong with the text. */
  fit(text: DocumentText | undefined, stored: readonly StoredObject[]): Promise<FittedDocument>;
  /** The same without the document. */
  check(text: DocumentText | undefined, stored: readonly StoredObject[]): Promise<DocumentVerdict>;
  /** Both together as they are written, as JSON. */
  source(text: DocumentText | undefined, stored: readonly StoredObject[]): Promise<Uint8Array>;
  /** The objects that the text is made of. Throws `invalid_settings` for a part that no object can be made of. */
  objects(text: DocumentText): Promise<readonly SourceObject[]>;
  close(): Promise<void>;
}

/** What is read in place: some ten milliseconds of work. For more a thread of its own is started, and kept. */
const IN_PLACE = { bytesMax: 8 * 1024, objectsMax: 50 } as const;

/** A reader for one configuration. */
export function createDocumentReader(options: ReaderOptions): DocumentReader {
  const inPlace = new DocumentWork(options);
  const thread = new DocumentThread(options);
  const isSmall = (text: DocumentText | undefined, stored: readonly StoredObject[]): boolean =>
    (text?.bytes.length ?? 0) <= IN_PLACE.bytesMax && stored.length <= IN_PLACE.objectsMax;
  return {
    fit: async (text, stored) => (isSmall(text, stored) ? inPlace.fit(text, stored) : await thread.fit(text, stored)),
    check: async (text, stored) => (isSmall(text, stored) ? inPlace.check(text, stored) : await thread.check(text, stored)),
    source: async (text, stored) => (isSmall(text, stored) ? inPlace.source(text, stored) : await thread.source(text, stored)),
    objects: async (text) => (isSmall(text, []) ? inPlace.objects(text) : await thread.objects(text)),
    close: () => thread.close(),
  };
}
