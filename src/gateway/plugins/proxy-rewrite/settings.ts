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

/** Additions, replacements and removals, or (the older form) replacements only. */
export type HeaderSettings =
  | {
      readonly add?: Readonly<Record<string, HeaderValues>>;
      readonly set?: Readonly<Record<string, HeaderValues>>;
      readonly remove?: readonly string[];
    }
  | Readonly<Record<string, HeaderValue>>;

/** Whether it is the form with add, set and remove. */
export function isEdit(headers: HeaderSettings): headers is Extract<HeaderSettings, { readonly remove?: readonly string[] }> {
  return [headers["add"], headers["set"], headers["remove"]].some((part) => typeof part === "object");
}
