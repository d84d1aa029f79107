import type { HeaderEdit } from "../http.ts";
import { TEXT_BYTES_MAX } from "../request-pass.ts";
import type { SocketWriter } from "./socket-writer.ts";

/** Puts answers on a connection. Small pieces are gathered, so that a small answer is one write. */
export class AnswerWriter {
  readonly #writer: SocketWriter;
  #chunked = false;

  constructor(writer: SocketWriter) {
    this.#writer = writer;
  }

  begin(head: string, chunked: boolean): void {
    this.#chunked = chunked;
    this.#writer.text(head);
  }

  /** Bytes of the body, which must not change afterwards. */
  write(bytes: Uint8Array): void {
    if (bytes.length <= TEXT_BYTES_MAX) return this.writeText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"));
    if (this.#chunked) this.#writer.text(`${bytes.length.toString(16)}\r\n`);
    this.#writer.bytes(bytes);
    if (this.#chunked) this.#writer.text("\r\n");
  }

  /** Bytes of the body as latin1. */
  writeText(latin1: string): void {
    if (latin1 === "") return; // a chunk without bytes would be the last one
    this.#writer.text(this.#chunked ? `${latin1.length.toString(16)}\r\n${latin1}\r\n` : latin1);
  }

  end(trailers?: HeaderEdit): void {
    if (this.#chunked) this.#writer.text(trailers ? `0\r\n${trailers.text()}\r\n` : "0\r\n\r\n");
    this.#chunked = false;
  }
}
