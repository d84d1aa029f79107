import ipaddr from "ipaddr.js";
import { Fault } from "../../kernel/index.ts";

/** Whether an address is one of a list. An address that cannot be read is not. */
export type AddressMatcher = (address: string) => boolean;

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Matches addresses and CIDR ranges of both families; an IPv4 address mapped into IPv6 is the IPv4 one. Throws `invalid_settings` for anything else. */
export function compileAddresses(sources: readonly string[]): AddressMatcher {
  const exact = new Set<string>();
  const ranges: (readonly [Address, number])[] = [];
  for (const source of sources) {
    const range = parseRange(source);
    if (range[1] === (range[0].kind() === "ipv4" ? 32 : 128)) exact.add(range[0].toNormalizedString());
    else ranges.push(range);
  }
  return (text) => {
    if (exact.has(text)) return true;
    if (!ipaddr.isValid(text)) return false;
    const address = ipaddr.process(text);
    return exact.has(address.toNormalizedString()) || ranges.some((range) => isIn(address, range));
  };
}

function isIn(address: Address, [base, bits]: readonly [Address, number]): boolean {
  if (address instanceof ipaddr.IPv4) return base instanceof ipaddr.IPv4 && address.match(base, bits);
  return base instanceof ipaddr.IPv6 && address.match(base, bits);
}

function parseRange(source: string): readonly [Address, number] {
  const text = source.replace(/^\[(.*)\]$/, "$1");
  try {
    if (text.includes("/")) return ipaddr.parseCIDR(text);
    const address = ipaddr.process(text);
    return [address, address.kind() === "ipv4" ? 32 : 128];
  } catch {
    const detail = `${source} is neither an address nor a range of addresses.`;
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
}
