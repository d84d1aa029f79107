import { Fault, parseTenantId, type TenantId } from "../../kernel/index.ts";
import type { RequestHead, Target } from "../../wire/index.ts";
import { API_KEY_PREFIX } from "./api-key.ts";

/** The cookie of the portal's session. */
export const SESSION_COOKIE = "freehold_session";

const KEY_FIELDS = ["x-api-key", "api-key", "x-goog-api-key"] as const;
const TENANT_FIELD = "x-tenant-id";
/** First segment of a path that names a tenant. */
const TENANTS_SEGMENT = "tenants";

/** Query parameters that are credentials whatever their value (RFC 6750, 2.3) or when the value looks like one. */
const CREDENTIAL_PARAMETERS: ReadonlySet<string> = new Set(["api_key", "apikey", "access_token"]);
const POSSIBLE_CREDENTIAL_PARAMETERS: ReadonlySet<string> = new Set(["key", "token"]);
// base64url of `{"`, as every JSON Web Token begins, and two dots
const JWT_SHAPE = /^eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/;
// RFC 6750, 2.1; the colon is for the development token
const BEARER = /^bearer +([A-Za-z0-9._~+/:@-]+=*)$/i;

/** The one credential of a request. `text` is empty when it can prove nothing, for example under another scheme than Bearer. */
export interface Credential {
  readonly carrier: "authorization" | "key_field" | "cookie";
  readonly text: string;
}

/** Something in the request that names a tenant without proving anything. */
export interface Selector {
  readonly carrier: "header" | "path" | "host";
  readonly tenantId: TenantId;
}

/** All that a request says about who it is for. */
export interface Carriers {
  readonly credential: Credential | undefined;
  readonly selectors: readonly Selector[];
  /** The path to route, as it arrived, without the part that names the tenant; at least `/`. */
  readonly routePath: string;
}

/** How a host name says a tenant. */
export interface HostRules {
  readonly baseDomains: readonly string[];
  /** The tenant of a verified custom domain. */
  readonly tenantOfHost: (host: string) => TenantId | undefined;
}

/**
 * Everything in the request that proves or names a tenant.
 * Throws `malformed_request` (a field came twice, a credential stands in the URL), `invalid_tenant_id` or `ambiguous_credentials`.
 */
export function readCarriers(head: RequestHead, hosts: HostRules): Carriers {
  refuseCredentialInQuery(head.target.query);
  const path = readPath(head.target);
  const selectors: Selector[] = [];
  add(selectors, "header", head.headers.one(TENANT_FIELD));
  add(selectors, "path", path.tenant);
  add(selectors, "host", tenantOfHost(head.host, hosts));
  return { credential: readCredential(head), selectors, routePath: path.rest };
}

function add(selectors: Selector[], carrier: Selector["carrier"], value: string | undefined): void {
  if (value === undefined) return;
  const tenantId = parseTenantId(value);
  if (tenantId === undefined)
    throw new Fault("invalid_tenant_id", `the ${carrier} names no valid tenant id`, { public: { field: carrier } });
  selectors.push({ carrier, tenantId });
}

function readCredential(head: RequestHead): Credential | undefined {
  const found: Credential[] = [];
  const authorization = head.headers.one("authorization");
  if (authorization !== undefined) found.push({ carrier: "authorization", text: BEARER.exec(authorization)?.[1] ?? "" });
  for (const field of KEY_FIELDS) {
    const text = head.headers.one(field);
    if (text !== undefined) found.push({ carrier: "key_field", text });
  }
  for (const text of sessionCookies(head)) found.push({ carrier: "cookie", text });
  // also when both are the same: a request that could mean two callers means none
  if (found.length > 1) throw new Fault("ambiguous_credentials", `credentials in ${found.map(({ carrier }) => carrier).join(" and ")}`);
  return found[0];
}

/** Each of them: a neighbouring subdomain can add a second cookie of the same name (RFC 6265, 8.6). */
function sessionCookies(head: RequestHead): readonly string[] {
  const fields = head.headers.all("cookie");
  if (fields.length === 0) return fields;
  return fields
    .flatMap((field) => field.split(";"))
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${SESSION_COOKIE}=`))
    .map((pair) => pair.slice(SESSION_COOKIE.length + 1));
}

/** What stands in a URL stands in logs, histories and Referer fields as well (RFC 6750, 5.3). */
function refuseCredentialInQuery(query: string): void {
  if (query === "") return;
  for (const [name, value] of new URLSearchParams(query)) {
    const folded = name.toLowerCase();
    const looksLikeOne = POSSIBLE_CREDENTIAL_PARAMETERS.has(folded) && JWT_SHAPE.test(value);
    if (!looksLikeOne && !CREDENTIAL_PARAMETERS.has(folded) && !value.startsWith(API_KEY_PREFIX)) continue;
    const detail = "Send the credential in a header field, never in the URL. Replace this one: it may be in logs.";
    throw new Fault("malformed_request", "a credential in the query", { public: { detail } });
  }
}

/** `/tenants/{id}/rest` read from the path as it arrived: what is cut off is what was read, byte for byte. */
function readPath(target: Target): { readonly tenant: string | undefined; readonly rest: string } {
  // nearly every path: nothing has to be cut
  if (target.segments[0] !== TENANTS_SEGMENT) return { tenant: undefined, rest: target.path };
  const [, first, id] = target.path.split("/", 3);
  // `/%74enants/b` would be a tenant's path for whoever decodes before matching
  if (first !== TENANTS_SEGMENT) throw new Fault("malformed_request", "the tenants prefix in another spelling");
  if (id === undefined) return { tenant: undefined, rest: target.path };
  return { tenant: id, rest: target.path.slice(`/${first}/${id}`.length) || "/" };
}

/**
 * The tenant that the host names, or whose id a key carries in the open, without any proof and without waiting: good for choosing what is
 * looked at next, never for access.
 */
export function readClaim(
  head: RequestHead,
  hosts: HostRules,
  tenantOfKey: (id: string) => TenantId | null | undefined,
): TenantId | undefined {
  for (const field of KEY_FIELDS) {
    for (const text of head.headers.all(field)) {
      const id = text.startsWith(API_KEY_PREFIX) ? text.slice(API_KEY_PREFIX.length).split("-", 1)[0] : undefined;
      const tenantId = id === undefined ? undefined : tenantOfKey(id);
      if (tenantId) return tenantId;
    }
  }
  return parseTenantId(tenantOfHost(head.host, hosts));
}

/** What the host names as a tenant: one label in front of a base domain, or a custom domain. More labels are no valid name. */
function tenantOfHost(host: string | undefined, hosts: HostRules): string | undefined {
  if (host === undefined || hosts.baseDomains.includes(host)) return undefined;
  const bases = hosts.baseDomains.filter((base) => host.endsWith(`.${base}`));
  if (bases.length === 0) return hosts.tenantOfHost(host);
  // of two base domains inside each other the longer one is meant
  const longest = Math.max(...bases.map((base) => base.length));
  return host.slice(0, -(longest + 1));
}
