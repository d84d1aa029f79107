import type { Plugin } from "../../proxy/plugin.ts";
import { refuse } from "../shared/refuse.ts";

interface Settings {
  readonly bypass_missing: boolean;
  readonly whitelist?: readonly string[];
  readonly blacklist?: readonly string[];
  readonly message: string;
}

const HOSTS = { type: "array", minItems: 1, items: { type: "string", pattern: "^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$" } } as const;
/** The host of an address, without port. */
const HOST_OF = /^https?:\/\/([^:/?#]+)/i;

/** Lets through or keeps out requests by the host of the page they come from. */
export const refererRestriction: Plugin<Settings> = {
  name: "referer-restriction",
  priority: 2990,
  schema: {
    type: "object",
    properties: {
      bypass_missing: { type: "boolean", default: false },
      whitelist: HOSTS,
      blacklist: HOSTS,
      message: { type: "string", minLength: 1, maxLength: 1024, default: "Your referer host is not allowed" },
    },
    oneOf: [{ required: ["whitelist"] }, { required: ["blacklist"] }],
  },
  create({ bypass_missing: takesMissing, whitelist, blacklist, message }, { profile }) {
    const matches = compileHosts(whitelist ?? blacklist ?? []);
    return {
      access(call) {
        const host = HOST_OF.exec(call.head.headers.all("referer")[0] ?? "")?.[1];
        const allowed = host === undefined ? takesMissing : matches(host) === (whitelist !== undefined);
        return allowed ? undefined : refuse(profile, 403, message);
      },
    };
  },
};

/** A star in front stands for any beginning. */
function compileHosts(hosts: readonly string[]): (host: string) => boolean {
  const exact = new Set(hosts.filter((host) => !host.startsWith("*")));
  const suffixes = hosts.filter((host) => host.startsWith("*")).map((host) => host.slice(1));
  return (host) => exact.has(host) || suffixes.some((suffix) => host.endsWith(suffix));
}
