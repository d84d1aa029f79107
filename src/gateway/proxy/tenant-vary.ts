/**
 * The Vary field that every answer to a proved tenant gets in the strict profile, for caches between the caller and the gateway. A cache that
 * has the tenant in its key may leave this one field out.
 */
export const TENANT_VARY = "Authorization, X-Tenant-ID";
