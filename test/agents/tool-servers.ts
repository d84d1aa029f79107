import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { createMcpHandler, McpServer, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import { z } from "zod";
import { startStub, type StubServer, withParts } from "../support/stub-server.ts";

/** What a tool of a test is called with. */
export interface ToolCall {
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly about: Readonly<Record<string, unknown>>;
}

/** A server of the protocol, by its makers' own library, that wants a secret. */
export interface ToolServer extends StubServer {
  readonly calls: ToolCall[];
  readonly headers: IncomingHttpHeaders[];
  /** What it was asked, in order: a method of the protocol, or DELETE for the end of a session. */
  readonly asked: string[];
  /** Forgets all sessions. */
  forget(): void;
}

/** What its tool `look_up` answers. */
export type Answering = (input: Readonly<Record<string, unknown>>) => string;

/** Starts one. `sessions`: as servers of 2025 do, with a session that the client has to name and to end. */
export async function startToolServer(
  secret: string,
  answer: Answering,
  { sessions = false }: { readonly sessions?: boolean } = {},
): Promise<ToolServer> {
  const calls: ToolCall[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const asked: string[] = [];
  const open: Sessions = new Map();
  const make = (): McpServer => {
    const server = new McpServer({ name: "of a test", version: "1" });
    const inputSchema = z.object({ id: z.string() });
    for (const tool of ["look_up", "delete_everything"]) {
      server.registerTool(tool, { description: `The tool ${tool}`, inputSchema }, (input, { mcpReq: { _meta: about } }) => {
        calls.push({ tool, input, about: { ...about } });
        return { content: [{ type: "text", text: answer(input) }] };
      });
    }
    return server;
  };
  const handle = sessions ? withSessions(make, open) : createMcpHandler(make, { keepAliveMs: 0 }).fetch;
  const stub = await startStub((request, body, response) => {
    headers.push(request.headers);
    asked.push(request.method === "POST" ? (JSON.parse(body.toString()) as { method: string }).method : (request.method ?? ""));
    if (request.headers["x-crm-key"] !== secret) return void response.writeHead(401).end();
    handle(toRequest(request, body)).then(
      (answered) => sendAnswer(answered, response),
      () => response.writeHead(500).end(),
    );
  });
  return withParts(stub, { calls, headers, asked, forget: () => open.clear() });
}

type Sessions = Map<string, WebStandardStreamableHTTPServerTransport>;

function withSessions(make: () => McpServer, open: Sessions): (request: Request) => Promise<Response> {
  return async (request) => {
    const known = open.get(request.headers.get("mcp-session-id") ?? "");
    if (known) return await known.handleRequest(request);
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void open.set(id, transport),
      onsessionclosed: (id) => void open.delete(id),
    });
    await make().connect(transport);
    return await transport.handleRequest(request);
  };
}

function toRequest({ method = "GET", url = "/", headers }: IncomingMessage, body: Buffer): Request {
  const fields = Object.entries(headers).flatMap(([name, value]) => (typeof value === "string" ? [[name, value] as [string, string]] : []));
  return new Request(`http://127.0.0.1${url}`, { method, headers: fields, ...(method === "POST" && { body: new Uint8Array(body) }) });
}

async function sendAnswer(answer: Response, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  for await (const piece of answer.body ?? []) response.write(piece);
  response.end();
}

/** What the model has been asked. */
export interface Question {
  readonly messages: readonly { readonly role: string; readonly content: string | null }[];
  readonly tools: readonly { readonly function: { readonly name: string; readonly description: string } }[];
  readonly tool_choice: string;
}

/** A call that the model wants. */
export interface Wanted {
  readonly name: string;
  readonly input: unknown;
}

/** What the model does next: it answers with a text, or wants tools called. */
export type Behaviour = (question: Question, round: number) => string | readonly Wanted[];

/** A model that does what the test says: the worst that a model can be talked into. */
export interface ObedientModel extends StubServer {
  readonly questions: Question[];
  behave(behaviour: Behaviour): void;
}

/** Starts one that speaks OpenAI's Chat Completions. */
export async function startObedientModel(): Promise<ObedientModel> {
  const questions: Question[] = [];
  let behaviour: Behaviour = () => "Nothing.";
  const stub = await startStub((_request, body, response) => {
    const question = JSON.parse(body.toString()) as Question;
    questions.push(question);
    const round = question.messages.filter(({ role }) => role === "assistant").length;
    const next = behaviour(question, round);
    const message =
      typeof next === "string"
        ? { role: "assistant", content: next }
        : {
            role: "assistant",
            content: null,
            tool_calls: next.map(({ name, input }, at) => ({
              id: `call_${round}_${at}`,
              type: "function",
              function: { name, arguments: typeof input === "string" ? input : JSON.stringify(input) },
            })),
          };
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ id: "c", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message }], usage }));
  });
  return withParts(stub, { questions, behave: (next: Behaviour) => void (behaviour = next) });
}

/** What the model got of the tools in this question, in order. */
export function resultsIn({ messages }: Question): readonly string[] {
  return messages.flatMap(({ role, content }) => (role === "tool" ? [content ?? ""] : []));
}
