import { Fault, type TenantId } from "../../kernel/index.ts";
import { SEARCH_KINDS, type SearchKind, type SearchQuery } from "./port.ts";
import { checkText, refused } from "./search-item.ts";

/** A checked filter: values for parameters, never text for a statement. */
export interface SearchFilter {
  readonly kind: SearchKind | null;
  /** What the payload must contain, as JSON; `{}` for anything. */
  readonly payload: string;
}

const NAMES_MAX = 16;
const VALUE_LENGTH_MAX = 512;
const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/**
 * Reads a caller's filter. It can only narrow what is found: the tenant is not in it. `tenantId` is allowed where it is the tenant's own;
 * any other is `tenant_mismatch`. What cannot be a filter is `malformed_request`.
 */
export function parseFilter(filter: SearchQuery["filter"], tenantId: TenantId): SearchFilter {
  const entries = Object.entries(filter ?? {});
  if (entries.length > NAMES_MAX) throw refused("filter", `A filter may have ${NAMES_MAX} names.`);
  let kind: SearchKind | null = null;
  const payload: [string, string | number | boolean][] = [];
  for (const [name, value] of entries) {
    checkEntry(name, value);
    if (name === "tenantId") assertOwn(value, tenantId);
    else if (name === "kind") kind = parseKind(value);
    else payload.push([name, value]);
  }
  return { kind, payload: JSON.stringify(Object.fromEntries(payload)) };
}

/** The type promises no less, but a filter comes from outside. */
function checkEntry(name: string, value: unknown): void {
  if (!NAME.test(name))
    throw refused("filter", "A filter's name begins with a letter and has letters, digits, dot, hyphen and underscore.");
  if (typeof value === "string" && value.length <= VALUE_LENGTH_MAX) return checkText("filter", value);
  if (typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return;
  throw refused("filter", `A filter's value is a text of at most ${VALUE_LENGTH_MAX} characters, a number, true or false.`);
}

function assertOwn(value: unknown, tenantId: TenantId): void {
  if (value !== tenantId) throw new Fault("tenant_mismatch", "a search filter names another tenant", { public: { field: "filter" } });
}

function parseKind(value: unknown): SearchKind {
  const kind = SEARCH_KINDS.find((each) => each === value);
  if (!kind) throw refused("filter", `The kind is one of ${SEARCH_KINDS.join(", ")}.`);
  return kind;
}
