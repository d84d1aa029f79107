import { JSON_BYTES } from "./json-bytes.ts";
import { TextSkipper } from "./text-skipper.ts";

/** A member of the outermost object of a JSON text: its name and where its value stands, in bytes. */
export interface Member {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

const DEPTH_MAX = 256;
const NAME_BYTES_MAX = 256;
const KEPT_BYTES_MAX = 64 * 1024;

const { QUOTE, BACKSLASH, COLON, COMMA, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST } = JSON_BYTES;

type State = "start" | "first" | "name" | "colon" | "value" | "scalar" | "text" | "nested" | "nested-text" | "after" | "next" | "done";

/** The text is no object of JSON, as far as its outline goes. */
export class OutlineError extends Error {
  /** Where something stands behind the end of the object, counted from 0; undefined for every other mistake. */
  readonly endedBefore: number | undefined;

  constructor(message: string, endedBefore?: number) {
    super(message);
    this.endedBefore = endedBefore;
  }
}

/**
 * Finds the members of the outermost object while its bytes go by, and reads nothing of their values: whatever size they have, it holds no
 * more than one name. It checks the outline (quotes, brackets, commas), so that another reader cannot find other members.
 */
export class MemberScanner {
  readonly #onMember: (member: Member) => void;
  readonly #kept: string | undefined;
  readonly #keptBytes: number[] = [];
  #state: State = "start";
  #escaped = false;
  #at = 0;
  #valueStart = 0;
  #endedAt = 0;
  #name: number[] = [];
  #memberName = "";
  /** Which bracket closes each open one; what is deeper is refused. */
  readonly #open: number[] = [];

  /** The bytes of the member `kept` are held, for one that is small. */
  constructor(onMember: (member: Member) => void, kept?: string) {
    this.#onMember = onMember;
    this.#kept = kept;
  }

  /** The next bytes. Throws `OutlineError`. */
  push(bytes: Uint8Array): void {
    const skip = new TextSkipper(bytes);
    for (let at = 0; at < bytes.length; at++) {
      const isKept = this.#memberName === this.#kept;
      if (!isKept && !this.#escaped && (this.#state === "text" || this.#state === "nested-text")) {
        const next = skip.from(at);
        this.#at += next - at;
        at = next;
        if (at === bytes.length) return;
      }
      const byte = bytes[at] ?? 0;
      this.#step(byte);
      if (isKept && this.#inValue) this.#keep(byte);
      this.#at++;
    }
  }

  /** No more bytes. Throws `OutlineError` unless the object is complete. */
  end(): void {
    if (this.#state !== "done") throw new OutlineError("the object is not complete");
  }

  /** The value of the member that is held, as JSON; undefined where it did not come, or was none. */
  keptValue(): unknown {
    if (this.#keptBytes.length === 0) return undefined;
    try {
      return JSON.parse(Buffer.from(this.#keptBytes).toString("utf8"));
    } catch {
      return undefined; // it came in part only
    }
  }

  get #inValue(): boolean {
    const state = this.#state;
    // the last byte of a text or of something nested has ended it
    const ended = state === "after" && this.#endedAt === this.#at + 1;
    return state === "scalar" || state === "text" || state === "nested" || state === "nested-text" || ended;
  }

  #keep(byte: number): void {
    if (this.#keptBytes.length < KEPT_BYTES_MAX) this.#keptBytes.push(byte);
  }

  #step(byte: number): void {
    switch (this.#state) {
      case "name":
        return this.#inName(byte);
      case "text":
      case "nested-text":
        return this.#inText(byte);
      case "nested":
        return this.#inNested(byte);
      case "scalar":
        if (byte !== COMMA && byte !== CLOSE && !isSpace(byte)) return;
        this.#tell(this.#at);
        return this.#between(byte);
      default:
        return this.#between(byte);
    }
  }

  #inName(byte: number): void {
    if (!this.#escaped && byte === QUOTE) {
      this.#memberName = decodeName(this.#name);
      this.#name = [];
      this.#state = "colon";
      return;
    }
    this.#escaped = !this.#escaped && byte === BACKSLASH;
    this.#name.push(byte);
    if (this.#name.length > NAME_BYTES_MAX) throw new OutlineError("a name is too long");
  }

  #inText(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) {
      if (this.#state === "nested-text") this.#state = "nested";
      else this.#tell(this.#at + 1);
    }
  }

  #inNested(byte: number): void {
    if (byte === QUOTE) this.#state = "nested-text";
    else if (byte === OPEN || byte === OPEN_LIST) this.#enter(byte);
    else if (byte === CLOSE || byte === CLOSE_LIST) {
      if (this.#open.pop() !== byte) throw new OutlineError("a bracket is closed by another");
      if (this.#open.length === 0) this.#tell(this.#at + 1);
    }
  }

  #enter(byte: number): void {
    if (this.#open.length >= DEPTH_MAX) throw new OutlineError("it is nested too deeply");
    this.#open.push(byte === OPEN ? CLOSE : CLOSE_LIST);
    this.#state = "nested";
  }

  #between(byte: number): void {
    if (isSpace(byte)) return;
    const state = this.#state;
    if (state === "start" && byte === OPEN) this.#state = "first";
    else if ((state === "first" || state === "next") && byte === QUOTE) this.#state = "name";
    else if (state === "colon" && byte === COLON) this.#state = "value";
    else if (state === "value") this.#beginValue(byte);
    else if (state === "after" && byte === COMMA) this.#state = "next";
    else if ((state === "after" || state === "first") && byte === CLOSE) this.#state = "done";
    else throw new OutlineError(`a character that may not stand at byte ${this.#at + 1}`, state === "done" ? this.#at : undefined);
  }

  #beginValue(byte: number): void {
    this.#valueStart = this.#at;
    if (byte === QUOTE) this.#state = "text";
    else if (byte === OPEN || byte === OPEN_LIST) this.#enter(byte);
    else if (byte === COMMA || byte === CLOSE || byte === CLOSE_LIST || byte === COLON) throw new OutlineError("a value is missing");
    else this.#state = "scalar";
  }

  #tell(end: number): void {
    this.#state = "after";
    this.#endedAt = end;
    this.#onMember({ name: this.#memberName, start: this.#valueStart, end });
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function decodeName(bytes: readonly number[]): string {
  const text = Buffer.from(bytes).toString("utf8");
  if (!text.includes("\\")) return text;
  try {
    return String(JSON.parse(`"${text}"`));
  } catch {
    throw new OutlineError("a name is not well formed");
  }
}

/** The members of a whole text. Throws `OutlineError`, also when a name comes twice: two readers would take two values. */
export function readMembers(bytes: Uint8Array): ReadonlyMap<string, Member> {
  const members = new Map<string, Member>();
  const scanner = new MemberScanner((member) => {
    if (members.has(member.name)) throw new OutlineError(`the member ${JSON.stringify(member.name)} comes twice`);
    members.set(member.name, member);
  });
  scanner.push(bytes);
  scanner.end();
  return members;
}

/** The value of a member, or undefined where there is none. Throws `OutlineError` when it is not JSON. */
export function valueOf(bytes: Uint8Array, member: Member | undefined): unknown {
  if (!member) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + member.start, member.end - member.start).toString("utf8"));
  } catch {
    throw new OutlineError(`the value of ${JSON.stringify(member.name)} is not JSON`);
  }
}

/** The same text with these values in place of those that are there, and at the beginning where there are none. All other bytes stay as they are. */
export function withMembers(
  bytes: Uint8Array,
  members: ReadonlyMap<string, Member>,
  values: Readonly<Record<string, unknown>>,
): Uint8Array {
  const names = Object.keys(values);
  if (names.length === 0) return bytes;
  const added = names.filter((name) => !members.has(name)).map((name) => `${JSON.stringify(name)}:${JSON.stringify(values[name])}`);
  const changed = names.flatMap((name) => members.get(name) ?? []).toSorted((a, b) => a.start - b.start);
  const open = bytes.indexOf(OPEN) + 1;
  const pieces: Uint8Array[] = [bytes.subarray(0, open), Buffer.from(added.join(",") + (added.length > 0 && members.size > 0 ? "," : ""))];
  let at = open;
  for (const { name, start, end } of changed) {
    pieces.push(bytes.subarray(at, start), Buffer.from(JSON.stringify(values[name])));
    at = end;
  }
  pieces.push(bytes.subarray(at));
  return Buffer.concat(pieces);
}
