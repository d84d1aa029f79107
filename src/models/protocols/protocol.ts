import type { Fault } from "../../kernel/index.ts";
import type { Answer } from "../../wire/index.ts";
import type { EventSplitter, StreamEvent } from "../meter/event-stream.ts";
import type { ReportedUsage, TokenUsage } from "../meter/usage.ts";
import type { ModelProtocol } from "../settings/schema.ts";
import type { KeptIds } from "./kept-ids.ts";

/** The values of a request's own members that decide something here. */
export type RequestValues = Readonly<Record<string, unknown>>;

/** What one stream has said so far. */
export interface StreamReader {
  /** Takes the next event. `hide` says that it is only there because the gateway has asked for it. */
  read(event: StreamEvent): { readonly hide: boolean };
  readonly usage: ReportedUsage;
  /** Pieces of the answer, and their bytes, that came so far: what is counted when nobody says what was used. */
  readonly pieces: number;
  readonly bytes: number;
  /** Whether the stream has said that it is complete. */
  readonly complete: boolean;
  /** Whether it has said why its answer ends: one that is over without it has broken off. */
  readonly ended: boolean;
}

/** A protocol of providers. Requests and answers pass through as they are; this is what is read of them. */
export interface ProviderProtocol {
  /** After a provider's base address, for the model as the provider names it. */
  path(model: string, stream: boolean): string;
  /** Members of a request that are read. */
  readonly members: readonly string[];
  /**
   * Members that bound the length of the answer, `a.b` for one inside another; the first is put in where none is there. Empty where answers have no
   * length.
   */
  readonly outputMembers: readonly string[];
  /** Members whose text names a part of a cache or a user, as the caller likes; `metadata.user_id` is one inside another. */
  readonly callerNames: readonly string[];
  /** Header fields of callers that go on to a provider, and those that it needs where the caller has none. */
  readonly passed: readonly string[];
  readonly needed: Readonly<Record<string, string>>;
  /** The usage of a whole answer, from its member `usage`. */
  readUsage(value: unknown): ReportedUsage;
  /** What a stream has to be asked for so that it says its usage; undefined where it says it anyway. */
  askForUsage(request: RequestValues): Readonly<Record<string, unknown>> | undefined;
  /** The media type of its streams, and what takes one apart. */
  readonly streams: { readonly type: string; createSplitter(): EventSplitter };
  /** `hideUsage`: the caller has not asked for what {@link askForUsage} adds. */
  createReader(hideUsage: boolean): StreamReader;
}

/** One that callers speak too. */
export interface Protocol extends ProviderProtocol {
  readonly name: ModelProtocol;
  readonly keptIds: KeptIds;
  /** What ends a stream that may not go on: the usage so far, then an error of this type. */
  endOfStream(fault: Fault, usage: TokenUsage, model: string): string;
  /** A refusal in the shape of this API. */
  refusal(fault: Fault, requestId: string): Answer;
}
