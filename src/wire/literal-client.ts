import { Pool } from "undici";
import { Fault } from "../kernel/index.ts";

const TIMEOUT_MS = 60_000;
const CONNECTIONS_MAX = 4;

/** A request whose target and fields go out as they stand, in this order, repeated or misspelled as they may be. */
export interface LiteralRequest {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

/** The whole answer. */
export interface LiteralAnswer {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** Speaks to one server as no well-behaved client does: for finding out how it takes that. */
export interface LiteralClient {
  /** Throws `upstream_unreachable` when no whole answer comes. */
  send(request: LiteralRequest): Promise<LiteralAnswer>;
  close(): Promise<void>;
}

/** A client for the server at this origin. */
export function createLiteralClient(origin: string): LiteralClient {
  const pool = new Pool(new URL(origin).origin, { connections: CONNECTIONS_MAX, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
  return {
    async send({ method, target, fields, body }) {
      try {
        const answer = await pool.request({ method, path: target, headers: fields.flat(), body: body ?? null, responseHeaders: "raw" });
        const bytes = new Uint8Array(await answer.body.arrayBuffer());
        return { status: answer.statusCode, fields: pairs(answer.headers), body: bytes };
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        const detail = `${origin} gave no whole answer: ${reason}.`;
        throw new Fault("upstream_unreachable", detail, { cause, public: { detail } });
      }
    },
    close: () => pool.close(),
  };
}

/** Raw fields are a list of names and values by turns; the type of the client says otherwise. */
function pairs(raw: unknown): readonly (readonly [string, string])[] {
  const texts = Array.isArray(raw) ? raw.map((each: unknown) => (Buffer.isBuffer(each) ? each.toString("latin1") : String(each))) : [];
  return texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? ""] as const] : []));
}
