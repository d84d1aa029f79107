import { JSON_BYTES } from "./json-bytes.ts";

const { QUOTE, BACKSLASH } = JSON_BYTES;
/** So many bytes are looked at one by one before somebody faster is asked, who takes as long to be asked. */
const NEAR = 48;

/** Finds where something happens in a text: its end, or a backslash. Prompts and files are long, and nothing else of them is looked at. */
export class TextSkipper {
  readonly #bytes: Uint8Array;
  readonly #whole: Buffer;
  #quote = -1;
  #slash = -1;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** From here on the first quote or backslash, or the end of the bytes. */
  from(start: number): number {
    const bytes = this.#bytes;
    const near = Math.min(bytes.length, start + NEAR);
    for (let at = start; at < near; at++) if (bytes[at] === QUOTE || bytes[at] === BACKSLASH) return at;
    if (this.#quote < near) this.#quote = this.#find(QUOTE, near);
    if (this.#slash < near) this.#slash = this.#find(BACKSLASH, near);
    return Math.min(this.#quote, this.#slash);
  }

  #find(byte: number, from: number): number {
    const at = this.#whole.indexOf(byte, from);
    return at === -1 ? this.#whole.length : at;
  }
}
