import { SERVER_SENT, type StreamEvent } from "../meter/event-stream.ts";
import { readOpenaiUsage, type ReportedUsage } from "../meter/usage.ts";
import { isFields, OPENAI_FIELDS, OPENAI_NAMES, parseData } from "./openai-parts.ts";
import { type KeptIds, namesKept, standsAt } from "./kept-ids.ts";
import type { Protocol, StreamReader } from "./protocol.ts";
import { messageOf, openaiRefusal } from "./refusals.ts";

const ENDS: ReadonlySet<unknown> = new Set(["response.completed", "response.incomplete", "response.failed"]);

/** Ids in an item of an answer, but for those of its own parts. */
const ITEM = ["id", "container_id", "approval_request_id", "environment.container_id", "results[].file_id"];
const ANNOTATION = ["annotations[].file_id", "annotations[].container_id"];
const under = (path: string, names: readonly string[]): string[] => names.map((name) => `${path}.${name}`);
const itemAt = (path: string): string[] => under(path, [...ITEM, ...under("content[]", ANNOTATION)]);
const ANSWER = ["id", "previous_response_id", ...itemAt("output[]")];

const inWhole = standsAt(...ANSWER);
const inEvent = standsAt(
  "item_id",
  ...under("response", ANSWER),
  ...itemAt("item"),
  ...under("part", ANNOTATION),
  "annotation.file_id",
  "annotation.container_id",
);

const keptIds: KeptIds = {
  inRequest(place) {
    const { top, depth, name } = place;
    if (top === "prompt" && name === "id" && depth === 2) return true;
    if (top === "input" && name === "id" && depth <= 3) return true;
    if (top === "tools" && name === "container" && depth === 3) return true;
    return namesKept(place);
  },
  inAnswer: (place, isStream) => (isStream ? inEvent : inWhole)(place),
  expects: () => true,
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
