import { isIPv4, isIPv6 } from "node:net";
import { Fault } from "../kernel/index.ts";

/** The longest host name (RFC 1035, 2.3.4). */
const NAME_LENGTH_MAX = 253;
const AUTHORITY = /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::([0-9]{1,5}))?$/;
const LABEL = /^[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?$/;
const NUMERIC = /^(?:[0-9]+|0x[0-9a-f]*)$/;

/**
 * The host of a Host field, lower case and without the port (RFC 9110, 7.2); an IPv6 address keeps its brackets. Throws
 * `malformed_request` for anything but a host name or an address with an optional port: a value such as `a@b` or `a/#` would be
 * another host to whoever builds an address from it.
 */
export function parseHost(value: string): string {
  return value === last.value && value !== "" ? last.host : remember(value);
}

/** The same for ports whose own rules say what a host is: labels may also have underscores, and a dot may begin or end the name. */
export function parseLenientHost(value: string): string {
  return value === lastLenient.value && value !== "" ? lastLenient.host : rememberLenient(value);
}

// the callers of one connection, and mostly of one process, name the same host
let last = { value: "", host: "" };
let lastLenient = { value: "", host: "" };

function remember(value: string): string {
  last = { value, host: check(value, isHostName) };
  return last.host;
}

function rememberLenient(value: string): string {
  lastLenient = { value, host: check(value, isLenientName) };
  return lastLenient.host;
}

function isLenientName(host: string): boolean {
  return isHostName(host.replaceAll(/^\.|\.$/g, "").replaceAll("_", "0"));
}

function check(value: string, isName: (host: string) => boolean): string {
  const [, spelled = "", port] = AUTHORITY.exec(value) ?? [];
  const host = spelled.toLowerCase();
  const valid = value !== "" && (isName(host) || isAddress(host)) && (port === undefined || isPort(Number(port)));
  if (valid) return host;
  const detail = "The Host field must be a host name or address with an optional port.";
  throw new Fault("malformed_request", detail, { public: { detail, field: "host" } });
}

/** Whether these are lower-case labels of letters, digits and inner hyphens (RFC 1123, 2.1), and no spelling of an IPv4 address. */
export function isHostName(host: string): boolean {
  if (host.length > NAME_LENGTH_MAX) return false;
  const labels = host.split(".");
  return labels.every((label) => LABEL.test(label)) && !NUMERIC.test(labels.at(-1) ?? "");
}

function isAddress(host: string): boolean {
  return isIPv4(host) || (host.startsWith("[") && isIPv6(host.slice(1, -1)));
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}
