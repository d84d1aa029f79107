import type { Client } from "../support/freehold-client.ts";

/** A request line, field lines and a body, as they go over the wire. */
export interface RawRequest {
  readonly method?: string;
  readonly target?: string;
  /** Added to Host, Authorization, Content-Type and Content-Length, which they replace where they have the same name. */
  readonly lines?: readonly string[];
  readonly body?: string;
  /** Sends the body in one chunk with these trailers. */
  readonly trailers?: readonly string[];
}

/** What came back, once the connection was closed. */
export interface RawReply {
  readonly status: number;
  readonly code: string;
  readonly text: string;
}

/** Sends the request on a connection of its own, exactly as written. */
export async function sendRaw(client: Client, request: RawRequest): Promise<RawReply> {
  const text = await client.raw(toBytes(client, request), isWhole);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0);
  const body = text.slice(text.indexOf("\r\n\r\n") + 4);
  const code = status >= 400 ? String((JSON.parse(body) as Record<string, unknown>)["code"]) : "";
  return { status, code, text };
}

/** Whether one answer is there: a request may ask for its connection to stay open. */
function isWhole(received: Buffer): boolean {
  const head = received.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(received.toString("latin1", 0, head + 2))?.[1];
  return head !== -1 && length !== undefined && received.length >= head + 4 + Number(length);
}

function toBytes(client: Client, { method = "POST", target = "/api/chat", lines = [], body = "", trailers }: RawRequest): Buffer {
  const given = new Set(lines.map((line) => line.slice(0, line.indexOf(":")).toLowerCase().trim()));
  const usual = [
    "Host: localhost",
    ...Object.entries(client.credential).map(([name, value]) => `${name}: ${value}`),
    ...(body === "" ? [] : ["Content-Type: application/json"]),
    ...(body === "" || trailers ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
    "Connection: close",
  ].filter((line) => !given.has(line.slice(0, line.indexOf(":")).toLowerCase()));
  const sent = trailers ? `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n${trailers.join("\r\n")}\r\n\r\n` : body;
  return Buffer.from([`${method} ${target} HTTP/1.1`, ...usual, ...lines, "", sent].join("\r\n"), "utf8");
}
