import { RE2JS } from "re2js";
import { z } from "zod";

/** Data of persons that can be found. */
export const PERSONAL_KINDS = ["email", "phone", "card", "iban", "ip"] as const;
export type PersonalKind = (typeof PERSONAL_KINDS)[number];

/** What is looked into: what callers send, what models answer. */
const on = z
  .array(z.enum(["request", "answer"]))
  .min(1)
  .max(2)
  .default(["request", "answer"]);

const pattern = z.string().min(1).max(500).refine(isPattern, "use a regular expression of RE2: without look-around and back-references");

const deny = z
  .strictObject({
    /** Whole words, in any case. */
    words: z.array(z.string().trim().min(1).max(200)).max(1_000).default([]),
    patterns: z.array(pattern).max(100).default([]),
    on,
  })
  .refine(({ words, patterns }) => words.length + patterns.length > 0, "name a word or a pattern");

const personalData = z.strictObject({
  kinds: z.array(z.enum(PERSONAL_KINDS)).min(1).max(PERSONAL_KINDS.length),
  /** `mask` puts `[email]` and the like there. */
  action: z.enum(["mask", "refuse"]).default("mask"),
  on,
});

const moderation = z.strictObject({
  /** A service of the tenant's, asked with signed requests. */
  url: z.string().min(1).max(2_048),
  timeoutMs: z.int().min(100).max(60_000).default(5_000),
  /** What happens when it cannot be asked. */
  onFailure: z.enum(["refuse", "pass"]).default("refuse"),
  on,
});

/** What a tenant wants to be looked at in requests to models and their answers. */
export const guardrailSchema = z.strictObject({
  deny: deny.optional(),
  personalData: personalData.optional(),
  /** A JSON Schema (draft-07) that every answer has to fit. */
  answerSchema: z.record(z.string(), z.unknown()).optional(),
  moderation: moderation.optional(),
});

/** Guardrails, checked. */
export type GuardrailSettings = z.output<typeof guardrailSchema>;

function isPattern(source: string): boolean {
  try {
    RE2JS.compile(source);
    return true;
  } catch {
    return false;
  }
}
