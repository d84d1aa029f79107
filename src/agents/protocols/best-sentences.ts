import type { Citation } from "../message.ts";
import { createSentenceReader } from "./sentences.ts";
import { createWordReader, isSlip, type Word, type WordReader } from "./words.ts";

/** Sentences of one answer. */
const SENTENCES_MAX = 3;
/** Words of a question that count. */
const TERMS_MAX = 32;
/** What a word is worth that an earlier chosen sentence has already. */
const REPEATED_WORTH = 0.25;
/** A further sentence must be worth this part of the first one; less is noise. */
const WORTH_MIN = 0.35;
/** Two sentences with this share of words in common say the same. */
const SAME_SHARE = 0.8;
/** Words that a line without a full stop needs besides the question's own: with fewer it is a heading, which answers nothing. */
const NEWS_WORDS = 3;

/** A sentence and the passage it stands in. */
export interface Quote {
  readonly sentence: string;
  readonly passage: Citation;
}

interface Candidate extends Quote {
  readonly stems: ReadonlySet<string>;
  /** Terms of the question that the sentence has. */
  readonly terms: ReadonlySet<string>;
  /** Order of reading: by passage, best first, then by place. */
  readonly order: number;
}

/**
 * The sentences that have most of the question's words, rare words counting more, none saying the same as another; in the order of
 * reading. Empty when no sentence has any of the words. Of equal ones the first stays, so nothing is left to chance.
 */
export function bestSentences(question: string, passages: readonly Citation[], locale: string): Quote[] {
  const readWords = createWordReader(locale);
  const vocabulary = new Map<string, string>();
  const candidates = candidatesOf(passages, locale, (text) => {
    const words = readWords(text);
    for (const word of words) vocabulary.set(word.text, word.stem);
    return words;
  });
  const terms = termsOf(readWords(question)).map((term) => spellingsOf(term, vocabulary));
  const matching = candidates.map((candidate) => withTerms(candidate, terms)).filter((candidate) => candidate.terms.size > 0);
  const chosen = choose(matching, weightsOf(matching));
  return chosen.toSorted((a, b) => a.order - b.order);
}

function candidatesOf(passages: readonly Citation[], locale: string, readWords: WordReader): Candidate[] {
  const readSentences = createSentenceReader(locale);
  const quotes = passages.flatMap((passage) => readSentences(passage.text).map((sentence) => ({ sentence, passage })));
  return quotes.map((quote, order) => {
    const stems = new Set(readWords(quote.sentence).map(({ stem }) => stem));
    return { ...quote, stems, terms: new Set(), order };
  });
}

/** The first words of the question, each once. */
function termsOf(words: readonly Word[]): Word[] {
  return [...new Map(words.map((word) => [word.stem, word])).values()].slice(0, TERMS_MAX);
}

/** The stems by which the documents know a word: its own when it is there, else those of the words that are one slip away. */
function spellingsOf({ text, stem }: Word, vocabulary: ReadonlyMap<string, string>): readonly string[] {
  const stems = new Set(vocabulary.values());
  if (stems.has(stem)) return [stem];
  return [...new Set([...vocabulary].filter(([word]) => isSlip(text, word)).map(([, known]) => known))];
}

function withTerms(candidate: Candidate, terms: readonly (readonly string[])[]): Candidate {
  const found = terms.filter((spellings) => spellings.some((stem) => candidate.stems.has(stem))).map((spellings) => spellings.join(" "));
  return { ...candidate, terms: new Set(found) };
}

/** A word that few sentences have tells more (inverse document frequency). */
function weightsOf(candidates: readonly Candidate[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { terms } of candidates) for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1);
  return new Map([...counts].map(([term, count]) => [term, Math.log(1 + candidates.length / count)]));
}

function choose(candidates: readonly Candidate[], weights: ReadonlyMap<string, number>): Candidate[] {
  const chosen: Candidate[] = [];
  const covered = new Set<string>();
  let worthMin = 0;
  while (chosen.length < SENTENCES_MAX) {
    const open = candidates.filter((candidate) => !chosen.some((earlier) => saysTheSame(candidate, earlier)));
    const [best, worth] = mostWorth(open, weights, covered);
    if (!best || worth < worthMin) break;
    chosen.push(best);
    for (const term of best.terms) covered.add(term);
    worthMin = Math.max(worthMin, worth * WORTH_MIN);
  }
  return chosen;
}

function mostWorth(
  candidates: readonly Candidate[],
  weights: ReadonlyMap<string, number>,
  covered: ReadonlySet<string>,
): [best: Candidate | undefined, worth: number] {
  let best: Candidate | undefined;
  let most = 0;
  for (const candidate of candidates) {
    const worth = worthOf(candidate, weights, covered);
    // strictly more: of equals the first stays, which is the one from the better passage
    if (worth > most) [best, most] = [candidate, worth];
  }
  return [best, most];
}

function worthOf({ sentence, stems, terms }: Candidate, weights: ReadonlyMap<string, number>, covered: ReadonlySet<string>): number {
  let worth = 0;
  for (const term of terms) worth += (weights.get(term) ?? 0) * (covered.has(term) ? REPEATED_WORTH : 1);
  if (/[.!…。！][\p{P}]*$/u.test(sentence)) return worth;
  const news = stems.size - terms.size;
  return worth * Math.min(1, (1 + news) / (1 + NEWS_WORDS));
}

function saysTheSame(a: Candidate, b: Candidate): boolean {
  const common = [...a.stems].filter((stem) => b.stems.has(stem)).length;
  return common / Math.min(a.stems.size, b.stems.size) >= SAME_SHARE;
}
