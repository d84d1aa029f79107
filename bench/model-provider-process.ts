/**
 * Program: a provider of models on a free port of this machine that speaks OpenAI's Chat Completions. The model `held` begins a stream and goes on
 * when the program is told `{ finish: true }`; all others answer at once.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { HELD_MODEL, STREAM_EVENTS } from "./model-requests.ts";

const usage = { prompt_tokens: 42, completion_tokens: STREAM_EVENTS, total_tokens: 42 + STREAM_EVENTS };
const choice = { index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop", logprobs: null };
const WHOLE = JSON.stringify({ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "bench", choices: [choice], usage });
const WHOLE_FIELDS = { "content-type": "application/json", "content-length": Buffer.byteLength(WHOLE) };
const PIECE = eventOf({ choices: [{ index: 0, delta: { content: "tok " }, finish_reason: null }] });
const LAST = eventOf({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
const USED = eventOf({ choices: [], usage });
const DONE = "data: [DONE]\n\n";

function eventOf(members: object): string {
  return `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "bench", ...members })}\n\n`;
}

const held: (() => void)[] = [];

const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (piece: string) => (body += piece));
  request.on("end", () => {
    if (!body.includes('"stream":true')) return void response.writeHead(200, WHOLE_FIELDS).end(WHOLE);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(PIECE);
    const goOn = (): void => streamRest(response, body.includes('"include_usage":true'), 1);
    if (body.includes(`"${HELD_MODEL}"`)) held.push(goOn);
    else setImmediate(goOn);
  });
});

/** An event in each turn of the loop, as they come of a model one by one. */
function streamRest(response: ServerResponse, withUsage: boolean, sent: number): void {
  if (sent === STREAM_EVENTS) return void response.end(LAST + (withUsage ? USED : "") + DONE);
  response.write(PIECE);
  setImmediate(streamRest, response, withUsage, sent + 1);
}

server.keepAliveTimeout = 600_000;
server.requestTimeout = 0;
server.listen({ port: 0, host: "127.0.0.1", backlog: 8_192 }, () => process.send?.((server.address() as AddressInfo).port));
process.on("message", () => {
  for (const goOn of held.splice(0)) goOn();
});
process.on("disconnect", () => process.exit());
