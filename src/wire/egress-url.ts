import { isIP } from "node:net";
import { Fault } from "../kernel/index.ts";
import { isLoopbackAddress, isPublicAddress } from "./address.ts";
import { isHostName } from "./host.ts";

/** Where requests for tenants may go. */
export interface EgressPolicy {
  /** Development profile only: allows loopback addresses, on any port and also over `http:`. */
  readonly loopback: boolean;
  /** The ports of all other addresses, usually 443 and 8443. */
  readonly ports: readonly number[];
}

/** The longest URL, in characters. */
const EGRESS_URL_LENGTH_MAX = 2048;

const VISIBLE_ASCII = /^[!-~]+$/;
/** Scheme, two slashes, authority: the parser of WHATWG would also take none or many slashes. */
const SHAPE = /^https?:\/\/(?<authority>[^/?#]+)(?:[/?]|$)/i;
const PORT = /:[0-9]*$/;

/** Names that lead into the platform or its surroundings, at the end of a host. */
const INNER_SUFFIXES = ["localhost", "local", "internal", "svc", "cluster.local", "localdomain", "lan", "intranet", "home.arpa", "onion"];
/** Names of cloud metadata services, at the start of a host. */
const METADATA_PREFIXES = ["metadata", "instance-data"];

/**
 * The URL that will be called, or a Fault `egress_denied`. What is checked is the parsed URL that also connects; spellings that another
 * parser would read in another way (RFC 3986 against WHATWG) are refused as such. The name's addresses are checked when it connects.
 */
export function parseEgressUrl(raw: string, policy: EgressPolicy): URL {
  const authority = parseAuthority(raw);
  const url = URL.parse(raw);
  if (!url) throw denied("The address is not a URL.");
  // one trailing dot means the same name; kept, it would pass every comparison below
  if (url.hostname.endsWith(".")) url.hostname = url.hostname.slice(0, -1);
  const spelled = authority.replace(PORT, "").replace(/\.$/, "").toLowerCase();
  // 127.1, 0x7f000001, %31 and full-width digits all become 127.0.0.1 in the parser
  if (!spelled.startsWith("[") && spelled !== url.hostname) throw denied("The host is spelled in an unusual way.");
  if (!(policy.loopback && isLoopbackHost(url.hostname))) checkPublic(url, policy);
  return url;
}

/** Whether the host is `localhost` or a loopback address. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === "localhost" || isLoopbackAddress(withoutBrackets(hostname));
}

/** A refusal with a text for the tenant, in general words: which addresses lie behind a name is not told. */
export function denied(detail: string): Fault {
  return new Fault("egress_denied", detail, { public: { detail } });
}

function parseAuthority(raw: string): string {
  if (raw.length > EGRESS_URL_LENGTH_MAX) throw denied("The address is too long.");
  // the parser drops tabs and newlines and turns backslashes into slashes: what a check saw and what is called would differ
  if (!VISIBLE_ASCII.test(raw) || raw.includes("\\"))
    throw denied("The address has characters that are not allowed. Spell the host in ASCII.");
  if (raw.includes("#")) throw denied("The address may not have a fragment.");
  const authority = SHAPE.exec(raw)?.groups?.["authority"];
  if (authority === undefined) throw denied("The address must begin with https:// and a host.");
  if (authority.includes("@")) throw denied("The address may not have a user name.");
  return authority;
}

function checkPublic(url: URL, policy: EgressPolicy): void {
  if (url.protocol !== "https:") throw denied("The address must begin with https://.");
  const port = url.port === "" ? 443 : Number(url.port);
  if (!policy.ports.includes(port)) throw denied(`Port ${port} is not allowed.`);
  const host = withoutBrackets(url.hostname);
  if (isIP(host) === 0) checkName(host);
  else if (!isPublicAddress(host)) throw denied("The address is not on the public internet.");
}

function checkName(host: string): void {
  if (!isHostName(host)) throw denied("The host is not a valid name.");
  const labels = host.split(".");
  if (labels.length < 2) throw denied("The host must be a full name with a domain.");
  // a name in another script can look like a name that somebody trusts
  if (labels.some((label) => label.startsWith("xn--"))) throw denied("International host names are not allowed. Ask the operator.");
  const inner = INNER_SUFFIXES.some((suffix) => host.endsWith(`.${suffix}`)) || METADATA_PREFIXES.some((prefix) => host.startsWith(prefix));
  if (inner) throw denied("The host is an internal name.");
}

function withoutBrackets(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}
