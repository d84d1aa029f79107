import type { TenantContext } from "../../kernel/index.ts";
import type { Citation } from "../message.ts";
import { cutText, toOneLine } from "./sentences.ts";

/** A piece of one of the tenant's documents that a search found. */
export type Passage = Citation;

/** Searches the documents of the context's tenant and of no other; the best passage first. */
export type SearchPassages = (context: TenantContext, query: string, limit: number) => Promise<readonly Passage[]>;

/** Characters of one passage that are read. */
const PASSAGE_CHARACTERS_MAX = 8_000;
/** Characters of a title in the list of sources. */
const TITLE_CHARACTERS_MAX = 200;

/** What is told of a passage. Field by field: a search may carry more with it than a caller should see. */
export function toCitation({ documentId, title, text, score }: Passage): Citation {
  const line = cutText(toOneLine(title), TITLE_CHARACTERS_MAX);
  return { documentId, title: line || documentId, text: cutText(text, PASSAGE_CHARACTERS_MAX), score };
}
