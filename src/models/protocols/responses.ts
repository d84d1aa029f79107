import { SERVER_SENT, type StreamEvent } from "../meter/event-stream.ts";
import { readOpenaiUsage, type ReportedUsage } from "../meter/usage.ts";
import { isFields, OPENAI_FIELDS, OPENAI_NAMES, parseData } from "./openai-parts.ts";
import type { Protocol, StreamReader } from "./protocol.ts";
import { messageOf, openaiRefusal } from "./refusals.ts";

const ENDS: ReadonlySet<unknown> = new Set(["response.completed", "response.incomplete", "response.failed"]);

/** OpenAI's Responses. */
export const responses: Protocol = {
  name: "responses",
  path: () => "/responses",
  members: ["model", "stream", "max_output_tokens", "background", ...OPENAI_NAMES],
  outputMembers: ["max_output_tokens"],
  callerNames: OPENAI_NAMES,
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
