/** The model whose streams stay open until the provider is told to go on. */
export const HELD_MODEL = "held";
/** The model of everything else, which `peers/post.lua` names too. */
export const MODEL = "gpt-4o-mini";
/** Events with text in each stream. */
export const STREAM_EVENTS = 32;
/** Portkey's gateway takes only the paths of the APIs that it speaks; all others are asked by the same. */
export const CHAT_PATH = "/v1/chat/completions";

/** A request for a stream with these header lines, as it goes over the wire. */
export function streamRequest(model: string, fields: readonly string[]): string {
  const content = "Hello, what can you do for me today? Please answer in one short sentence, and be as kind as you can.";
  const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content }] });
  const lines = [`POST ${CHAT_PATH} HTTP/1.1`, "host: 127.0.0.1", "content-type: application/json", `content-length: ${body.length}`];
  return `${[...lines, ...fields].join("\r\n")}\r\n\r\n${body}`;
}
