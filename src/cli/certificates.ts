import type { GatewayConfig, GatewayDocument } from "../gateway/index.ts";
import type { ServerTls } from "../wire/index.ts";

type Certificate = NonNullable<ReturnType<ServerTls["certificateOf"]>>;

/** The certificates of the document in force, by the name a client asks for: an exact name before `*.`, and none for any other. */
export function certificatesOf(config: Pick<GatewayConfig, "current">): ServerTls {
  let read: { readonly document: GatewayDocument; readonly byName: ReadonlyMap<string, Certificate> } | undefined;
  return {
    http2: true,
    certificateOf(name) {
      const document = config.current();
      if (read?.document !== document) read = { document, byName: byName(document) };
      if (name === undefined) return undefined;
      return read.byName.get(name) ?? read.byName.get(`*${name.slice(name.indexOf("."))}`);
    },
  };
}

function byName({ ssls }: GatewayDocument): ReadonlyMap<string, Certificate> {
  const found = new Map<string, Certificate>();
  for (const { type, status, snis, cert, key, client } of ssls.values()) {
    if (type !== "server" || status === 0) continue;
    for (const name of snis) found.set(name.toLowerCase(), { cert, key, ...(client && { clientCa: client.ca }) });
  }
  return found;
}
