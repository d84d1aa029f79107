import validator from "validator";
import type { PersonalKind } from "../settings/guardrail-schema.ts";

/** A stretch of a text, and what stands there instead. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly mask: string;
}

/** Finds data of persons in a text, in order, none over another. */
export type PersonalData = (text: string) => readonly Span[];

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

/** Finds these kinds. What looks like one and cannot be (a wrong check digit, a number that no plan has) is none. */
export function createPersonalData(kinds: readonly PersonalKind[]): PersonalData {
  const wanted = ORDER.filter((kind) => kinds.includes(kind)).map((kind) => ({ ...KINDS[kind], mask: `[${kind}]` }));
  return (text) => {
    const found: Span[] = [];
    for (const { candidate, is, mask } of wanted) {
      for (const { 0: match, index: start } of text.matchAll(candidate)) {
        const end = start + match.length;
        if (is(match) && !found.some((span) => span.start < end && start < span.end)) found.push({ start, end, mask });
      }
    }
    return found.toSorted((one, other) => one.start - other.start);
  };
}

function bare(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9]/g, "");
}
