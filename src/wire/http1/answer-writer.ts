import type { Socket } from "node:net";
import { TEXT_BYTES_MAX } from "../request-pass.ts";
import { writeLate } from "./write-batch.ts";

/** Puts answers on a connection. Small pieces are gathered, so that a small answer is one write. */
export class AnswerWriter {
  readonly #socket: Socket;
  #out = "";
  #chunked = false;
  /** The caller takes no more for now. */
  blocked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  begin(head: string, chunked: boolean): void {
    this.#chunked = chunked;
    this.#out += head;
  }

  /** Bytes of the body, which must not change afterwards. */
  write(bytes: Uint8Array): void {
    if (bytes.length <= TEXT_BYTES_MAX) return this.writeText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"));
    if (this.#chunked) this.#out += `${bytes.length.toString(16)}\r\n`;
    this.flush();
    if (!this.#socket.write(bytes)) this.blocked = true;
    if (this.#chunked) this.#out += "\r\n";
  }

  /** Bytes of the body as latin1. */
  writeText(latin1: string): void {
    if (latin1 === "") return; // a chunk without bytes would be the last one
    this.#out += this.#chunked ? `${latin1.length.toString(16)}\r\n${latin1}\r\n` : latin1;
  }

  end(): void {
    if (this.#chunked) this.#out += "0\r\n\r\n";
    this.#chunked = false;
  }

  flush(): void {
    if (this.#out === "") return;
    const out = this.#out;
    this.#out = "";
    if (!writeLate(this.#socket, out)) this.blocked = true;
  }
}
