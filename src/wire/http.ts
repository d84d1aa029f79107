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
  /** Some name has an underscore or a dot, which other readers take for a hyphen. */
  readonly odd: boolean;
  /**
   * A copy to send on: order, case and repetition kept, without what belongs to this connection (RFC 9110, 7.6.1: Connection and what it
   * names, Keep-Alive, Proxy-Connection, TE, Trailer, Upgrade) and without framing and Expect. Bytes that nobody edits are not read again.
   */
  edit(): HeaderEdit;
}

/** Header fields on their way to somebody else. Names fold case. Setting a name or value with CR, LF, NUL or another byte that is not allowed throws `upstream_invalid`. */
export interface HeaderEdit {
  /** All values, joined by a comma and a space; undefined when absent. */
  get(name: string): string | undefined;
  /** Replaces every field of the name by one. */
  set(name: string, value: string): void;
  /** One more field of the name. */
  add(name: string, value: string): void;
  remove(name: string): void;
  /** Removes every field of these names, which are in lower case. A set that is used again is faster than names one by one. */
  removeAll(names: ReadonlySet<string>): void;
  /**
   * More fields, each as `name: value` with its line end; `names` are theirs, in lower case, and may be more. Nothing in the lines is checked:
   * they are made of what was checked before.
   */
  append(lines: string, names: ReadonlySet<string>): void;
  /** Every field as [name, value]. */
  fields(): readonly (readonly [name: string, value: string])[];
  /** The lines as they are sent, each with its line end; latin1. */
  text(): string;
}

/**
 * A request target in origin form, checked once. What is authorised is what is forwarded, byte for byte.
 * Guaranteed: begins with one slash, no dot segment, no empty segment but one at the end (a trailing slash), no encoded slash, backslash, NUL, percent or control character, no
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
  /** The value of the Host field as it came, port included. */
  readonly authority: string | undefined;
  readonly scheme: "http" | "https";
  readonly version: "1.0" | "1.1" | "2";
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

/** One answer. */
export interface Answer {
  readonly status: number;
  /** Lower-case names; a list is one field for each value. A value with CR, LF or NUL is refused when it is sent. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Bytes, or pieces that are sent as they come. A stream that throws ends the connection without a proper end, so that it never looks whole. */
  readonly body: Uint8Array | string | AsyncIterable<Uint8Array | string> | undefined;
  /** How many bytes a body of pieces has, where that is known before. One that has another number ends without a proper end. */
  readonly bodyBytes?: number;
}

/** One request and the place for its answer. It is answered exactly once: by what `handle` gives, by `answer` or by `forward`. */
export interface Exchange {
  readonly head: RequestHead;
  /** Aborts when the caller goes away, the server closes for good or the exchange is stopped. Made when it is first asked for. */
  readonly signal: AbortSignal;
  /** Whether a body follows the head. */
  readonly hasBody: boolean;
  /** The whole body. Throws `body_too_large` over `bytesMax`, `malformed_request` when it is cut short. May be called once. */
  readBody(bytesMax: number): Promise<Uint8Array>;
  /**
   * The body in pieces, read from the caller only as fast as they are taken. Throws `body_too_large`, `malformed_request` when it is cut short, and
   * the signal's reason when that aborts. May be called once, instead of `readBody`.
   */
  streamBody(bytesMax: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Answers an exchange that `handle` kept for itself. */
  answer(answer: Answer): void;
  /** Sends the request on and its answer back, from connection to connection; the handler only sees heads. */
  forward(forward: Forward): void;
  /** Ends it at once, whatever is under way: with this answer where none was begun, otherwise broken off, so that it never looks whole. */
  stop(answer: () => Answer): void;
  /** Called once, when nothing of the exchange is open any more: the answer was handed to the connection, or one of the two sides is gone. */
  onEnd(listener: (end: ExchangeEnd) => void): void;
}

/** How an exchange ended, for logs, metrics and whatever has to be given back. */
export interface ExchangeEnd {
  /** Status of the answer; 0 when none was begun. */
  readonly status: number;
  /** The caller went away before the answer was complete. */
  readonly aborted: boolean;
  /** Body bytes taken from the caller and sent to it. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Where to connect to. Equal fields are the same origin. */
export interface Origin {
  readonly host: string;
  readonly port: number;
  /** Undefined for plain TCP. */
  readonly tls: OriginTls | undefined;
}

/** How an upstream's certificate is checked and which one is shown to it. */
export interface OriginTls {
  readonly serverName: string | undefined;
  readonly verify: boolean;
  /** PEM. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** Milliseconds. `readMs` and `sendMs` are between two pieces, not for the whole. */
export interface ForwardTimeouts {
  readonly connectMs: number;
  readonly sendMs: number;
  readonly readMs: number;
}

/** Idle connections to upstreams. They are kept per `owner` (the tenant; empty for none) and origin and never cross either. */
export interface UpstreamPool {
  /** Idle and busy connections now. */
  size(): { readonly idle: number; readonly busy: number };
  close(): void;
}

/** One try at one upstream. */
export interface Forward {
  readonly pool: UpstreamPool;
  /** Whose connections may be used: the tenant's uuid, or empty. */
  readonly owner: string;
  readonly origin: Origin;
  /** Idle connections kept for this owner and origin, how long, and for how many requests each; 0 keeps none. */
  readonly keepAlive: { readonly idleMax: number; readonly idleMs: number; readonly requestsMax: number };
  readonly method: string;
  /** Path and query as sent: visible ASCII. */
  readonly target: string;
  /** Host included; framing is made by wire. */
  readonly headers: HeaderEdit;
  /** The caller's body as it comes, re-framed, or these bytes instead of it. `pass` after `readBody` is a mistake that throws. */
  readonly body: "pass" | Uint8Array | undefined;
  /** Whether the caller may change the protocol (WebSocket): the two connections are then joined. */
  readonly upgrade: boolean;
  readonly timeouts: ForwardTimeouts;
  /** The head of the final answer is here: how it goes on to the caller. Must not throw. */
  onResponse(head: ResponseHead): ResponsePlan;
  /**
   * The try failed and the caller has got nothing yet: another try, or the answer. `retryable` says that no upstream can have acted on it:
   * connecting failed, or the request is idempotent, or nothing of it was sent; and that its body can be sent again.
   */
  onFailure(failure: ForwardFailure): Forward | Answer;
}

/** Why a try failed before its answer began. */
export interface ForwardFailure {
  readonly kind: "connect" | "connect_timeout" | "send_timeout" | "read_timeout" | "closed" | "invalid";
  readonly retryable: boolean;
  /** For the log. */
  readonly reason: string;
}

/** The head of an upstream's answer. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderList;
  /** Whether a body follows (never for HEAD, 204 and 304). */
  readonly hasBody: boolean;
}

/** What the caller gets of an upstream's answer. */
export type ResponsePlan =
  /** The body as it comes. */
  | { readonly kind: "pass"; readonly status: number; readonly headers: HeaderEdit }
  | MapPlan
  /** The whole body, up to `bytesMax` of it, then an answer made from it. Over it `whole` gets undefined. */
  | { readonly kind: "collect"; readonly bytesMax: number; readonly whole: (body: Uint8Array | undefined) => Answer | Promise<Answer> }
  /**
   * An answer that is made from the body while it comes. The body throws when the upstream breaks off or the caller goes away, and whoever stops
   * reading it ends the upstream's connection.
   */
  | { readonly kind: "remake"; readonly answer: (body: AsyncIterable<Uint8Array>) => Answer | Promise<Answer> }
  /** Not this answer. The upstream's body is thrown away. */
  | { readonly kind: "replace"; readonly answer: Answer }
  /** Not this answer: another try at another upstream. */
  | { readonly kind: "retry"; readonly forward: Forward };

/** The body piece by piece through a function; the last call has `undefined` and gives what is left. Content-Length is dropped. */
export interface MapPlan {
  readonly kind: "map";
  readonly status: number;
  readonly headers: HeaderEdit;
  readonly map: (piece: Uint8Array | undefined) => Uint8Array | LastPiece | undefined;
  /** The upstream broke off in the middle: what ends the answer properly all the same. Without that the caller's connection is broken off too. */
  readonly broken?: (reason: string) => Uint8Array | undefined;
}

/** The end of an answer that is not waited for: the upstream's connection ends, and whatever else it would have sent is not read. */
export interface LastPiece {
  readonly last: Uint8Array;
}

/** A request to change the protocol (RFC 9110, 7.8). The socket is the caller's, `early` what it sent ahead. */
export interface UpgradeExchange {
  readonly head: RequestHead;
  readonly socket: Duplex;
  readonly early: Buffer;
  /** As of an exchange. */
  readonly signal: AbortSignal;
  /** Refuses with an ordinary answer and closes. */
  refuse(answer: Answer): void;
  /** As for an exchange without a body. A 101 joins the two connections until one of them ends; any other answer is passed on. */
  forward(forward: Forward): void;
  /** As for an exchange; connections that were joined are both closed. */
  stop(answer: () => Answer): void;
  onEnd(listener: (end: ExchangeEnd) => void): void;
}

/** What the house puts behind a listening port. */
export interface HttpHandler {
  /** Gives the answer, at once or later; or undefined, when it has called or will call `answer` or `forward` itself. Must never throw. */
  handle(exchange: Exchange): Answer | undefined | Promise<Answer | undefined>;
  upgrade(exchange: UpgradeExchange): void | Promise<void>;
  /** The answer to a request that could not be read. */
  refuse(fault: Fault): Answer;
}

/** What one caller may take of the process before anything is known about it. */
export interface HttpBounds {
  /** The request line and all header fields together, in bytes. */
  readonly headerBytesMax: number;
  readonly fieldsMax: number;
  /** From the first byte of a request to the end of its header fields. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the end of its body. */
  readonly requestTimeoutMs: number;
  /** How long a connection may wait for its next request. Longer than the 60 s of common load balancers, so that they close first. */
  readonly keepAliveTimeoutMs: number;
  /** How long a caller may take nothing of an answer that waits for it. */
  readonly stallTimeoutMs: number;
  readonly connectionsMax: number;
  /** Requests under way at once on one connection. */
  readonly pipelinedMax: number;
  /** What is still read of a refused body, so that the refusal arrives. */
  readonly lingerBytesMax: number;
  readonly lingerMs: number;
}

/** A listening port. */
export interface HttpServer {
  /** `http://host:port`, or `https://` where it has certificates. */
  readonly url: string;
  /** Stops taking requests, lets those under way end within `graceMs`, then closes their connections. */
  close(graceMs: number): Promise<void>;
}

/** Certificates by server name. It is asked at each handshake, so that a changed certificate is used at once. */
export interface ServerTls {
  /** PEM pair for the name the client sent (lower case), or undefined to end the handshake. */
  certificateOf(serverName: string | undefined): { readonly cert: string; readonly key: string; readonly clientCa?: string } | undefined;
  /** Asks every client for a certificate, which names with `clientCa` then require. Without it those names refuse all. */
  readonly clientCertificates?: boolean;
  /** Offers HTTP/2 by ALPN besides HTTP/1.1. */
  readonly http2: boolean;
}
