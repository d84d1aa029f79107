/** Everything but ASCII and the letters, marks and numbers of all scripts: typographic quotes, dashes, symbols. */
const FOREIGN_SIGNS = /[^\p{ASCII}\p{L}\p{M}\p{N}]+/gu;

/**
 * The text as full-text search reads it: compatibility forms folded (NFKC), lower case, signs beyond ASCII as spaces. Whether a database
 * takes those for a part of a word, and which letters it can lower, depends on its locale: this way all databases find the same words.
 */
export function plainText(text: string): string {
  return text.normalize("NFKC").toLowerCase().replace(FOREIGN_SIGNS, " ");
}
