import type { HttpBounds, HttpHandler } from "./http.ts";
import type { RequestRules } from "./http1/request-parser.ts";
import type { TimerWheel } from "./timer-wheel.ts";

/** A connection as its server sees it. */
export interface HouseConnection {
  readonly idle: boolean;
  /** Ends it when nothing is under way. */
  leave(): void;
  destroy(): void;
}

/** What all connections of one port share. */
export interface House {
  readonly handler: HttpHandler;
  readonly bounds: HttpBounds;
  readonly rules: RequestRules;
  readonly wheel: TimerWheel;
  /** The port is about to close: each connection takes one more request at most. */
  readonly closing: boolean;
  forget(connection: HouseConnection): void;
}
