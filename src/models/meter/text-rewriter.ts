import { JSON_BYTES } from "./json-bytes.ts";
import { TextSkipper } from "./text-skipper.ts";

/** Where a text stands that is a value: how deep (the outermost object is 1), under which name, and under which name of the outermost object. Names in lower case. */
export interface TextPlace {
  readonly depth: number;
  readonly name: string;
  readonly top: string;
  /** All names on the way to it: of each object the member, and of each list in one once more. To be looked at at once, since it goes on. */
  readonly levels: readonly { readonly name: string }[];
}

/** What becomes of some texts. */
export interface TextRule {
  /** Whether the text at this place may be another. */
  takes(place: TextPlace): boolean;
  change(text: string, place: TextPlace): string;
}

const { QUOTE, BACKSLASH, COLON, COMMA, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST } = JSON_BYTES;
/** Deeper texts are shown to no rule: nobody else's reader looks for anything there. */
const DEPTH_MAX = 64;
const NOTHING = Buffer.alloc(0);

/** An object or a list that is open, and the name that stands before its texts. */
interface Level {
  readonly isObject: boolean;
  name: string;
}

/**
 * Puts other texts into JSON while it goes by, in pieces of any size: one document, or events with one each. Every text of a rule is shown to it, also where
 * a name comes twice or is written with escapes; all other bytes stay as they are.
 */
export class TextRewriter {
  readonly #rule: TextRule;
  readonly #levels: Level[] = [];
  #reads: "structure" | "name" | "text" | "other" = "structure";
  /** Levels below those that are told apart. */
  #deeper = 0;
  #isNameNext = false;
  #isEscaped = false;
  /** The beginning of a name or a text that came with pieces before. */
  #begun: Buffer = NOTHING;

  constructor(rule: TextRule) {
    this.#rule = rule;
  }

  /** The next piece as it goes on; undefined is the end. */
  push(piece: Uint8Array | undefined): Uint8Array {
    if (!piece) return this.#reads === "text" ? this.#begun : NOTHING;
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    const made: Buffer[] = [];
    let from = 0;
    let start = 0;
    const skip = new TextSkipper(bytes);
    for (let at = 0; at < bytes.length; at++) {
      const code = bytes[at] ?? 0;
      if (this.#reads === "structure") {
        if (code !== QUOTE) {
          this.#structure(code);
          continue;
        }
        start = at;
        if (this.#begin() !== "text") continue;
        made.push(bytes.subarray(from, at));
        from = at;
      } else if (this.#isEscaped) this.#isEscaped = false;
      else if (this.#reads !== "name" && code !== BACKSLASH && code !== QUOTE) {
        at = skip.from(at) - 1;
      } else if (code === BACKSLASH) this.#isEscaped = true;
      else if (code === QUOTE) {
        if (this.#reads === "text") {
          made.push(this.#changed(Buffer.concat([this.#begun, bytes.subarray(from, at + 1)])));
          from = at + 1;
        } else if (this.#reads === "name") this.#name(Buffer.concat([this.#begun, bytes.subarray(start, at + 1)]));
        this.#reads = "structure";
        this.#begun = NOTHING;
        start = 0;
      }
    }
    if (this.#reads === "text") this.#begun = Buffer.concat([this.#begun, bytes.subarray(from)]);
    else {
      made.push(bytes.subarray(from));
      if (this.#reads === "name") this.#begun = Buffer.concat([this.#begun, bytes.subarray(start)]);
    }
    return Buffer.concat(made);
  }

  #structure(code: number): void {
    const isOpening = code === OPEN || code === OPEN_LIST;
    const isClosing = code === CLOSE || code === CLOSE_LIST;
    if (this.#deeper > 0 || (isOpening && this.#levels.length === DEPTH_MAX)) {
      this.#deeper += isOpening ? 1 : isClosing ? -1 : 0;
      this.#isNameNext = false;
      return;
    }
    const level = this.#levels.at(-1);
    if (isOpening) {
      this.#levels.push({ isObject: code === OPEN, name: level?.name ?? "" });
      this.#isNameNext = code === OPEN;
    } else if (isClosing) {
      this.#levels.pop();
      this.#isNameNext = false;
    } else if (code === COMMA) this.#isNameNext = level?.isObject === true;
    else if (code === COLON) this.#isNameNext = false;
  }

  #begin(): "name" | "text" | "other" {
    const reads = this.#isNameNext
      ? "name"
      : this.#levels.length > 0 && this.#deeper === 0 && this.#rule.takes(this.#place())
        ? "text"
        : "other";
    this.#reads = reads;
    return reads;
  }

  #name(raw: Buffer): void {
    const level = this.#levels.at(-1);
    if (level) level.name = decoded(raw).toLowerCase();
  }

  #changed(raw: Buffer): Buffer {
    const text = decoded(raw);
    const changed = this.#rule.change(text, this.#place());
    return changed === text ? raw : Buffer.from(JSON.stringify(changed));
  }

  #place(): TextPlace {
    const levels = this.#levels;
    return { depth: levels.length, name: levels.at(-1)?.name ?? "", top: levels[0]?.name ?? "", levels };
  }
}

/** A text that is not well formed is taken as it stands. */
function decoded(raw: Buffer): string {
  const text = raw.toString("utf8");
  if (!text.includes("\\")) return text.slice(1, -1);
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}
