import { type Member, type ModelProtocol, OutlineError, readMembers, valueOf } from "../../../models/index.ts";
import { Fault } from "../../../kernel/index.ts";
import type { Answer } from "../../../wire/index.ts";
import { type Call, jsonAnswer } from "../../proxy/plugin.ts";

/** A caller's request to a model, as far as it is read. */
export interface ClientRequest {
  readonly protocol: ModelProtocol;
  readonly bytes: Uint8Array;
  readonly members: ReadonlyMap<string, Member>;
  readonly values: Readonly<Record<string, unknown>>;
}

const READ = ["model", "stream", "stream_options"] as const;
const BAD_REQUEST = 400;

/** The request, or the answer that refuses it. Throws `body_too_large`. */
export async function readClientRequest(call: Call, bytesMax: number): Promise<ClientRequest | Answer> {
  const type = call.head.headers.one("content-type");
  if (type !== undefined && !type.toLowerCase().startsWith("application/json")) return wrongType(call, type);
  const bytes = await call.body(bytesMax);
  if (bytes.length === 0) return refused(call, "missing request body");
  try {
    const members = readMembers(bytes);
    const protocol = protocolOf(call, members);
    if (protocol === undefined) return refused(call, "the body is no request to a model");
    if (protocol === "messages" && !isFullList(valueOf(bytes, members.get("messages")))) return noMessages(call);
    return { protocol, bytes, members, values: Object.fromEntries(READ.map((name) => [name, valueOf(bytes, members.get(name))])) };
  } catch (error) {
    if (!(error instanceof OutlineError)) throw error;
    return refused(call, `could not parse JSON request body: ${inWordsOfTheDialect(error, bytes)}`);
  }
}

function protocolOf(call: Call, members: ReadonlyMap<string, Member>): ModelProtocol | undefined {
  if (call.path.endsWith("/v1/messages")) return "messages";
  if (call.path.endsWith("/v1/responses") && members.has("input")) return "responses";
  if (members.has("messages")) return "chat-completions";
  return members.has("input") ? "embeddings" : undefined;
}

/** A refusal: in strict a fault, otherwise as the dialect says it. */
export function refused(call: Call, message: string): Answer {
  if (call.profile === "strict")
    throw new Fault("invalid_json", message, { public: { detail: `${message[0]?.toUpperCase()}${message.slice(1)}.` } });
  return jsonAnswer(BAD_REQUEST, { message });
}

function noMessages(call: Call): Answer {
  return call.profile === "strict" ? refused(call, "missing messages") : jsonAnswer(BAD_REQUEST, { error_msg: "missing messages" });
}

function wrongType(call: Call, type: string): Answer {
  if (call.profile === "strict") throw new Fault("unsupported_media_type", `content-type ${type.slice(0, 100)}`);
  const body = `unsupported content-type: ${type}, only application/json is supported`;
  return { status: BAD_REQUEST, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}

function isFullList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

const TOKENS: readonly (readonly [RegExp, string])[] = [
  [/"/, "T_STRING"],
  [/\{/, "T_OBJ_BEGIN"],
  [/\[/, "T_ARR_BEGIN"],
  [/[-0-9]/, "T_NUMBER"],
  [/[tf]/, "T_BOOLEAN"],
  [/n/, "T_NULL"],
];

/** What the dialect's own reader says about something behind the end; of other mistakes the place and the kind. */
function inWordsOfTheDialect({ message, endedBefore }: OutlineError, bytes: Uint8Array): string {
  if (endedBefore === undefined) return message;
  const character = String.fromCharCode(bytes[endedBefore] ?? 0);
  const token = TOKENS.find(([pattern]) => pattern.test(character))?.[1] ?? "invalid token";
  return `Expected the end but found ${token} at character ${endedBefore + 1}`;
}
