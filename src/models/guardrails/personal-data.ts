import validator from "validator";
import type { Turns } from "../../kernel/index.ts";
import type { PersonalKind } from "../settings/guardrail-schema.ts";

/** A stretch of a text, and what stands there instead. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly mask: string;
}

/** Finds data of persons in a text, in order, none over another. */
export type PersonalData = (text: string, turns: Turns) => Promise<readonly Span[]>;

/** What may be one, and what says that it is. Each pattern looks at a bounded stretch from where it begins, so that no text holds it up. */
const KINDS: Readonly<Record<PersonalKind, { readonly candidate: RegExp; readonly is: (text: string) => boolean }>> = {
  email: {
    candidate: /(?<![\w.!#$%&'*+/=?^{|}~-])[\w.!#$%&'*+/=?^{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}/g,
    is: (text) => validator.isEmail(text),
  },
  iban: {
    candidate: /\b[A-Z]{2}[0-9]{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b/g,
    is: (text) => validator.isIBAN(bare(text)),
  },
  card: { candidate: /\b[0-9](?:[ -]?[0-9]){11,18}\b/g, is: (text) => validator.isCreditCard(bare(text)) },
  phone: {
    candidate: /\+[0-9](?:[ ().-]{0,3}[0-9]){6,14}\b/g,
    is: (text) => validator.isMobilePhone(`+${bare(text)}`, "any", { strictMode: true }),
  },
  ip: {
    candidate: /\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b|(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])/g,
    is: (text) => validator.isIP(text),
  },
};

/** The kinds in the order in which they are looked for: what is found by one is not looked at by the next. */
const ORDER: readonly PersonalKind[] = ["email", "iban", "card", "phone", "ip"];

/** How much is looked at before others may have their turn. */
const STRETCH = 16 * 1024;
/** More than any candidate and what is looked at beside it. */
const CANDIDATE_LENGTH_MAX = 512;

/**
 * Finds these kinds, in time linear in the text, giving turns. What looks like one and cannot be (a wrong check digit, a number that no plan has) is
 * none.
 */
export function createPersonalData(kinds: readonly PersonalKind[]): PersonalData {
  const wanted = ORDER.filter((kind) => kinds.includes(kind)).map((kind) => ({ ...KINDS[kind], mask: `[${kind}]` }));
  return async (text, turns) => {
    const found: Span[] = [];
    const isTaken = new Uint8Array(text.length);
    for (const { candidate, is, mask } of wanted) {
      for await (const { start, end } of candidatesIn(text, candidate, turns)) {
        if (isTaken.subarray(start, end).includes(1) || !is(text.slice(start, end))) continue;
        isTaken.fill(1, start, end);
        found.push({ start, end, mask });
      }
    }
    return found.toSorted((one, other) => one.start - other.start);
  };
}

/** The matches of the whole text; looked for stretch by stretch, each with what a match that begins in it can reach. */
async function* candidatesIn(
  text: string,
  candidate: RegExp,
  turns: Turns,
): AsyncGenerator<{ readonly start: number; readonly end: number }> {
  let at = 0;
  for (let to = STRETCH; at < text.length; to += STRETCH) {
    const reach = text.slice(0, to + CANDIDATE_LENGTH_MAX);
    while (at < to) {
      candidate.lastIndex = at; // another text may have been looked at meanwhile
      const match = candidate.exec(reach);
      if (!match || match.index >= to) break;
      at = match.index + match[0].length;
      yield { start: match.index, end: at };
      await turns.give();
    }
    at = Math.max(at, to);
    await turns.give();
  }
}

function bare(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9]/g, "");
}
