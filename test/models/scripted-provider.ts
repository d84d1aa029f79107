import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { keepingEvents, keepingWhole } from "./scripted-keeping.ts";

/** One request as a provider got it. */
export interface Seen {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What a provider has counted itself. */
export interface Billed {
  requests: number;
  input: number;
  output: number;
  /** By the id that the gateway has given the request. */
  readonly byRequest: Map<string, { readonly input: number; readonly output: number }>;
}

/**
 * A server that speaks the protocols of providers in their real shapes. What it does is in the name of the model: `say-12` answers with twelve tokens,
 * `break-5` goes after five, `half-5` ends its stream after them without saying so, `hang` never answers, `fail-503` refuses, `usage-X` says the JSON of the hexadecimal X for its usage, `drip-20` sends byte by byte,
 * `stubborn-40` answers with forty tokens whatever it is asked for, `text-X` with the text of the base64 X, in pieces of three characters,
 * `keep-3` names what the provider keeps, `letters` embeds a text by its letters, `tool-X` calls the tool `look_up` with that text as its arguments.
 */
export interface ScriptedProvider {
  readonly url: string;
  readonly seen: Seen[];
  /** What was wrong about requests. */
  readonly problems: string[];
  /** What it has said was used, as a provider would bill it. */
  readonly billed: Billed;
  close(): void;
}

/** Starts one that wants this key. */
export async function startProvider(key: string): Promise<ScriptedProvider> {
  const seen: Seen[] = [];
  const problems: string[] = [];
  const billed: Billed = { requests: 0, input: 0, output: 0, byRequest: new Map() };
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const text = Buffer.concat(pieces).toString("utf8");
      const path = request.url ?? "";
      const body = JSON.parse(text) as Record<string, unknown>; // what is no JSON ends the test
      seen.push({ path, headers: request.headers, text, body });
      const said = request.headers.authorization ?? `Bearer ${String(request.headers["x-api-key"])}`;
      if (said !== `Bearer ${key}`) problems.push(`credential ${said}`);
      if (path.endsWith("/messages") && request.headers["anthropic-version"] === undefined) problems.push("no anthropic-version");
      for (const name of ["cookie", "x-tenant-id", "x-tenant-context"]) if (request.headers[name] !== undefined) problems.push(name);
      answer({ path, text, body, response, billed, id: String(request.headers["x-request-id"]) }).catch((error: unknown) =>
        problems.push(String(error)),
      );
    });
    response.on("error", () => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  return {
    url: `http://127.0.0.1:${port}/v1`,
    seen,
    problems,
    billed,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Turn {
  readonly path: string;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly response: ServerResponse;
  readonly billed: Billed;
  readonly id: string;
}

/** Tokens of a prompt as this provider counts them. */
export function promptTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}

async function answer(turn: Turn): Promise<void> {
  const { response, body, text, billed } = turn;
  const [, verb = "say", what = "3"] = /^([a-z]+)-?(.*)$/.exec(String(body["model"])) ?? [];
  if (verb === "hang") return;
  if (turn.path.endsWith("/count_tokens")) {
    response.writeHead(200, { "content-type": "application/json", "set-cookie": "provider=1" });
    return void response.end(JSON.stringify({ input_tokens: promptTokens(text) }));
  }
  if (verb === "fail") return refuse(response, Number(what));
  const bound = Number(body["max_completion_tokens"] ?? body["max_tokens"] ?? body["max_output_tokens"] ?? Number.POSITIVE_INFINITY);
  const words = verb === "text" || verb === "tool" ? piecesOf(Buffer.from(what, "base64url").toString()) : undefined;
  const wanted = words?.length ?? (verb === "usage" ? 3 : Number(what));
  const tokens = verb === "stubborn" ? wanted : Math.min(wanted, bound);
  const counts =
    verb === "usage" ? (JSON.parse(Buffer.from(what, "hex").toString()) as [unknown, unknown]) : ([promptTokens(text), tokens] as const);
  if (!["break", "half", "usage"].includes(verb)) {
    const output = turn.path.endsWith("/embeddings") ? 0 : tokens;
    billed.requests++;
    billed.input += promptTokens(text);
    billed.output += output;
    billed.byRequest.set(turn.id, { input: promptTokens(text), output });
  }
  if (body["stream"] === true) return await stream(turn, verb, words?.slice(0, tokens) ?? wordsOf(tokens), counts);
  const plain = wholeOf(turn, words?.slice(0, tokens).join("") ?? wordsOf(tokens).join("").trim(), counts);
  const whole = JSON.stringify(verb === "keep" ? keepingWhole(turn.path, plain, body) : plain);
  if (verb === "break") {
    response.writeHead(200, { "content-type": "application/json", "content-length": whole.length });
    response.write(whole.slice(0, whole.length / 2));
    await turnOfLoop();
    return void response.destroy();
  }
  response.writeHead(200, { "content-type": "application/json", "x-request-id": "req_scripted", "set-cookie": "provider=1" }).end(whole);
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-type": "application/json", ...(status === 429 && { "retry-after": "1" }) });
  response.end(JSON.stringify({ error: { message: `scripted ${status}`, type: "scripted", param: null, code: null } }));
}

/** The beginning and the end of an answer that is a call of a tool. */
function isTool(body: Readonly<Record<string, unknown>>): boolean {
  return String(body["model"]).startsWith("tool-");
}

function wordsOf(tokens: number): readonly string[] {
  return Array.from({ length: tokens }, () => "tok ");
}

function piecesOf(text: string): readonly string[] {
  return text.match(/.{1,3}/gsu) ?? [];
}

function wholeOf({ path, body }: Turn, content: string, [input, output]: readonly [unknown, unknown]): Record<string, unknown> {
  const { model } = body;
  if (path.endsWith("/messages")) {
    const usage = { input_tokens: input, output_tokens: output, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
    return {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model,
      content: [
        isTool(body)
          ? { type: "tool_use", id: "toolu_1", name: "look_up", input: JSON.parse(content) as object }
          : { type: "text", text: content },
      ],
      stop_reason: isTool(body) ? "tool_use" : "end_turn",
      stop_sequence: null,
      usage,
    };
  }
  if (path.endsWith("/embeddings")) {
    const embedding = isLetters(body)
      ? lettersOf(String(body["input"]))
      : body["encoding_format"] === "base64"
        ? Buffer.from(new Float32Array([0.25, 0.5]).buffer).toString("base64")
        : [0.25, 0.5];
    return {
      object: "list",
      data: [{ object: "embedding", index: 0, embedding }],
      model,
      usage: { prompt_tokens: input, total_tokens: input },
    };
  }
  if (path.endsWith("/responses"))
    return responseOf(model, content, { input_tokens: input, output_tokens: output, total_tokens: Number(input) + Number(output) });
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model,
    choices: [
      isTool(body)
        ? {
            index: 0,
            message: { role: "assistant", content: null, tool_calls: [toolCall(content)] },
            finish_reason: "tool_calls",
            logprobs: null,
          }
        : { index: 0, message: { role: "assistant", content, refusal: null }, finish_reason: "stop", logprobs: null },
    ],
    usage: {
      prompt_tokens: input,
      completion_tokens: output,
      total_tokens: Number(input) + Number(output),
      prompt_tokens_details: { cached_tokens: 0 },
    },
  };
}

function isLetters({ model }: Readonly<Record<string, unknown>>): boolean {
  return model === "letters";
}

/** How often each letter is there: texts of nearly the same letters have nearly the same direction. */
function lettersOf(text: string): readonly number[] {
  return Array.from("abcdefghijklmnopqrstuvwxyz", (letter) => text.toLowerCase().split(letter).length - 1);
}

function toolCall(text: string): Record<string, unknown> {
  return { id: "call_1", type: "function", function: { name: "look_up", arguments: text } };
}

function responseOf(model: unknown, text: string, usage: object | null, status = "completed"): Record<string, unknown> {
  const content = [{ type: "output_text", text, annotations: [] }];
  return {
    id: "resp_1",
    object: "response",
    created_at: 1,
    status,
    model,
    output: [{ id: "msg_1", type: "message", role: "assistant", status: "completed", content }],
    parallel_tool_calls: true,
    tool_choice: "auto",
    tools: [],
    error: null,
    incomplete_details: null,
    usage,
  };
}

async function stream(turn: Turn, verb: string, words: readonly string[], counts: readonly [unknown, unknown]): Promise<void> {
  const { response } = turn;
  response.writeHead(200, { "content-type": "text/event-stream" });
  const plain = eventsOf(turn, words, counts);
  const events = verb === "keep" ? keepingEvents(turn.path, plain, turn.body) : plain;
  for (const [at, event] of events.entries()) {
    if (response.destroyed) return;
    if ((verb === "break" || verb === "half") && at === events.length - 3) {
      await turnOfLoop();
      return verb === "half" ? void response.end() : void response.destroy();
    }
    for (const piece of verb === "drip" ? event : [event]) {
      response.write(piece);
      await turnOfLoop();
    }
  }
  response.end();
}

function eventsOf({ path, body }: Turn, words: readonly string[], [input, output]: readonly [unknown, unknown]): readonly string[] {
  const { model } = body;
  const named = (event: Record<string, unknown>): string => `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`;
  if (path.endsWith("/messages")) {
    const usage = { input_tokens: input, output_tokens: 1, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
    const message = { id: "msg_1", type: "message", role: "assistant", model, content: [], stop_reason: null, stop_sequence: null, usage };
    return [
      named({ type: "message_start", message }),
      named({
        type: "content_block_start",
        index: 0,
        content_block: isTool(body) ? { type: "tool_use", id: "toolu_1", name: "look_up", input: {} } : { type: "text", text: "" },
      }),
      ...words.map((text) =>
        named({
          type: "content_block_delta",
          index: 0,
          delta: isTool(body) ? { type: "input_json_delta", partial_json: text } : { type: "text_delta", text },
        }),
      ),
      named({ type: "content_block_stop", index: 0 }),
      named({
        type: "message_delta",
        delta: { stop_reason: isTool(body) ? "tool_use" : "end_turn", stop_sequence: null },
        usage: { output_tokens: output, cache_read_input_tokens: null },
      }),
      named({ type: "message_stop" }),
    ];
  }
  if (path.endsWith("/responses")) {
    const item = { item_id: "msg_1", output_index: 0, content_index: 0 };
    const usage = { input_tokens: input, output_tokens: output, total_tokens: Number(input) + Number(output) };
    return [
      named({ type: "response.created", sequence_number: 0, response: responseOf(model, "", null, "in_progress") }),
      named({
        type: "response.output_item.added",
        sequence_number: 1,
        output_index: 0,
        item: { id: "msg_1", type: "message", role: "assistant", status: "in_progress", content: [] },
      }),
      ...words.map((delta, at) => named({ type: "response.output_text.delta", sequence_number: at + 2, ...item, delta })),
      named({ type: "response.completed", sequence_number: words.length + 2, response: responseOf(model, words.join(""), usage) }),
    ];
  }
  const chunk = (choices: unknown[], usage?: unknown): string =>
    `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model, choices, usage: usage ?? null })}\n\n`;
  const options = body["stream_options"] as { include_usage?: boolean } | undefined;
  const total = { prompt_tokens: input, completion_tokens: output, total_tokens: Number(input) + Number(output) };
  return [
    chunk([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]),
    ...(isTool(body) ? [chunk([{ index: 0, delta: { tool_calls: [{ index: 0, ...toolCall("") }] }, finish_reason: null }])] : []),
    ...words.map((text) => {
      const delta = isTool(body) ? { tool_calls: [{ index: 0, function: { arguments: text } }] } : { content: text };
      return chunk([{ index: 0, delta, finish_reason: null }]);
    }),
    chunk([{ index: 0, delta: {}, finish_reason: isTool(body) ? "tool_calls" : "stop" }]),
    ...(options?.include_usage === true ? [chunk([], total)] : []),
    "data: [DONE]\n\n",
  ];
}

/** Lets everything else have its turn. */
export function turnOfLoop(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
