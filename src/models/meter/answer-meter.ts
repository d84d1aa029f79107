import type { Fault } from "../../kernel/index.ts";
import type { LastPiece } from "../../wire/index.ts";
import type { ProviderProtocol, StreamReader } from "../protocols/protocol.ts";
import type { EventSplitter } from "./event-stream.ts";
import { MemberScanner, OutlineError } from "./members.ts";
import type { ReportedUsage } from "./usage.ts";

/** Reads an answer while it goes by. */
export interface AnswerMeter {
  /** The next piece, as it goes on to the caller; undefined is the end. */
  map(piece: Uint8Array | undefined): Uint8Array | LastPiece | undefined;
  readonly usage: ReportedUsage;
  readonly pieces: number;
  readonly bytes: number;
}

/** An answer of more bytes is broken off. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

/** Reads an answer that comes as a whole, and passes it on byte for byte. */
export class WholeMeter implements AnswerMeter {
  readonly #scanner = new MemberScanner(() => {}, "usage");
  readonly #readUsage: ProviderProtocol["readUsage"];
  #readable = true;
  readonly pieces = 0;
  bytes = 0;

  constructor({ readUsage }: Pick<ProviderProtocol, "readUsage">) {
    this.#readUsage = readUsage;
  }

  map(piece: Uint8Array | undefined): Uint8Array | undefined {
    if (piece === undefined) return undefined;
    this.bytes += piece.length;
    if (this.bytes > ANSWER_BYTES_MAX) throw new RangeError(`an answer over ${ANSWER_BYTES_MAX} bytes`);
    if (this.#readable) this.#scan(piece);
    return piece;
  }

  get usage(): ReportedUsage {
    return this.#readable ? this.#readUsage(this.#scanner.keptValue()) : { kind: "missing" };
  }

  #scan(piece: Uint8Array): void {
    try {
      this.#scanner.push(piece);
    } catch (error) {
      if (!(error instanceof OutlineError)) throw error;
      this.#readable = false; // it is the caller's all the same
    }
  }
}

/** What decides whether a stream goes on. */
export interface StreamRules {
  readonly splitter: EventSplitter;
  readonly reader: StreamReader;
  /** Why it may not go on with what has come so far, or undefined. */
  stop(): Fault | undefined;
  /** What ends it then. */
  ending(fault: Fault): string;
}

/**
 * Reads a stream event by event, and passes complete events on as they came. At the end of what it may use, the stream ends with an error in its
 * own protocol, and the provider's connection with it.
 */
export class StreamMeter implements AnswerMeter {
  readonly #rules: StreamRules;
  #bytes = 0;

  constructor(rules: StreamRules) {
    this.#rules = rules;
  }

  map(piece: Uint8Array | undefined): Uint8Array | LastPiece | undefined {
    if (piece === undefined) return this.#rules.splitter.rest();
    this.#bytes += piece.length;
    if (this.#bytes > ANSWER_BYTES_MAX) throw new RangeError(`an answer over ${ANSWER_BYTES_MAX} bytes`);
    const { reader, splitter } = this.#rules;
    const { events, bytes } = splitter.push(piece);
    const hidden = events.filter((event) => reader.read(event).hide);
    const fault = events.length > 0 && !reader.complete ? this.#rules.stop() : undefined;
    if (fault) return { last: this.ending(fault) };
    if (hidden.length === 0) return bytes;
    return Buffer.concat(events.filter((event) => !hidden.includes(event)).map(({ raw }) => raw));
  }

  /** What ends the stream for this reason. */
  ending(fault: Fault): Uint8Array {
    return Buffer.from(this.#rules.ending(fault));
  }

  /** Whether the stream has said why it ends. */
  get ended(): boolean {
    return this.#rules.reader.ended;
  }

  get usage(): ReportedUsage {
    return this.#rules.reader.usage;
  }

  get pieces(): number {
    return this.#rules.reader.pieces;
  }

  get bytes(): number {
    return this.#rules.reader.bytes;
  }
}
