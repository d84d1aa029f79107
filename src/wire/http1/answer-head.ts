import { STATUS_CODES } from "node:http";
import type { HeaderEdit } from "../http.ts";

const lines: string[] = [];
let date = "";
let dateMs = -Infinity;
const SECOND_MS = 1_000;

/** The interim answer that a caller waits for before it sends its body. */
export const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** The head of the answer that ends HTTP on its connection. */
export function switchHead(fields: HeaderEdit, protocol: string): string {
  return `${statusLine(101)}${fields.text()}connection: upgrade\r\nupgrade: ${protocol}\r\n\r\n`;
}

/** The head of an answer that precedes the final one. */
export function interimHead(status: number, fields: HeaderEdit): string {
  return `${statusLine(status)}${fields.text()}\r\n`;
}

/** The head of an answer up to its empty line, with the framing that the wire has chosen. */
export function answerHead(status: number, fields: HeaderEdit, length: number | undefined, chunked: boolean, last: boolean): string {
  const dated = fields.get("date") === undefined ? dateLine() : "";
  const framing = length !== undefined ? `content-length: ${length}\r\n` : chunked ? "transfer-encoding: chunked\r\n" : "";
  return `${statusLine(status)}${fields.text()}${dated}${framing}${last ? "connection: close\r\n\r\n" : "\r\n"}`;
}

function statusLine(status: number): string {
  return (lines[status] ??= `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`);
}

/** RFC 9110, 6.6.1: it has whole seconds, so it is made once in each. */
function dateLine(): string {
  const now = Date.now();
  if (now - dateMs < SECOND_MS && now >= dateMs) return date;
  dateMs = now - (now % SECOND_MS);
  date = `date: ${new Date(now).toUTCString()}\r\n`;
  return date;
}
