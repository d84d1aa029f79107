import ipaddr from "ipaddr.js";
import type { RequestHead } from "../../wire/index.ts";
import type { ViewPorts } from "./request-view.ts";

/**
 * Who is calling. Only a trusted proxy may say so for somebody else: by the last address of X-Forwarded-For that is not itself a trusted
 * proxy, or by X-Real-IP. In the apisix profile this machine is trusted with X-Real-IP, as there.
 */
export function observedAddress(head: RequestHead, { profile, trusted }: Pick<ViewPorts, "profile" | "trusted">): string {
  const peer = head.remoteAddress;
  if (trusted?.(peer) === true) return forwardedAddress(head, trusted) ?? realIp(head) ?? peer;
  if (profile === "apisix" && peer === "127.0.0.1") return realIp(head) ?? peer;
  return peer;
}

function forwardedAddress(head: RequestHead, trusted: (address: string) => boolean): string | undefined {
  const hops = head.headers
    .all("x-forwarded-for")
    .join(",")
    .split(",")
    .map((hop) => hop.trim());
  const last = hops.findLast((hop) => !trusted(hop));
  return last !== undefined && ipaddr.isValid(last) ? last : undefined;
}

function realIp(head: RequestHead): string | undefined {
  const [value] = head.headers.all("x-real-ip");
  return value !== undefined && ipaddr.isValid(value) ? value : undefined;
}
