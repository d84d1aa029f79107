import type { LanguageModelV4GenerateResult, LanguageModelV4StreamPart } from "@ai-sdk/provider";

/** What an answer says of itself. */
export interface Told {
  /** Unique; without the prefix of its protocol. */
  readonly id: string;
  /** As the caller has named it. */
  readonly model: string;
  readonly createdMs: number;
}

/** The caller's request, of which some answers repeat a part. */
export type Asked = Readonly<Record<string, unknown>>;

/** The events of one stream, in the order of its parts. */
export interface AnswerEvents {
  begin(): string;
  /** What the part is in this protocol; empty where it has no place there. The last part is `finish`. */
  event(part: LanguageModelV4StreamPart): string;
}

/** Answers in the shape of one protocol. */
export interface AnswerShape {
  whole(told: Told, result: LanguageModelV4GenerateResult, request: Asked): object;
  createEvents(told: Told, request: Asked): AnswerEvents;
}
