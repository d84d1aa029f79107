import type { Duplex } from "node:stream";
import type { Fault } from "../kernel/index.ts";

/** Header fields as they arrived: order, case and repetition kept. Lookup folds case only. */
export interface HeaderList {
  /** Every field as [name, value], in the order of arrival. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** The only value of the field, undefined when absent. Throws `malformed_request` when the field came more than once. */
  one(name: string): string | undefined;
  /** All values of the field. */
  all(name: string): readonly string[];
}

/**
 * A request target in origin form, checked once. What is authorised is what is forwarded, byte for byte.
 * Guaranteed: begins with one slash, no empty or dot segment, no encoded slash, backslash, NUL, percent or control character, no
 * semicolon parameters, ASCII only, valid percent-encoding of UTF-8.
 */
export interface Target {
  /** As it arrived. */
  readonly raw: string;
  /** The part before `?`, as it arrived. */
  readonly path: string;
  /** The decoded segments of the path; `/` alone has none. */
  readonly segments: readonly string[];
  /** The part after `?`, as it arrived; empty when absent. */
  readonly query: string;
}

/** Everything known before the body is read. */
export interface RequestHead {
  readonly method: string;
  readonly target: Target;
  readonly headers: HeaderList;
  /** Host header without port, lower case; checked to be a host name or address. Undefined only for HTTP/1.0. */
  readonly host: string | undefined;
  readonly remoteAddress: string;
}

/** One answer. */
export interface Answer {
  readonly status: number;
  /** Lower-case names. A value with CR, LF or NUL is refused when it is sent. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes, or pieces that are sent as they come. A stream that throws ends the connection without a proper end, so that it never looks whole. */
  readonly body: Uint8Array | string | AsyncIterable<Uint8Array | string> | undefined;
}

/** One request and the place for its answer. */
export interface Exchange {
  readonly head: RequestHead;
  /** Aborts when the caller goes away or the server closes for good. */
  readonly signal: AbortSignal;
  /** The whole body. Throws `body_too_large` over `bytesMax`, `malformed_request` when it is cut short. May be called once. */
  readBody(bytesMax: number): Promise<Uint8Array>;
}

/** A request to change the protocol (RFC 9110, 7.8). The socket is the caller's, `early` what it sent ahead. */
export interface UpgradeExchange {
  readonly head: RequestHead;
  readonly socket: Duplex;
  readonly early: Buffer;
  /** Refuses with an ordinary answer and closes. */
  refuse(answer: Answer): void;
}

/** What the house puts behind a listening port. */
export interface HttpHandler {
  /** Must always give an answer and never throw. */
  handle(exchange: Exchange): Promise<Answer>;
  upgrade(exchange: UpgradeExchange): Promise<void>;
  /** The answer to a request that could not be read. */
  refuse(fault: Fault): Answer;
}

/** A listening port. */
export interface HttpServer {
  /** `http://host:port`. */
  readonly url: string;
  /** Stops taking requests, lets those under way end within `graceMs`, then closes their connections. */
  close(graceMs: number): Promise<void>;
}
