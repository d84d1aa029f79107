import { Fault } from "../../kernel/index.ts";

/** A piece of a text, exactly as it stands there. */
export interface Passage {
  /** Where it begins, in UTF-16 code units. */
  readonly start: number;
  readonly text: string;
}

/** Bounds of a text and of what it is divided into. */
export const CHUNK_BOUNDS = { textBytesMax: 1024 * 1024, passagesMax: 2_000, passageLengthMax: 1_000 } as const;

/** A passage is at least this long, unless it is the last: with the overlap this keeps the largest text below `passagesMax`. */
const LENGTH_MIN = 700;
/** How much of a passage the next one may say again, so that what stands at a border is found whole in one of the two. */
const OVERLAP_MAX = 120;

const PARAGRAPH = /\n\s*\n/g;
const SENTENCE = /[.!?…][\p{Pe}\p{Pf}"']*\s|[。！？]/gu;
const LINE = /\n/g;
const SPACE = /\s/g;

/**
 * Divides a text into passages of about 700 to 1,000 characters: at the border of a paragraph, else of a sentence, a line, a word; never
 * inside a surrogate pair. Every character that is not white space is in a passage; a passage repeats up to 120 characters of the one before.
 * Throws `body_too_large` over 1 MiB.
 */
export function chunk(text: string): readonly Passage[] {
  const bytes = Buffer.byteLength(text);
  if (bytes > CHUNK_BOUNDS.textBytesMax) {
    throw new Fault("body_too_large", `text of ${bytes} bytes`, { public: { detail: "A text may have 1 MiB." } });
  }
  const passages: Passage[] = [];
  for (let start = 0; start < text.length;) {
    const end = endOf(text, start);
    const passage = text.slice(start, end);
    if (passage.trim() !== "") passages.push({ start, text: passage });
    start = end === text.length ? end : startAfter(text, end);
  }
  if (passages.length > CHUNK_BOUNDS.passagesMax) throw new Fault("body_too_large", `text of ${passages.length} passages`);
  return passages;
}

function endOf(text: string, start: number): number {
  const farthest = start + CHUNK_BOUNDS.passageLengthMax;
  if (farthest >= text.length) return text.length;
  const nearest = start + LENGTH_MIN;
  const window = text.slice(nearest, farthest);
  for (const border of [PARAGRAPH, SENTENCE, LINE, SPACE]) {
    const last = bordersIn(window, border).at(-1);
    if (last !== undefined) return nearest + last;
  }
  return wholeCharacter(text, farthest);
}

function startAfter(text: string, end: number): number {
  const earliest = end - OVERLAP_MAX;
  const window = text.slice(earliest, end);
  for (const border of [SENTENCE, SPACE]) {
    const first = bordersIn(window, border).find((at) => at < window.length);
    if (first !== undefined) return earliest + first;
  }
  return wholeCharacter(text, earliest);
}

/** Where something begins after each border. */
function bordersIn(window: string, border: RegExp): number[] {
  return Array.from(window.matchAll(border), (match) => match.index + match[0].length);
}

/** The place itself, or the one before when the place is inside a surrogate pair. */
function wholeCharacter(text: string, at: number): number {
  return (text.codePointAt(at - 1) ?? 0) > 0xffff ? at - 1 : at;
}
