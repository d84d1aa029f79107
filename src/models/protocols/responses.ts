import { SERVER_SENT, type StreamEvent } from "../meter/event-stream.ts";
import { readOpenaiUsage, type ReportedUsage } from "../meter/usage.ts";
import { isFields, OPENAI_FIELDS, OPENAI_NAMES, parseData } from "./openai-parts.ts";
import type { KeptIds, Protocol, StreamReader } from "./protocol.ts";
import { messageOf, openaiRefusal } from "./refusals.ts";

const ENDS: ReadonlySet<unknown> = new Set(["response.completed", "response.incomplete", "response.failed"]);

/** Ids wherever they stand in items and tools. */
const KEPT: ReadonlySet<string> = new Set(["file_id", "file_ids", "container_id", "vector_store_ids", "approval_request_id"]);
/** Deeper in a tool is the schema of its arguments. */
const TOOL_DEPTH_MAX = 5;

const keptIds: KeptIds = {
  inRequest({ top, depth, name }) {
    switch (top) {
      case "previous_response_id":
      case "conversation":
        return true;
      case "prompt":
        return (name === "id" && depth === 2) || name === "file_id";
      case "input":
        return name === "id" ? depth <= 3 : KEPT.has(name);
      case "tools":
        return name === "container" ? depth === 3 : KEPT.has(name) && depth <= TOOL_DEPTH_MAX;
      default:
        return false;
    }
  },
  inAnswer({ top, depth, name }, isStream) {
    // an event has the answer, or one of its items, inside it
    const outer = isStream ? 2 : 1;
    if (name === "previous_response_id") return depth === outer;
    if (name === "item_id" || name === "container_id" || name === "file_id") return true;
    if (name !== "id") return false;
    const isItem = depth === outer + 2 && (isStream ? top === "response" : top === "output");
    return isItem || (depth === outer && (!isStream || top === "response" || top === "item"));
  },
};

/** OpenAI's Responses. */
export const responses: Protocol = {
  name: "responses",
  path: () => "/responses",
  members: ["model", "stream", "max_output_tokens", "background", ...OPENAI_NAMES],
  outputMembers: ["max_output_tokens"],
  callerNames: OPENAI_NAMES,
  keptIds,
  passed: OPENAI_FIELDS,
  needed: {},
  readUsage: readOpenaiUsage,
  askForUsage: () => undefined,
  streams: SERVER_SENT,
  createReader: () => new ResponsesReader(),
  endOfStream(fault, { input, output }) {
    const usage = { input_tokens: input, output_tokens: output, total_tokens: input + output };
    const error = { type: "error", code: fault.code, message: messageOf(fault), param: null, sequence_number: 0, usage };
    return `event: error\ndata: ${JSON.stringify(error)}\n\n`;
  },
  refusal: openaiRefusal,
};

class ResponsesReader implements StreamReader {
  usage: ReportedUsage = { kind: "missing" };
  pieces = 0;
  bytes = 0;
  complete = false;

  get ended(): boolean {
    return this.complete;
  }

  read({ data }: StreamEvent): { readonly hide: boolean } {
    const event = parseData(data);
    if (!event) return { hide: false };
    const { delta, response, type } = event;
    if (typeof delta === "string") {
      this.pieces++;
      this.bytes += Buffer.byteLength(delta);
    }
    if (ENDS.has(type) && isFields(response)) {
      this.complete = true;
      this.usage = readOpenaiUsage(response["usage"]);
    }
    return { hide: false };
  }
}
