import type { HeaderValue } from "../shared/header-fields.ts";

/** Settings of proxy-rewrite: what the upstream gets instead of what the caller sent. */
export interface ProxyRewriteSettings {
  readonly uri?: string;
  readonly method?: string;
  readonly regex_uri?: readonly string[];
  readonly host?: string;
  readonly headers?: HeaderSettings;
  readonly use_real_request_uri_unsafe: boolean;
}

/** One value, or one field for each. */
export type HeaderValues = HeaderValue | readonly HeaderValue[];

/** Changes of header fields: additions, replacements, removals. */
export interface HeaderEdits {
  readonly add?: Readonly<Record<string, HeaderValues>> | undefined;
  readonly set?: Readonly<Record<string, HeaderValues>> | undefined;
  readonly remove?: readonly string[] | undefined;
}

/** The changes, or (the older form) replacements only. */
export type HeaderSettings = HeaderEdits | Readonly<Record<string, HeaderValue>>;

/** Both forms as the newer one. */
export function toEdits(headers: HeaderSettings): HeaderEdits {
  return isEdits(headers) ? headers : { set: headers };
}

function isEdits(headers: HeaderSettings): headers is HeaderEdits {
  return Object.entries(headers).some(([name, part]) => ["add", "set", "remove"].includes(name) && typeof part === "object");
}

/** Each value of a field. */
export function toValues(values: HeaderValues): readonly HeaderValue[] {
  return typeof values === "object" ? values : [values];
}
