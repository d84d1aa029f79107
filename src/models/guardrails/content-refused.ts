import { Fault } from "../../kernel/index.ts";

/** What was looked at. */
export type Side = "request" | "answer";

/** The refusal of a content, in words that say what found it and never what it found. */
export function contentRefused(side: Side, reason: string): Fault {
  const detail = `The ${side} was not let through: ${reason}.`;
  return new Fault("content_refused", detail, { public: { detail } });
}
