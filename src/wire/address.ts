import ipaddr from "ipaddr.js";

/**
 * Ranges that are not the public internet but that a table of address types may call ordinary (IANA special-purpose registries, RFC 6890).
 * The first one holds the metadata service of a large cloud, inside public address space.
 */
const EXCLUDED_IPV4 = [
  "168.63.129.16/32",
  "0.0.0.0/8",
  "100.64.0.0/10",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/3",
].map((range) => ipaddr.IPv4.parseCIDR(range));

/** All that IANA has given out for global unicast (RFC 4291, 2.4): NAT64, mapped, compatible, translated and site-local lie outside. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR("2000::/3");

/** Inside of it: protocol assignments with Teredo, ORCHID and benchmarks, documentation, AS112, 6to4. */
const EXCLUDED_IPV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"].map((range) =>
  ipaddr.IPv6.parseCIDR(range),
);

/** Whether the address is one that anyone on the public internet can have. What cannot be read is not. */
export function isPublicAddress(address: string): boolean {
  if (address.includes("%") || !ipaddr.isValid(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast") return false;
  if (parsed instanceof ipaddr.IPv4) return !EXCLUDED_IPV4.some((range) => parsed.match(range));
  return parsed instanceof ipaddr.IPv6 && parsed.match(GLOBAL_IPV6) && !EXCLUDED_IPV6.some((range) => parsed.match(range));
}

/** Whether the address is this machine's own, 127.0.0.0/8 or ::1. */
export function isLoopbackAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.parse(address).range() === "loopback";
}
