import type { Server, Socket } from "node:net";
import { createSecureContext, createServer, type SecureContext, type TLSSocket } from "node:tls";
import type { ServerTls } from "./http.ts";

/** Certificates that are kept ready. Each is some ten kilobytes outside of the heap. */
const CONTEXTS_MAX = 1_000;

interface Ready {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
  readonly context: SecureContext;
}

/** A server for TLS 1.2 and 1.3 that asks for the certificate at each handshake. A name without one gets none: its handshake ends. */
export function createTlsServer(tls: ServerTls, handshakeTimeoutMs: number, take: (socket: Socket, isHttp2: boolean) => void): Server {
  const contexts = new ContextCache(tls);
  const server = createServer({
    allowHalfOpen: true,
    noDelay: true,
    handshakeTimeout: handshakeTimeoutMs,
    minVersion: "TLSv1.2",
    ALPNProtocols: tls.http2 ? ["h2", "http/1.1"] : ["http/1.1"],
    // whether the one that comes is good is decided by the name's own authority, see below
    requestCert: tls.clientCertificates === true,
    rejectUnauthorized: false,
    SNICallback: (serverName, done) => {
      try {
        const ready = contexts.find(serverName.toLowerCase() || undefined);
        if (ready) done(null, ready.context);
        else done(new Error("no certificate for this name"));
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
  });
  // a client that sends no name is asked about here, since the callback above is not called for it
  const nameless = contexts.find(undefined);
  if (nameless)
    server.setSecureContext({ cert: nameless.cert, key: nameless.key, ...(nameless.clientCa !== undefined && { ca: nameless.clientCa }) });
  return server
    .on("secureConnection", (socket) => {
      if (isAllowed(socket, contexts)) take(socket, socket.alpnProtocol === "h2");
      else socket.destroy();
    })
    .on("tlsClientError", (_error, socket) => socket.destroy());
}

/** Where the name has an authority for its clients, only they may come in. */
function isAllowed(socket: TLSSocket, contexts: ContextCache): boolean {
  const name = typeof socket.servername === "string" ? socket.servername.toLowerCase() : undefined;
  const ready = contexts.find(name);
  return ready !== undefined && (ready.clientCa === undefined || socket.authorized);
}

/** Contexts by server name. A changed certificate makes a new one. */
class ContextCache {
  readonly #tls: ServerTls;
  readonly #ready = new Map<string, Ready>();

  constructor(tls: ServerTls) {
    this.#tls = tls;
  }

  find(serverName: string | undefined): Ready | undefined {
    const found = this.#tls.certificateOf(serverName);
    if (!found) return undefined;
    const name = serverName ?? "";
    const known = this.#ready.get(name);
    const { cert, key, clientCa } = found;
    if (known?.cert === cert && known.key === key && known.clientCa === clientCa) return known;
    if (this.#ready.size >= CONTEXTS_MAX) this.#ready.clear();
    const context = createSecureContext({ cert, key, minVersion: "TLSv1.2", ...(clientCa !== undefined && { ca: clientCa }) });
    const made = { cert, key, clientCa, context };
    this.#ready.set(name, made);
    return made;
  }
}
