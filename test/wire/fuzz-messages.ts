import { TEXT_BYTES_MAX } from "../../src/wire/request-pass.ts";

/** Random numbers that a seed repeats. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A whole number from 0 up to, but without, `sides` (mulberry32). */
  roll(sides: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % sides;
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[this.roll(from.length)] ?? from[0];
  }
}

const METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "FETCH", "TRACE"] as const;
const TARGETS = ["/", "/a", "/a/b?c=d", "/%41", "*", "http://b/", "//x", "/a b", "/\u00e9", "/a#b", "/~!$&'()*+,=:@"] as const;
const VERSIONS = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 "] as const;
const LINES = [
  "X-A: b",
  "x-long: some words, and more",
  "X-Empty:",
  "X-Tab:\ta\t",
  "X-Obs: \u00e9\u00ff",
  "X_Under: 1",
  "Accept: */*",
  "Cookie: a=b; c=d",
  "Connection: keep-alive",
  "Connection: close",
  "Connection: X-A",
  "Expect: 100-continue",
  "Content-Length: 0",
  "Content-Length: 5",
  "Content-Length: +5",
  "Content-Length: 5, 5",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding:\u000bchunked",
  "Transfer-Encoding : chunked",
  " folded",
  "no colon",
  ": no name",
  "Host: b",
] as const;
const BYTES = [
  "\r",
  "\n",
  "\0",
  " ",
  "\t",
  ":",
  ";",
  ",",
  "0",
  "5",
  "a",
  "\u007f",
  "\u0080",
  "\r\n",
  "\r\n\r\n",
  "\n\n",
  "chunked",
  "HTTP/1.1",
] as const;
const CHUNKS = [
  "0\r\n\r\n",
  "5\r\nhello\r\n0\r\n\r\n",
  "5;a=b\r\nhello\r\n0\r\n\r\n",
  "5 ;a\r\nhello\r\n0\r\n\r\n",
  "05\r\nhello\r\n0\r\nX-T: u\r\n\r\n",
  "5\nhello\n0\n\n",
  "5\r\nhello0\r\n\r\n",
  "FFFFFFFFF\r\n",
  "-1\r\n",
  "1\r\na\r\n1\r\nb\r\n000\r\n\r\n",
  '5;a="b"\r\nhello\r\n0\r\n\r\n',
  "0\r\nX-Sum: 1\r\nx-sum:\t2 \r\nContent-Length: 3\r\n\r\n",
  "0\r\n folded: a\r\n\r\n",
  "0\r\nX-A : b\r\n\r\n",
] as const;
const STATUS_LINES = [
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 OK",
  "HTTP/1.0 200 OK",
  "HTTP/1.1 204 No Content",
  "HTTP/1.1 304 Not Modified",
  "HTTP/1.1 404",
  "HTTP/1.1 200 ",
  "HTTP/1.1 20 OK",
  "HTTP/2 200 OK",
  "HTTP/1.1  200 OK",
  "HTTP/1.1 100 Continue",
] as const;

/** A few requests, latin1, some as they should be and most with something wrong. */
export function makeRequests(dice: Dice): string {
  let text = "";
  // most are few and short; some are many in one read, and some are longer than what is made into text at once
  for (let i = dice.roll(dice.roll(20) === 0 ? 12 : 3); i >= 0; i--) text += makeRequest(dice);
  return mutate(text, dice);
}

/** Cuts bytes into reads of any size: one, a few, or many small ones; at times next to a border that the readers know. */
export function cut(bytes: Buffer, dice: Dice): Buffer[] {
  const places = new Set<number>();
  const kind = dice.roll(8);
  if (kind < 5) for (let i = dice.roll(5); i > 0; i--) places.add(dice.roll(bytes.length + 1));
  else if (kind === 5) for (let at = 0; at < bytes.length; at += 1 + dice.roll(40)) places.add(at);
  else if (kind === 6) for (const at of [TEXT_BYTES_MAX - 1, TEXT_BYTES_MAX, TEXT_BYTES_MAX + 1]) places.add(Math.min(at, bytes.length));
  else for (let at = bytes.indexOf("\r\n"); at !== -1; at = bytes.indexOf("\r\n", at + 1)) places.add(at + dice.roll(3));
  const pieces: Buffer[] = [];
  let from = 0;
  for (const to of [...places, bytes.length].toSorted((a, b) => a - b)) {
    if (to > from) pieces.push(bytes.subarray(from, to));
    from = Math.max(from, to);
  }
  return pieces;
}

/** One answer of an upstream, latin1. */
export function makeResponse(dice: Dice): string {
  const lines = [dice.pick(STATUS_LINES), ...makeLines(dice)];
  return mutate(`${lines.join("\r\n")}\r\n\r\n${makeBody(lines, dice)}`, dice);
}

function makeRequest(dice: Dice): string {
  const plain = dice.roll(3) > 0;
  const first = plain
    ? `${METHODS[dice.roll(7)]} ${TARGETS[dice.roll(4)]} HTTP/1.1`
    : `${dice.pick(METHODS)} ${dice.pick(TARGETS)} ${dice.pick(VERSIONS)}`;
  const lines = [first, "Host: a.example", ...makeLines(dice)];
  return `${dice.roll(12) === 0 ? "\r\n" : ""}${lines.join("\r\n")}\r\n\r\n${makeBody(lines, dice)}`;
}

function makeLines(dice: Dice): string[] {
  const lines: string[] = [];
  for (let i = dice.roll(4); i > 0; i--) lines.push(dice.roll(4) === 0 ? dice.pick(LINES) : (LINES[dice.roll(9)] ?? ""));
  if (dice.roll(60) === 0) lines.push(`X-Pad: ${"p".repeat(dice.roll(12_000))}`);
  const framing = dice.roll(5);
  if (dice.roll(60) === 0) lines.push(`Content-Length: ${dice.roll(20_000)}`);
  else if (framing === 0) lines.push("Content-Length: 5");
  if (framing === 1) lines.push("Transfer-Encoding: chunked");
  return lines;
}

function makeBody(lines: readonly string[], dice: Dice): string {
  const chunked = lines.some((line) => line.startsWith("Transfer-Encoding"));
  if (chunked) return dice.roll(30) === 0 ? makeLongChunk(dice) : dice.pick(CHUNKS);
  const length = lines.find((line) => /^Content-Length: [0-9]+$/.test(line))?.slice(16) ?? 0;
  return length === "5" ? "hello" : "b".repeat(Number(length));
}

function makeLongChunk(dice: Dice): string {
  const length = 1 + dice.roll(20_000);
  return `${length.toString(16)}\r\n${"c".repeat(length)}\r\n${dice.pick(CHUNKS)}`;
}

/** None, one or a few changes anywhere. */
function mutate(text: string, dice: Dice): string {
  let changed = text;
  for (let i = dice.roll(8) < 5 ? 0 : 1 + dice.roll(3); i > 0; i--) {
    const at = dice.roll(changed.length + 1);
    const what = dice.roll(4);
    if (what === 0) changed = changed.slice(0, at) + dice.pick(BYTES) + changed.slice(at);
    else if (what === 1) changed = changed.slice(0, at) + changed.slice(at + 1 + dice.roll(3));
    else if (what === 2) changed = changed.slice(0, at) + dice.pick(BYTES) + changed.slice(at + 1);
    else changed = changed.slice(0, at) + String.fromCharCode(dice.roll(256)) + changed.slice(at + 1);
  }
  return changed;
}
