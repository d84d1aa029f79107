import { isRecord } from "./schema/compiler.ts";

const PORT_MAX = 65_535;

/** Puts the list form of nodes in place of the map form. What is wrong with an address, or undefined. */
export function toNodeList(upstream: Record<string, unknown>): string | undefined {
  const { nodes } = upstream;
  if (!isRecord(nodes)) return undefined;
  const list: unknown[] = [];
  for (const [address, weight] of Object.entries(nodes)) {
    const { host, port } = splitAddress(address);
    if (port !== undefined && (port < 1 || port > PORT_MAX)) return `invalid port ${port}`;
    if (host === "") return `invalid host ${address}`;
    list.push({ host, ...(port !== undefined && { port }), weight, priority: 0 });
  }
  upstream["nodes"] = list;
  return undefined;
}

/** `host:port`, `[v6]:port`, `host`, or an IPv6 address by itself. */
function splitAddress(address: string): { readonly host: string; readonly port: number | undefined } {
  const found = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,6}))?$/.exec(address);
  if (!found) return { host: address, port: undefined };
  return { host: found[1] ?? "", port: found[2] === undefined ? undefined : Number(found[2]) };
}
