import type { LookupFunction } from "node:net";
import { WebSocket } from "ws";
import { Fault } from "../kernel/index.ts";
import { denied, type EgressPolicy, parseEgressUrl } from "./egress-url.ts";
import { TextConnection, type WebSocketBounds, type OwnWebSocket } from "./websocket.ts";

/** How often a connection is asked whether it is there. */
const BEAT_MS = 30_000;

/** A WebSocket to an address that is not the operator's. */
export interface EgressSocketRequest extends WebSocketBounds {
  /** `wss:`, or `ws:` where the policy allows `http:`. */
  readonly url: string;
  /** From the name to the end of the handshake. */
  readonly timeoutMs: number;
  /** Ends the connection, whenever that is. */
  readonly signal: AbortSignal;
}

/**
 * Connects as the guarded client does: to an address that was checked, without redirects, proxies or compression, with a certificate that is
 * checked. Throws `egress_denied`, `upstream_unreachable` and the signal's reason.
 */
export async function openEgressSocket(
  { url, timeoutMs, messageBytesMax, queuedMax, signal }: EgressSocketRequest,
  policy: EgressPolicy,
  lookup: LookupFunction,
): Promise<OwnWebSocket> {
  signal.throwIfAborted();
  const scheme = /^ws(s?):/i.exec(url);
  if (!scheme) throw denied("The address is not one of a WebSocket.");
  const checked = parseEgressUrl(`http${scheme[1]?.toLowerCase() ?? ""}:${url.slice(scheme[0].length)}`, policy);
  checked.protocol = checked.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(checked, {
    lookup,
    rejectUnauthorized: true,
    followRedirects: false,
    handshakeTimeout: timeoutMs,
    // a few bytes could unpack to a bomb
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
  });
  // made before the handshake ends: a message can come with its last byte
  const connection = new TextConnection(socket, queuedMax);
  const stop = (): void => socket.terminate();
  signal.addEventListener("abort", stop, { once: true });
  const beating = keepAlive(socket);
  socket.once("close", () => {
    clearInterval(beating);
    signal.removeEventListener("abort", stop);
  });
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: unknown): void => {
      if (signal.aborted) reject(signal.reason instanceof Error ? signal.reason : new Error("the connection was given up"));
      else reject(cause instanceof Fault ? cause : unreachable(checked, cause));
    };
    socket.once("open", resolve);
    socket.once("error", failed);
    socket.once("close", failed);
  });
  return connection;
}

/** Ends a connection from which nothing has come, not even an answer to a ping: a lost one can look open for hours. */
function keepAlive(socket: WebSocket): NodeJS.Timeout {
  let heard = true;
  const hear = (): void => void (heard = true);
  for (const sign of ["message", "ping", "pong"]) socket.on(sign, hear);
  return setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (!heard) return socket.terminate();
    heard = false;
    socket.ping();
  }, BEAT_MS).unref();
}

function unreachable({ host }: URL, cause: unknown): Fault {
  return new Fault("upstream_unreachable", `no WebSocket to ${host}`, { cause });
}
