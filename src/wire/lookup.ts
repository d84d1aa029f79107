import { Resolver } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import { BoundedMap, Fault } from "../kernel/index.ts";
import { isLoopbackAddress, isPublicAddress } from "./address.ts";
import { denied, type EgressPolicy, isLoopbackHost } from "./egress-url.ts";

/** One address of a host name. */
export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** DNS as a port: all addresses of a host name. Throws or gives none when there are none. */
export type Lookup = (host: string) => Promise<readonly ResolvedAddress[]>;

/** Time for one DNS server, and how often the servers are asked. */
const QUERY_TIMEOUT_MS = 2_000;
const QUERY_TRIES = 2;

const LOCALHOST: readonly ResolvedAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

/**
 * Asks the DNS servers of the system for A and AAAA. Not getaddrinfo: its few threads are shared by the whole process, so that one tenant
 * with a slow name server would hold up all others; and it would add search domains, which are the platform's own.
 */
export function createLookup(): Lookup {
  const resolver = new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES });
  return async (host) => {
    if (host === "localhost") return LOCALHOST;
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    if (v4.status === "rejected" && v6.status === "rejected") throw v4.reason;
    return [...addressesOf(v4, 4), ...addressesOf(v6, 6)];
  };
}

/**
 * The lookup that connections use: the addresses checked are the addresses connected to, so that a name cannot change its meaning in
 * between (DNS rebinding). One bad address refuses all.
 */
export function createGuardedLookup(lookup: Lookup, policy: EgressPolicy): LookupFunction {
  return (host, options, callback) => {
    resolveChecked(host, lookup, policy).then(
      (addresses) => {
        const [first] = addresses;
        if (options.all === true) callback(null, [...addresses]);
        else callback(null, first?.address ?? "", first?.family);
      },
      (error: unknown) => callback(error as NodeJS.ErrnoException, ""), // only its type says that it has a code
    );
  };
}

const ADDRESS_KEPT_MS = 30_000;
const ADDRESSES_MAX = 10_000;

/** One checked address of a URL's host at a time, asked for again after half a minute. */
export function createCheckedAddresses(lookup: Lookup, policy: EgressPolicy): (url: URL) => Promise<string> {
  const known = new BoundedMap<string, { readonly address: string; readonly untilMs: number }>(ADDRESSES_MAX);
  return async ({ hostname }) => {
    const host = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
    if (isIP(host) !== 0) return host; // an address in the URL was checked with the URL
    const kept = known.get(host);
    if (kept && performance.now() < kept.untilMs) return kept.address;
    const [first] = await resolveReachable(host, lookup, policy);
    if (!first) throw new Fault("upstream_unreachable", `${host} has no address`);
    known.set(host, { address: first.address, untilMs: performance.now() + ADDRESS_KEPT_MS });
    return first.address;
  };
}

async function resolveReachable(host: string, lookup: Lookup, policy: EgressPolicy): Promise<readonly ResolvedAddress[]> {
  try {
    return await resolveChecked(host, lookup, policy);
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("upstream_unreachable", `${host} cannot be resolved`, { cause: error });
  }
}

async function resolveChecked(host: string, lookup: Lookup, policy: EgressPolicy): Promise<readonly ResolvedAddress[]> {
  const addresses = await lookup(host);
  if (addresses.length === 0) throw new Fault("upstream_unreachable", `${host} has no address`);
  const isAllowed = policy.loopback && isLoopbackHost(host) ? isLoopbackAddress : isPublicAddress;
  if (!addresses.every(({ address }) => isAllowed(address))) throw denied("The host has an address that is not on the public internet.");
  return addresses;
}

function addressesOf(result: PromiseSettledResult<string[]>, family: 4 | 6): ResolvedAddress[] {
  return result.status === "fulfilled" ? result.value.map((address) => ({ address, family })) : [];
}
