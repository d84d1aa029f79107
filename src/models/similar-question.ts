import { createHash } from "node:crypto";
import { mapTexts } from "./guardrails/json-texts.ts";
import { isFields, parseData } from "./protocols/openai-parts.ts";
import type { ModelRequest } from "./request.ts";
import type { ModelProtocol } from "./settings/schema.ts";

/** A request as one among those that differ from it in nothing but the question. */
export interface Question {
  /** The text of its last message, which is the user's. */
  readonly text: string;
  /** Names all bytes of the request but those of the text. */
  readonly rest: string;
}

/** Protocols whose requests have everything in them that an answer depends on: none goes on with what is stored elsewhere. */
const PROTOCOLS: ReadonlySet<ModelProtocol> = new Set(["chat-completions", "messages"]);
/** With one of these an answer does, or depends on, more than it says. */
const TOOLS = ["tools", "functions", "mcp_servers", "web_search_options"] as const;
const BODY_BYTES_MAX = 256 * 1024;
const TEXT_LENGTH_MAX = 8_000;

/** What the request asks last, or undefined for one that has no like: with tools, without a last message of the user that is text alone, streamed, or large. */
export async function questionOf({ protocol, body, members, stream }: ModelRequest): Promise<Question | undefined> {
  const member = members.get("messages");
  if (stream || !member || body.length > BODY_BYTES_MAX || !PROTOCOLS.has(protocol.name) || TOOLS.some((name) => members.has(name)))
    return undefined;
  const json = decoded(body.subarray(member.start, member.end));
  const last = json === undefined ? undefined : lastText(parseData(`{"messages":${json}}`)?.["messages"]);
  if (json === undefined || !last) return undefined;
  const blanked = await withoutLast(json, last);
  const hash = createHash("sha256").update(body.subarray(0, member.start)).update(blanked).update(body.subarray(member.end));
  return { text: last.text, rest: hash.digest("base64url") };
}

/** A text, and where it stands in a list of messages. */
interface LastText {
  readonly text: string;
  readonly depth: number;
  readonly name: string;
}

function lastText(messages: unknown): LastText | undefined {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined;
  if (!isFields(last) || last["role"] !== "user") return undefined;
  const { content } = last;
  if (typeof content === "string") return asked(content, 2, "content");
  const part: unknown = Array.isArray(content) && content.length === 1 ? content[0] : undefined;
  return isFields(part) && part["type"] === "text" && typeof part["text"] === "string" ? asked(part["text"], 4, "text") : undefined;
}

function asked(text: string, depth: number, name: string): LastText | undefined {
  return text.trim() === "" || text.length > TEXT_LENGTH_MAX ? undefined : { text, depth, name };
}

/** The same messages with an empty text in the place of the last one; nothing else is changed. */
async function withoutLast(json: string, { text, depth, name }: LastText): Promise<string> {
  let [at, last] = [0, -1];
  await mapTexts(json, (each, place) => {
    if (place.depth === depth && place.name === name && each === text) last = at;
    at++;
    return each;
  });
  at = 0;
  return await mapTexts(json, (each) => (at++ === last ? "" : each));
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined; // it goes on as it came, and has no like
  }
}
