/** Fields by which the gateway vouches for a request. From outside they are forgeries. */
const VOUCHING = ["x-tenant-id", "x-tenant-context", "x-request-id", "traceparent", "baggage"] as const;
/** Fields that make some upstreams serve another path or method than the one that was authorised. */
const REWRITING = ["x-original-url", "x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override"] as const;

/** The names that {@link isForgedInternal} knows, in lower case and with hyphens. */
export const INTERNAL_FIELDS: ReadonlySet<string> = new Set([...VOUCHING, ...REWRITING]);

/** The name as CGI, WSGI and PHP read it: `X_Tenant.ID` is the field `x-tenant-id` to them. */
export function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[_.]/g, "-");
}

/**
 * Whether a field with this name, in any spelling of it, must be removed from what came from outside before it goes to an upstream:
 * the gateway alone may set it, or it would make the upstream serve something else than was authorised.
 */
export function isForgedInternal(name: string): boolean {
  return INTERNAL_FIELDS.has(fold(name));
}
