import { READ_BUFFER } from "./raw-socket.ts";
import { TEXT_BYTES_MAX } from "../request-pass.ts";

/**
 * What a caller sent and nobody has used. While it is read through it stands where the socket was read into, which the next read of any
 * socket uses again; what is left after that is copied.
 */
export class CallerInput {
  /** How far it was used. */
  at = 0;
  #bytes: Buffer | undefined;
  #text: string | undefined;
  #open = false;

  /** It is being read through. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** What is here, read through at the moment or waiting; it is used from {@link at} on. */
  get bytes(): Buffer | undefined {
    return this.#bytes;
  }

  /** Begins to read through what was left and these bytes behind it. */
  open(bytes: Buffer): Buffer {
    const rest = this.#bytes;
    const whole = rest ? Buffer.concat([this.at === 0 ? rest : rest.subarray(this.at), bytes]) : bytes;
    this.#bytes = whole;
    this.at = 0;
    this.#open = true;
    return whole;
  }

  /** Begins to read through what was left; undefined when nothing was. */
  reopen(): Buffer | undefined {
    this.#open = this.#bytes !== undefined;
    return this.#bytes;
  }

  /** All that is being read through as latin1, made once; undefined when that is long. */
  text(): string | undefined {
    const bytes = this.#bytes;
    if (bytes === undefined || bytes.length > TEXT_BYTES_MAX) return undefined;
    return (this.#text ??= bytes.toString("latin1"));
  }

  /** The text, if somebody has asked for it since the reading began. */
  get madeText(): string | undefined {
    return this.#text;
  }

  /** Ends the reading. What was not used is kept if it is wanted; true when something is left then. */
  close(wanted: boolean): boolean {
    const bytes = this.#bytes;
    this.#open = false;
    this.#text = undefined;
    if (bytes === undefined || !wanted || this.at >= bytes.length) {
      this.drop();
      return false;
    }
    if (bytes.buffer !== READ_BUFFER.buffer) return true;
    this.#bytes = Buffer.from(bytes.subarray(this.at));
    this.at = 0;
    return true;
  }

  /** What is here was used up to there. */
  use(at: number): void {
    this.at = at;
    if (!this.#open && at >= (this.#bytes?.length ?? 0)) this.drop();
  }

  /** Nothing of it is wanted. */
  drop(): void {
    this.#bytes = undefined;
    this.at = 0;
  }
}
