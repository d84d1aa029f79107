import { isFields } from "../protocols/openai-parts.ts";
import type { ModelProtocol } from "../settings/schema.ts";
import type { Channel } from "./event-texts.ts";

/** Where the pieces of an answer's own text stand in events. */
const STREAMED: Readonly<Record<ModelProtocol, RegExp | undefined>> = {
  "chat-completions": /^choices\.\d+\.delta\.content$/,
  messages: /^delta\.text$/,
  responses: /^delta$/,
  embeddings: undefined,
};

/** What a model has answered, of a whole answer: one text for each choice. Calls of tools and reasoning are none. */
export function answerTexts(protocol: ModelProtocol, body: unknown): readonly string[] {
  if (!isFields(body)) return [];
  switch (protocol) {
    case "chat-completions":
      return fieldsIn(body["choices"]).flatMap(({ message }) => textsIn([message], "content"));
    case "messages":
      return [textsIn(body["content"], "text").join("")];
    case "responses":
      return [
        fieldsIn(body["output"])
          .flatMap(({ content }) => textsIn(content, "text"))
          .join(""),
      ];
    case "embeddings":
      return [];
    default:
      return protocol satisfies never;
  }
}

/** The same of a stream that is whole. */
export function streamedTexts(protocol: ModelProtocol, channels: readonly Channel[]): readonly string[] {
  const texts = channels.filter(({ path, of }) => STREAMED[protocol]?.test(path) && !NO_ANSWER.test(of)).map(({ text }) => text);
  return protocol === "chat-completions" ? texts : [texts.join("")];
}

/** Events of Responses whose pieces are no part of the answer. */
const NO_ANSWER = /^response\.(?!output_text\.)/;

function fieldsIn(list: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(list) ? list.filter(isFields) : [];
}

function textsIn(list: unknown, name: string): readonly string[] {
  return fieldsIn(list).flatMap((each) => (typeof each[name] === "string" ? [each[name]] : []));
}
