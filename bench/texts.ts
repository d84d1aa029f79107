import { createPicker } from "./tenants.ts";

const SUBJECTS = ["invoice", "warehouse", "contract", "parcel", "customer", "supplier", "refund", "delivery", "password", "meeting"];
const VERBS = ["arrives", "expires", "changes", "is returned", "is confirmed", "is delayed", "is replaced", "ends", "is paid", "moves"];
const PLACES = ["in Hamburg", "at night", "on Monday", "before noon", "by courier", "without notice", "for members", "in the portal"];
const TOPICS = 400;
const SENTENCES = 6;

/** A document that makes one passage: sentences about the same few things as others, and words that few others have. */
export function benchDocument(number: number): { readonly id: string; readonly title: string; readonly text: string } {
  const pick = createPicker(number + 1);
  const word = (of: readonly string[]): string => of[pick(of.length)] ?? "";
  const sentences = Array.from(
    { length: SENTENCES },
    () => `The ${word(SUBJECTS)} of topic${pick(TOPICS)} ${word(VERBS)} ${word(PLACES)}.`,
  );
  return { id: `doc-${number}`, title: `Note ${number} about topic${pick(TOPICS)}`, text: sentences.join(" ") };
}

/** Questions as people ask them about such documents. */
export function benchQuestions(count: number): readonly string[] {
  const pick = createPicker(7);
  return Array.from({ length: count }, () => `When does the ${SUBJECTS[pick(SUBJECTS.length)] ?? ""} of topic${pick(TOPICS)} arrive?`);
}
