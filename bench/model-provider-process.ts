/**
 * Program: a provider of models on a free port of this machine that speaks OpenAI's Chat Completions. The model `held` begins a stream and goes on
 * when the program is told `{ finish: true }`; all others answer at once. It is as little of a server as the gateways need, since what it takes of
 * its core is missing there for whoever measures.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { HELD_MODEL, STREAM_EVENTS } from "./model-requests.ts";

const END_OF_HEAD = "\r\n\r\n";
const usage = { prompt_tokens: 42, completion_tokens: STREAM_EVENTS, total_tokens: 42 + STREAM_EVENTS };
const choice = { index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop", logprobs: null };
const whole = JSON.stringify({ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "bench", choices: [choice], usage });
const WHOLE = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(whole)}${END_OF_HEAD}${whole}`;
const BEGIN = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked${END_OF_HEAD}`;
const piece = eventOf({ choices: [{ index: 0, delta: { content: "tok " }, finish_reason: null }] });
const PIECE = chunkOf(piece);
const last = eventOf({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
const done = "data: [DONE]\n\n";
const LAST = `${chunkOf(last + done)}0\r\n\r\n`;
const LAST_WITH_USAGE = `${chunkOf(last + eventOf({ choices: [], usage }) + done)}0\r\n\r\n`;

function eventOf(members: object): string {
  return `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "bench", ...members })}\n\n`;
}

function chunkOf(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

const held: (() => void)[] = [];

const server = createServer({ noDelay: true }, (socket) => {
  let text = "";
  socket.setEncoding("latin1");
  socket.on("error", () => socket.destroy());
  socket.on("data", (more) => {
    text += String(more);
    if (!isWhole(text)) return;
    const request = text;
    text = "";
    answer(socket, request);
  });
});

/** Whether head and body of the one request are there. */
function isWhole(text: string): boolean {
  const end = text.indexOf(END_OF_HEAD);
  if (end === -1) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1];
  return length === undefined ? text.endsWith("0\r\n\r\n") : text.length >= end + END_OF_HEAD.length + Number(length);
}

function answer(socket: Socket, request: string): void {
  if (!request.includes('"stream":true')) return void socket.write(WHOLE, "latin1");
  socket.write(BEGIN + PIECE, "latin1");
  const goOn = (): void => streamRest(socket, request.includes('"include_usage":true') ? LAST_WITH_USAGE : LAST, 1);
  if (request.includes(`"${HELD_MODEL}"`)) held.push(goOn);
  else setImmediate(goOn);
}

/** An event in each turn of the loop, as they come of a model one by one. */
function streamRest(socket: Socket, end: string, sent: number): void {
  if (socket.destroyed) return;
  if (sent === STREAM_EVENTS) return void socket.write(end, "latin1");
  socket.write(PIECE, "latin1");
  setImmediate(streamRest, socket, end, sent + 1);
}

server.listen({ port: 0, host: "127.0.0.1", backlog: 8_192 }, () => process.send?.((server.address() as AddressInfo).port));
process.on("message", () => {
  for (const goOn of held.splice(0)) goOn();
});
process.on("disconnect", () => process.exit());
