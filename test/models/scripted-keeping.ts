type Fields = Readonly<Record<string, unknown>>;

/** What looks like an id of something kept and is the caller's, or the model's, own: no gateway may give its mark to it. */
export const TRAP = "file_of_somebody_else";
const TRAPS = { file_id: TRAP, id: TRAP, container_id: TRAP, content: { content: [{ file_id: TRAP }] }, citations: [{ file_id: TRAP }] };

const AUDIO = { id: "audio_1", data: "", expires_at: 1, transcript: "tok" };
const CONTAINER = {
  id: "container_1",
  expires_at: "2026-12-01T00:00:00Z",
  skills: [{ type: "anthropic", skill_id: "pptx", version: "1" }],
};
const FILE = { type: "bash_code_execution_output", file_id: "file_1" };
const CITATION = { type: "page_location", cited_text: "x", document_index: 0, start_page_number: 1, end_page_number: 2, file_id: "file_2" };
const BLOCKS = [
  { type: "tool_use", id: "toolu_1", name: "look_up", input: TRAPS },
  { type: "container_upload", file_id: "file_3" },
  {
    type: "bash_code_execution_tool_result",
    tool_use_id: "srvtoolu_1",
    content: { type: "bash_code_execution_result", stdout: "", stderr: "", return_code: 0, content: [FILE] },
  },
] as const;
const ANNOTATIONS = [{ type: "container_file_citation", container_id: "cntr_1", file_id: "cfile_1", start_index: 0, end_index: 1 }];
const ITEMS = [
  { id: "ci_1", type: "code_interpreter_call", status: "completed", code: "", container_id: "cntr_1", outputs: null },
  { id: "mcp_1", type: "mcp_call", name: "f", server_label: "s", arguments: "{}", approval_request_id: "mcpr_1" },
  { id: "mcpl_1", type: "mcp_list_tools", server_label: "s", tools: [{ name: "f", input_schema: TRAPS }] },
  { id: "fs_1", type: "file_search_call", status: "completed", queries: [], results: [{ file_id: "file_4", attributes: TRAPS }] },
  { id: "msg_2", type: "message", role: "assistant", content: [{ type: "output_text", text: "x", annotations: ANNOTATIONS }] },
] as const;

/** Ids that a whole answer of each path has, besides those that every answer has. */
export const KEPT = {
  chat: ["audio_1"],
  messages: ["msg_1", "container_1", "file_1", "file_2", "file_3"],
  responses: ["resp_1", "msg_1", "msg_2", "ci_1", "mcp_1", "mcpl_1", "fs_1", "cntr_1", "cfile_1", "mcpr_1", "file_4"],
} as const;

/** A whole answer that names what the provider keeps, and repeats what the caller has sent. */
export function keepingWhole(path: string, whole: Fields, body: Fields): Record<string, unknown> {
  if (path.endsWith("/messages")) {
    const [text] = whole["content"] as Fields[]; // as this provider makes it
    return { ...whole, container: CONTAINER, content: [{ ...text, citations: [CITATION] }, ...BLOCKS] };
  }
  if (path.endsWith("/responses")) return keepingResponse(whole, body);
  const [choice] = whole["choices"] as { message: object }[]; // as this provider makes it
  return { ...whole, choices: [{ ...choice, message: { ...choice?.message, audio: AUDIO } }] };
}

function keepingResponse(whole: Fields, body: Fields): Record<string, unknown> {
  const { metadata, tools } = body;
  return { ...whole, metadata, tools, output: [...(whole["output"] as object[]), ...ITEMS] };
}

/** The events of such a stream. */
export function keepingEvents(path: string, events: readonly string[], body: Fields): readonly string[] {
  const more = (lines: readonly Fields[], at: number): readonly string[] => [
    ...events.slice(0, at),
    ...lines.map(named),
    ...events.slice(at),
  ];
  if (path.endsWith("/messages")) {
    const blocks = BLOCKS.map((block, at) => ({ type: "content_block_start", index: at + 1, content_block: block }));
    const cited = { type: "content_block_delta", index: 0, delta: { type: "citations_delta", citation: CITATION } };
    const changed = more([cited, ...blocks], 3).map((event) =>
      event.replace('"stop_sequence":null}', `"stop_sequence":null,"container":${JSON.stringify(CONTAINER)}}`),
    );
    return changed;
  }
  if (path.endsWith("/responses")) {
    const items = ITEMS.map((item, at) => ({ type: "response.output_item.done", output_index: at + 1, item }));
    const part = {
      type: "response.content_part.done",
      item_id: "msg_2",
      part: { type: "output_text", text: "x", annotations: ANNOTATIONS },
    };
    const added = { type: "response.output_text.annotation.added", item_id: "msg_2", annotation: ANNOTATIONS[0] };
    return [...more([...items, part, added], 2).slice(0, -1), completed(events.at(-1) ?? "", body)];
  }
  const chunk = {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta: { audio: AUDIO }, finish_reason: null }],
    usage: null,
  };
  return [...events.slice(0, 1), `data: ${JSON.stringify(chunk)}\n\n`, ...events.slice(1)];
}

function completed(event: string, body: Fields): string {
  const read = JSON.parse(event.slice(event.indexOf("{"))) as { response: Fields }; // as this provider makes it
  return named({ ...read, response: keepingResponse(read.response, body) });
}

function named(event: Fields): string {
  return `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`;
}
