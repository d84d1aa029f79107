import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect } from "node:tls";
import type { ServerTls } from "../../src/wire/index.ts";
import { A_EXAMPLE, AUTHORITY, B_EXAMPLE, type TestCertificate } from "./certificates.ts";
import type { Ending } from "./loopback.ts";

const NAMES: Readonly<Record<string, TestCertificate>> = { "a.example": A_EXAMPLE, "b.example": B_EXAMPLE };

/** A port of two names that also speaks HTTP/2. */
export const TLS: ServerTls = { certificateOf: (name) => NAMES[name ?? ""], http2: true };

/** An HTTP/2 session of a caller with a.example. */
export async function session(ending: Ending, at: { readonly port: number }): Promise<ClientHttp2Session> {
  const made = connectHttp2("https://a.example", {
    createConnection: () => connect({ port: at.port, host: "127.0.0.1", servername: "a.example", ca: AUTHORITY, ALPNProtocols: ["h2"] }),
  });
  made.on("error", () => undefined);
  ending.after(() => made.destroy());
  await once(made, "connect");
  return made;
}
