import { Fault } from "../../../kernel/index.ts";
import type { RequestHead } from "../../../wire/index.ts";
import type { Call, Profile } from "../../proxy/plugin.ts";
import { parseQueryArguments } from "../../routing/query-arguments.ts";

/** Where one credential may stand. Names of places that are not looked at are undefined. */
export interface CredentialPlaces {
  readonly header: string;
  readonly query: string | undefined;
  readonly cookie: string | undefined;
}

/**
 * The credential of the first place that has one: field, query, cookie. In the strict profile a request that has two of them, or one field
 * twice, could mean two callers and is refused (`ambiguous_credentials`, `malformed_request`).
 */
export function readCredential(call: Call, places: CredentialPlaces, profile: Profile): string | undefined {
  const { headers, target } = call.head;
  const inHeader = profile === "strict" ? headers.one(places.header) : headers.all(places.header)[0];
  if (inHeader !== undefined && profile === "apisix") return inHeader;
  const inQuery = places.query === undefined || target.query === "" ? undefined : parseQueryArguments(target.query).get(places.query);
  if (profile === "apisix" && inQuery !== undefined) return inQuery;
  const inCookie = places.cookie === undefined ? undefined : call.variable(`cookie_${places.cookie}`);
  const found = [inHeader, inQuery, inCookie].filter((value) => value !== undefined);
  if (found.length > 1) throw new Fault("ambiguous_credentials", "a credential in more than one place");
  return found[0] === undefined ? undefined : String(found[0]);
}

/** The credential of the field or the query, without looking whether there are two: for what is said before it is proved. */
export function peekCredential({ headers, target }: RequestHead, { header, query }: CredentialPlaces): string | undefined {
  const inHeader = headers.all(header)[0];
  if (inHeader !== undefined || query === undefined || target.query === "") return inHeader;
  return parseQueryArguments(target.query).get(query);
}

/** Takes the credential out of what goes to the upstream, wherever it stands. */
export function hideCredential(call: Call, places: CredentialPlaces): void {
  const { upstream } = call;
  upstream.headers.remove(places.header);
  if (places.query !== undefined && upstream.query !== "") upstream.query = withoutArgument(upstream.query, places.query);
  if (places.cookie === undefined) return;
  const cookies = upstream.headers.get("cookie");
  if (cookies === undefined) return;
  const kept = cookies.split(/[;,]/).filter((pair) => pair.split("=", 1)[0]?.trim() !== places.cookie);
  if (kept.length === 0) upstream.headers.remove("cookie");
  else upstream.headers.set("Cookie", kept.map((pair) => pair.trim()).join("; "));
}

/** The query without one argument, everything else byte for byte. */
function withoutArgument(query: string, name: string): string {
  return query
    .split("&")
    .filter((pair) => !parseQueryArguments(pair).has(name))
    .join("&");
}
