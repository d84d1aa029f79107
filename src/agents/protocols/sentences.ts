/** Characters of one quoted sentence; a longer one is cut at a word. */
const SENTENCE_CHARACTERS_MAX = 400;

/** Reads sentences out of a text. */
export type SentenceReader = (text: string) => string[];

/**
 * A reader of the sentences of a text in their order (Unicode UAX 29), each on one line. A line that ends in the middle of a sentence
 * goes on in the next one; otherwise the end of a line ends a sentence, as in headings and lists. A question keeps the sentence behind
 * it: there stands its answer.
 */
export function createSentenceReader(locale: string): SentenceReader {
  const segmenter = new Intl.Segmenter(locale, { granularity: "sentence" });
  return (text) => {
    // a line that begins in lower case continues the one before: text wrapped by hand
    const unwrapped = text.replace(/\r?\n[ \t]{0,16}(?=\p{Ll})/gu, " ");
    const sentences: string[] = [];
    for (const { segment } of segmenter.segment(unwrapped)) {
      const sentence = toOneLine(segment);
      if (!/[\p{L}\p{N}]/u.test(sentence)) continue;
      const before = sentences.at(-1);
      if (before && /[?？]$/.test(before)) sentences[sentences.length - 1] = `${before} ${sentence}`;
      else sentences.push(sentence);
    }
    return sentences.map(shorten);
  };
}

/** The text without line breaks and other runs of white space. */
export function toOneLine(text: string): string {
  return text.replace(/\s+/gu, " ").trim();
}

/** The first characters of a text, not ending in half a character. */
export function cutText(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : text.slice(0, charactersMax).replace(/[\uD800-\uDBFF]$/, "");
}

function shorten(sentence: string): string {
  if (sentence.length <= SENTENCE_CHARACTERS_MAX) return sentence;
  const space = sentence.lastIndexOf(" ", SENTENCE_CHARACTERS_MAX);
  return `${cutText(sentence, space > 0 ? space : SENTENCE_CHARACTERS_MAX)} …`;
}
