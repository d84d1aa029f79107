import { parseHost } from "../../src/wire/host.ts";
import { createHeaderList, parseTarget, type RequestHead } from "../../src/wire/index.ts";

export type Fields = readonly (readonly [name: string, value: string])[];

/** The head of a request as the wire reads it. */
export function requestHead(fields: Fields = [], target = "/api/chat", host = "api.example.com"): RequestHead {
  return {
    method: "GET",
    target: parseTarget(target),
    headers: createHeaderList(fields.flat()),
    host: parseHost(host),
    authority: host,
    scheme: "http",
    version: "1.1",
    remoteAddress: "192.0.2.7",
    remotePort: 50_000,
    localAddress: "127.0.0.1",
    localPort: 8080,
  };
}

export function bearer(token: string): [string, string] {
  return ["Authorization", `Bearer ${token}`];
}
