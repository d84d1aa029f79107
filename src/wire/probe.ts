import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { Fault } from "../kernel/index.ts";

/** One question to a server whether it is well. */
export interface ProbeRequest {
  readonly kind: "http" | "https" | "tcp";
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** Empty for none. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Whether its certificate is checked. */
  readonly verify: boolean;
}

/**
 * Asks once, on a connection of its own that is closed at once: the status of the answer, or 0 for `tcp`, where connecting is all. Throws
 * `upstream_timeout` or `upstream_unreachable`.
 */
export async function probe(asked: ProbeRequest): Promise<number> {
  const signal = AbortSignal.timeout(asked.timeoutMs);
  try {
    return asked.kind === "tcp" ? await probeTcp(asked, signal) : await probeHttp(asked, signal);
  } catch (error) {
    const where = `${asked.host}:${asked.port}`;
    if (signal.aborted) throw new Fault("upstream_timeout", `${where} did not answer a check within ${asked.timeoutMs} ms`);
    throw new Fault("upstream_unreachable", `${where} could not be checked`, { cause: error });
  }
}

async function probeTcp({ host, port }: ProbeRequest, signal: AbortSignal): Promise<number> {
  const socket = connect({ host, port });
  try {
    await once(socket, "connect", { signal });
    return 0;
  } finally {
    socket.destroy();
  }
}

async function probeHttp({ kind, host, port, method, path, body, headers, verify }: ProbeRequest, signal: AbortSignal): Promise<number> {
  const options = { host, port, method, path, headers, agent: false, signal, rejectUnauthorized: verify } as const;
  const outgoing = kind === "https" ? httpsRequest(options) : httpRequest(options);
  outgoing.on("error", () => {}); // the wait below has it; one after the answer concerns nobody
  outgoing.end(body);
  const [response] = (await once(outgoing, "response", { signal })) as [{ readonly statusCode?: number }]; // an IncomingMessage
  outgoing.destroy();
  return response.statusCode ?? 0;
}
