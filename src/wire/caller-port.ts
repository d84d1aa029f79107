import type { Fault } from "../kernel/index.ts";
import type { WireExchange } from "./exchange.ts";
import type { BodySink } from "./http1/body-decoder.ts";
import type { UpstreamConnection } from "./http1/upstream-connection.ts";
import type { Answer, HeaderEdit } from "./http.ts";

/** Takes the body of a request as it comes. */
export interface RequestSink extends BodySink {
  /** The pieces so far came in one turn; what was made of them can go out. */
  flush(): void;
  end(): void;
  /** There will be no proper end. */
  fail(fault: Fault): void;
}

/**
 * The caller's half of one exchange, whatever protocol it speaks. An answer is `begin`, any number of `write`, `finish`; nothing leaves
 * before `flush`, so that a small answer is one write to the socket.
 */
export interface CallerPort {
  /** What is told to a caller whose request cannot be served. */
  refusal(fault: Fault): Answer;
  /** Asks for the body of this exchange, which comes at once as far as it is here. */
  takeBody(exchange: WireExchange, sink: RequestSink): void;
  pauseBody(): void;
  resumeBody(): void;
  /** The head of an interim answer before it. Lost where a caller cannot have one, or takes nothing at the moment. */
  interim(status: number, fields: HeaderEdit): void;
  /** The head of the answer. `length` is the body's; undefined when it is not known. `bodyless`: none will follow, whatever its length. */
  begin(status: number, fields: HeaderEdit, length: number | undefined, bodyless: boolean): void;
  /** Body bytes, which must not change afterwards. */
  write(bytes: Uint8Array): void;
  /** Body bytes as latin1. */
  writeText(latin1: string): void;
  /** The proper end of the answer, with the fields behind its body, if {@link WireExchange.trails}. The exchange is over for the caller then. */
  finish(trailers?: HeaderEdit): void;
  /** Sends what is there. False when the caller takes no more for now: `onDrain` of the exchange follows. */
  flush(): boolean;
  /** Answers with 101 and joins the caller's connection with the upstream's. Only after a request to change the protocol. */
  join(fields: HeaderEdit, protocol: string, upstream: UpstreamConnection): void;
  /** Breaks the answer so that it never looks whole. */
  reset(): void;
}
