import type { z } from "zod";
import type { Fault, PlatformPrincipal, TenantContext } from "../kernel/index.ts";
import type { TenantScope } from "../stores/index.ts";
import type { Access } from "../tenancy/policy/index.ts";
import type { Answer, ExchangeEnd, Forward, RequestHead, WebSocketConnection } from "../wire/index.ts";

/** The methods that operations have. HEAD is answered from GET. */
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** What every call brings, whoever makes it. */
export interface Call<Body, Query> {
  /** The values of the `{names}` in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  readonly head: RequestHead;
  readonly requestId: string;
  /** Aborts when the caller goes away, or when the tenant may no longer be served. */
  readonly signal: AbortSignal;
}

/** A call of a principal of one tenant. */
export interface TenantCall<Body, Query> extends Call<Body, Query> {
  readonly context: TenantContext;
  readonly scope: TenantScope;
}

/** A tenant's socket: one call at first, and one more for each message. */
export interface SocketCall extends TenantCall<undefined, undefined> {
  /**
   * The call as it is at this moment: proved, allowed and counted anew, with the tenant's settings of now. A socket outlives tokens, keys and
   * settings; nothing of the first call is good for a later message. Throws what the first call would have been refused with.
   */
  readonly admit: () => Promise<TenantCall<undefined, undefined>>;
}

/** A tenant's call with the bytes of its body, whose answer an upstream may make. */
interface RawTenantCall<Query> extends TenantCall<Uint8Array, Query> {
  /** Called once, when the exchange is over, however it ends. */
  readonly onEnd: (listener: (end: ExchangeEnd) => void) => void;
}

/** A call of an operator. */
export interface PlatformCall<Body, Query> extends Call<Body, Query> {
  readonly principal: PlatformPrincipal;
}

interface OperationParts<Body, Query> {
  readonly method: Method;
  /** Segments are literal or `{name}`. */
  readonly path: string;
  /** One sentence for the documentation. */
  readonly summary: string;
  readonly body?: z.ZodType<Body>;
  readonly query?: z.ZodType<Query>;
  /** The media types of a body that is not JSON, for the documentation. */
  readonly bodyTypes?: readonly string[];
  /** Bytes of the body, 1 MiB unless set. */
  readonly bytesMax?: number;
  /** The answer to a fault in the shape of another API that this call speaks. */
  readonly refusal?: (fault: Fault, requestId: string) => Answer;
}

/** One call of the platform's own API: where it is, who may make it, what it takes and what it does. The route table is made of these. */
export interface Operation {
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly body: z.ZodType | undefined;
  readonly query: z.ZodType | undefined;
  readonly bodyTypes: readonly string[];
  readonly bytesMax: number | undefined;
  /** The body is given as its bytes, whatever type it is said to have: all of them, or as they come. */
  readonly rawBody: "whole" | "stream" | undefined;
  readonly refusal: ((fault: Fault, requestId: string) => Answer) | undefined;
  /** Whether this is a WebSocket; then `run` is `undefined` and `accept` is not, and the other way round. */
  readonly run: ((call: AnyCall) => Outcome | Promise<Outcome>) | undefined;
  readonly accept: ((call: AnySocketCall, connection: WebSocketConnection) => Promise<void>) | undefined;
}

/** What an operation comes to: an answer, or where the answer comes from. */
export type Outcome = Answer | Forward;

/** A call whose parts were checked against the operation's own schemas and access rule. */
export interface AnyCall extends Call<unknown, unknown> {
  readonly context: TenantContext | undefined;
  readonly scope: TenantScope | undefined;
  readonly principal: PlatformPrincipal | undefined;
  readonly onEnd: RawTenantCall<unknown>["onEnd"];
}

/** A socket's call, checked in the same way. */
export interface AnySocketCall extends AnyCall {
  readonly admit: () => Promise<AnyCall>;
}

/** A call that anybody may make. */
export function publicOperation<Query = undefined>(
  parts: OperationParts<undefined, Query> & { run(call: Call<undefined, Query>): Promise<Answer> | Answer },
): Operation {
  return operation(parts, { realm: "public" }, (call) => parts.run(call as Call<undefined, Query>));
}

/** A call inside a tenant. `run` gets the scope of that tenant and can reach nothing else. */
export function tenantOperation<Body = undefined, Query = undefined>(
  access: Omit<Extract<Access, { realm: "tenant" }>, "realm">,
  parts: OperationParts<Body, Query> & { run(call: TenantCall<Body, Query>): Promise<Answer> | Answer },
): Operation {
  // the pipeline has checked body and query against these schemas, and fills in context and scope for the realm "tenant"
  return operation(parts, { realm: "tenant", ...access }, (call) => parts.run(call as TenantCall<Body, Query>));
}

/** A WebSocket inside a tenant, bound to it for life. */
export function tenantSocket(
  access: Omit<Extract<Access, { realm: "tenant" }>, "realm">,
  parts: {
    readonly path: string;
    readonly summary: string;
    accept(call: SocketCall, connection: WebSocketConnection): Promise<void>;
  },
): Operation {
  const made = operation({ method: "GET", ...parts }, { realm: "tenant", ...access }, undefined);
  // context and scope are there, as in `tenantOperation`
  return { ...made, accept: (call, connection) => parts.accept(call as SocketCall, connection) };
}

/** A call inside a tenant that takes the bytes of its body as they come, of whatever type. `bytesMax` bounds them. */
export function streamingTenantOperation<Query = undefined>(
  access: Omit<Extract<Access, { realm: "tenant" }>, "realm">,
  parts: Omit<OperationParts<undefined, Query>, "body" | "bytesMax"> & {
    readonly bytesMax: number;
    run(call: TenantCall<AsyncIterable<Uint8Array>, Query>): Promise<Answer> | Answer;
  },
): Operation {
  // context and scope are there, as in `tenantOperation`, and the pieces where `rawBody` says so
  const run = (call: AnyCall) => parts.run(call as TenantCall<AsyncIterable<Uint8Array>, Query>);
  return { ...operation(parts, { realm: "tenant", ...access }, run), rawBody: "stream" };
}

/**
 * A call inside a tenant that reads the bytes of its body itself, as they came. Where `run` says that the answer comes from elsewhere, it goes
 * from connection to connection, with the fields that every answer of the platform has.
 */
export function rawTenantOperation<Query = undefined>(
  access: Omit<Extract<Access, { realm: "tenant" }>, "realm">,
  parts: OperationParts<Uint8Array, Query> & { run(call: RawTenantCall<Query>): Promise<Outcome> | Outcome },
): Operation {
  // context and scope are there as in `tenantOperation`, and the bytes where `rawBody` says so
  const made = operation(parts, { realm: "tenant", ...access }, (call) => parts.run(call as RawTenantCall<Query>));
  return { ...made, rawBody: "whole" };
}

/** A call of the platform's operators. */
export function platformOperation<Body = undefined, Query = undefined>(
  access: Omit<Extract<Access, { realm: "platform" }>, "realm">,
  parts: OperationParts<Body, Query> & { run(call: PlatformCall<Body, Query>): Promise<Answer> | Answer },
): Operation {
  return operation(parts, { realm: "platform", ...access }, (call) => parts.run(call as PlatformCall<Body, Query>));
}

/** A call of the platform's operators that reads the bytes of its body itself: its clients send other things than JSON. */
export function rawPlatformOperation<Query = undefined>(
  access: Omit<Extract<Access, { realm: "platform" }>, "realm">,
  parts: OperationParts<Uint8Array, Query> & { run(call: PlatformCall<Uint8Array, Query>): Promise<Answer> | Answer },
): Operation {
  return { ...platformOperation(access, parts), rawBody: "whole" };
}

/** A call that anybody may make, and that proves by the bytes of its body who makes it. */
export function rawPublicOperation(
  parts: OperationParts<Uint8Array, undefined> & { run(call: Call<Uint8Array, undefined>): Promise<Answer> | Answer },
): Operation {
  // the pipeline gives the bytes where `rawBody` says so
  const made = operation(parts, { realm: "public" }, (call) => parts.run(call as Call<Uint8Array, undefined>));
  return { ...made, rawBody: "whole" };
}

function operation<Body, Query>(parts: OperationParts<Body, Query>, access: Access, run: Operation["run"]): Operation {
  const { method, path, summary, body, query, bodyTypes = [], bytesMax, refusal } = parts;
  return { method, path, summary, access, body, query, bodyTypes, bytesMax, refusal, rawBody: undefined, run, accept: undefined };
}

/** A JSON answer. */
export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(value) };
}

/** The answer that says only that it is done. */
export const NO_CONTENT: Answer = { status: 204, headers: {}, body: undefined };
