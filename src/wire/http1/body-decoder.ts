import { Fault } from "../../kernel/index.ts";
import { COLON, CR, HEX, LF, TEXT, TOKEN } from "./characters.ts";

/** Takes the bytes of one body. */
export interface BodySink {
  /** The bytes from `start` to `end`; they are only good during the call. `text` is all of `bytes` as latin1, where somebody has made it. */
  piece(bytes: Buffer, start: number, end: number, text?: string): void;
}

/** How the end of a body is found (RFC 9112, 6.3). */
export type Framing = { readonly kind: "none" | "chunked" | "close" } | { readonly kind: "length"; readonly length: number };

/** Framing of a message without a body. */
export const NO_BODY: Framing = { kind: "none" };
/** Framing in chunks, whose last one is empty. */
export const CHUNKED: Framing = { kind: "chunked" };
/** Framing by the end of the connection, which only an answer may have. */
export const UNTIL_CLOSE: Framing = { kind: "close" };

/** A chunk below 4 GiB. More digits would leave the range in which numbers are exact. */
const SIZE_DIGITS_MAX = 8;
/** Chunk extensions of one body, and its trailer section. */
const EXTENSION_BYTES_MAX = 4 * 1024;
const TRAILER_BYTES_MAX = 8 * 1024;

/** A second framing, behind the body: some readers take it for the next message's. */
const FRAMING = /^(?:content-length|transfer-encoding):/im;

const STATE = {
  done: 0,
  data: 1,
  untilClose: 2,
  size: 3,
  extension: 4,
  sizeEnd: 5,
  chunk: 6,
  chunkCr: 7,
  chunkLf: 8,
  trailerStart: 9,
  trailerName: 10,
  trailerValue: 11,
  trailerLf: 12,
  lastLf: 13,
} as const;

/**
 * Finds the end of bodies, one after the other. Chunk extensions are checked, bounded and dropped: whoever sends on makes its own framing.
 * Trailers are checked, bounded and kept for whoever asks for them.
 */
export class BodyDecoder {
  #state: number = STATE.done;
  #left = 0;
  #digits = 0;
  #extension = 0;
  /** What the last character of a chunk extension was: nothing yet of a name or value, or something. */
  #begun = false;
  #valued = false;
  #trailer = 0;
  #trailers = "";

  get done(): boolean {
    return this.#state === STATE.done;
  }

  /** The body ends with the connection. */
  get untilClose(): boolean {
    return this.#state === STATE.untilClose;
  }

  /** The trailer section of the last body, without its empty line: field lines in latin1, each with its end. Empty when there was none. */
  get trailers(): string {
    return this.#trailers;
  }

  begin(framing: Framing): void {
    this.#trailers = "";
    if (framing.kind === "length") {
      this.#left = framing.length;
      this.#state = framing.length > 0 ? STATE.data : STATE.done;
    } else if (framing.kind === "chunked") {
      this.#state = STATE.size;
      this.#left = this.#digits = this.#extension = this.#trailer = 0;
    } else this.#state = framing.kind === "close" ? STATE.untilClose : STATE.done;
  }

  /** Gives the body's bytes to the sink and says where they end; it is behind the whole body once `done`. Throws `malformed_request`. */
  decode(bytes: Buffer, start: number, sink: BodySink, text?: string): number {
    let at = start;
    while (at < bytes.length && this.#state !== STATE.done) {
      if (this.#state === STATE.data || this.#state === STATE.chunk) at = this.#data(bytes, at, sink, text);
      else if (this.#state === STATE.untilClose) {
        sink.piece(bytes, at, bytes.length, text);
        at = bytes.length;
      } else {
        this.#step(bytes[at] ?? 0);
        at++;
      }
    }
    return at;
  }

  #data(bytes: Buffer, start: number, sink: BodySink, text: string | undefined): number {
    const end = Math.min(bytes.length, start + this.#left);
    this.#left -= end - start;
    if (this.#left === 0) this.#state = this.#state === STATE.chunk ? STATE.chunkCr : STATE.done;
    sink.piece(bytes, start, end, text);
    return end;
  }

  /** One byte of chunked framing. */
  #step(code: number): void {
    switch (this.#state) {
      case STATE.size:
        return this.#size(code);
      case STATE.extension:
        return this.#inExtension(code);
      case STATE.sizeEnd:
        expect(code, LF);
        this.#digits = 0;
        this.#state = this.#left > 0 ? STATE.chunk : STATE.trailerStart;
        return;
      case STATE.chunkCr:
        expect(code, CR);
        this.#state = STATE.chunkLf;
        return;
      case STATE.chunkLf:
        expect(code, LF);
        this.#state = STATE.size;
        return;
      case STATE.lastLf:
        expect(code, LF);
        this.#state = STATE.done;
        return;
      default:
        return this.#inTrailer(code);
    }
  }

  #size(code: number): void {
    const digit = HEX[code] ?? 255;
    if (digit !== 255) {
      if (++this.#digits > SIZE_DIGITS_MAX) throw malformed();
      this.#left = this.#left * 16 + digit;
      return;
    }
    if (this.#digits === 0) throw malformed();
    this.#sizeEnds(code);
  }

  #sizeEnds(code: number): void {
    this.#begun = this.#valued = false;
    if (code === CR) this.#state = STATE.sizeEnd;
    else if (code === 59) this.#state = STATE.extension;
    else throw malformed();
  }

  /** `;name` or `;name=value` of token characters. White space and quoted strings, which are legal and unknown in practice, are read differently by different servers. */
  #inExtension(code: number): void {
    if (++this.#extension > EXTENSION_BYTES_MAX) throw malformed();
    if (TOKEN[code] === 1) this.#begun = true;
    else if (!this.#begun) throw malformed();
    else if (code === 61 && !this.#valued) {
      this.#valued = true;
      this.#begun = false;
    } else this.#sizeEnds(code);
  }

  #inTrailer(code: number): void {
    if (++this.#trailer > TRAILER_BYTES_MAX) throw malformed();
    const state = this.#state;
    if (state === STATE.trailerStart && code === CR) {
      if (this.#trailers !== "" && FRAMING.test(this.#trailers)) throw malformed();
      this.#state = STATE.lastLf;
      return;
    }
    if ((state === STATE.trailerStart || state === STATE.trailerName) && TOKEN[code] === 1) this.#state = STATE.trailerName;
    else if (state === STATE.trailerName && code === COLON) this.#state = STATE.trailerValue;
    else if (state === STATE.trailerValue && code === CR) this.#state = STATE.trailerLf;
    else if (state === STATE.trailerLf && code === LF) this.#state = STATE.trailerStart;
    else if (state !== STATE.trailerValue || TEXT[code] !== 1) throw malformed();
    this.#trailers += String.fromCharCode(code);
  }
}

function expect(code: number, wanted: number): void {
  if (code !== wanted) throw malformed();
}

function malformed(): Fault {
  const detail = "The body is not framed as HTTP/1.1 says.";
  return new Fault("malformed_request", detail, { public: { detail } });
}
