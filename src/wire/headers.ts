import { Fault } from "../kernel/index.ts";
import type { HeaderList } from "./http.ts";

/** Fields by which the gateway vouches for a request. From outside they are forgeries. */
const VOUCHING = ["x-tenant-id", "x-tenant-context", "x-request-id", "traceparent", "baggage"] as const;
/** Fields that make some upstreams serve another path or method than the one that was authorised. */
const REWRITING = ["x-original-url", "x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override"] as const;

const RESERVED: ReadonlySet<string> = new Set([...VOUCHING, ...REWRITING]);

/** The fields of Node's `rawHeaders`: name, value, name, value. Trailers are not among them. */
export function createHeaderList(rawHeaders: readonly string[]): HeaderList {
  const fields: (readonly [string, string])[] = [];
  const values = new Map<string, string[]>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? "";
    const value = rawHeaders[i + 1] ?? "";
    fields.push([name, value]);
    const known = values.get(name.toLowerCase());
    if (known) known.push(value);
    else values.set(name.toLowerCase(), [value]);
  }
  return {
    fields,
    all: (name) => values.get(name.toLowerCase()) ?? [],
    one(name) {
      const found = values.get(name.toLowerCase()) ?? [];
      if (found.length > 1) throw repeated(name);
      return found[0];
    },
  };
}

/** The name as CGI, WSGI and PHP read it: `X_Tenant.ID` is the field `x-tenant-id` to them. */
export function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[_.]/g, "-");
}

/**
 * Whether a field with this name, in any spelling of it, must be removed from what came from outside before it goes to an upstream:
 * the gateway alone may set it, or it would make the upstream serve something else than was authorised.
 */
export function isForgedInternal(name: string): boolean {
  return RESERVED.has(fold(name));
}

function repeated(name: string): Fault {
  const detail = `The header field ${name.toLowerCase()} may be sent only once.`;
  return new Fault("malformed_request", detail, { public: { detail, field: name.toLowerCase() } });
}
