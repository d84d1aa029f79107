import type { Random } from "../kernel/index.ts";

const RANDOM_BYTES = 12;

/** A word that only the victim's values have. Letters and digits in lower case: no encoding on the way writes it in another way. */
export interface Canary {
  readonly word: string;
  /** How many bytes of it are in these bytes, as it is, in hexadecimal or in base64. */
  count(bytes: Uint8Array): number;
}

/** A new word. */
export function createCanary(random: Random): Canary {
  const word = `fhcanary${random.bytes(RANDOM_BYTES).toString("hex")}`;
  const forms = [word, Buffer.from(word).toString("hex"), ...base64Forms(word)];
  return {
    word,
    count(bytes) {
      const text = Buffer.from(bytes).toString("latin1");
      const folded = text.toLowerCase();
      return forms.reduce((sum, form, at) => sum + (at < 2 ? occurrences(folded, form) : occurrences(text, form)) * word.length, 0);
    },
  };
}

/** In base64 a word looks different after 0, 1 and 2 bytes before it; the ends depend on the neighbours and are left out. */
function base64Forms(word: string): readonly string[] {
  return [0, 1, 2].map((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), Buffer.from(word)]).toString("base64url");
    return whole.slice(before === 0 ? 0 : 4, -4);
  });
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}
