import { z } from "zod";
import { parseTenantId, TENANT_ID_LENGTH_MAX } from "../../kernel/index.ts";

/** The names of the claims unless an issuer has its own. */
export const CLAIM_NAMES = { tenant: "tenant_id", roles: "roles", platformRoles: "platform_roles" } as const;

/** A list of the scopes that a token is limited to, by whichever issuer: the `scope` of OAuth is full of words that mean other things. */
export const SCOPES_CLAIM = "freehold_scopes";
/** The claim of our own tokens that names the channel which they are for: without it they are good for nothing. */
export const CHANNEL_CLAIM = "freehold_channel";

const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);
/** Labels of letters, digits and inner hyphens, at least two of them (RFC 1123, 2.1). */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/;

const tenantId = z
  .string()
  .max(TENANT_ID_LENGTH_MAX)
  .transform((text, context) => {
    const id = parseTenantId(text);
    if (id !== undefined) return id;
    context.addIssue("not a tenant id");
    return z.NEVER;
  });

const claimName = z.string().min(1).max(128);

const keySetUrl = z
  .string()
  .max(2048)
  .refine(isKeySetUrl, "must be a canonical https URL (http only for this machine) without user or fragment");

/**
 * One issuer of tokens and the tenants that it may speak for. `tenants: "*"` binds it to every tenant and has to be said; `platform`
 * lets it make operators. Exactly one of `jwksUrl` and `jwks` says where its keys are.
 */
export const issuerSettings = z
  .strictObject({
    issuer: z.string().min(1).max(512),
    audience: z.string().min(1).max(512),
    tenants: z.union([z.literal("*"), z.array(tenantId).min(1)]),
    jwksUrl: keySetUrl.optional(),
    jwks: z.strictObject({ keys: z.array(z.record(z.string(), z.unknown())).min(1) }).optional(),
    platform: z.boolean().default(false),
    claims: z
      .strictObject({
        tenant: claimName.default(CLAIM_NAMES.tenant),
        roles: claimName.default(CLAIM_NAMES.roles),
        platformRoles: claimName.default(CLAIM_NAMES.platformRoles),
      })
      .prefault({}),
  })
  .refine(({ jwksUrl, jwks }) => (jwksUrl === undefined) !== (jwks === undefined), "needs exactly one of jwksUrl and jwks")
  .refine(({ claims }) => new Set(Object.values(claims)).size === 3, "each claim needs a name of its own");

export type IssuerSettings = z.output<typeof issuerSettings>;

/**
 * The settings of identity. In the production profile, which is the default, the development token and key sets over plain http are
 * refused here, at boot: the code that proves tenants has no switch for it.
 */
export const identitySettings = z
  .strictObject({
    profile: z.enum(["production", "development"]).default("production"),
    issuers: z.array(issuerSettings).default([]),
    /** `{tenant}.` in front of one of these names a tenant. */
    baseDomains: z.array(z.string().regex(HOST_NAME, "must be a host name in lower case")).default([]),
    developmentToken: z.boolean().default(false),
    /** Failed credentials per remote address and window; over it they are answered with 429 and not written to the audit trail one by one. */
    failedCredentials: z
      .strictObject({ max: z.int().min(1).max(1_000_000).default(100), windowSeconds: z.int().min(1).max(86_400).default(60) })
      .prefault({}),
  })
  .refine(({ issuers }) => new Set(issuers.map(({ issuer }) => issuer)).size === issuers.length, "each issuer may be given once")
  .refine(({ profile, developmentToken }) => profile === "development" || !developmentToken, {
    path: ["developmentToken"],
    error: "is refused in the production profile",
  })
  .refine(({ profile, issuers }) => profile === "development" || issuers.every(({ jwksUrl }) => !jwksUrl?.startsWith("http:")), {
    path: ["issuers"],
    error: "must have key sets over https in the production profile",
  });

export type IdentitySettings = z.output<typeof identitySettings>;

function isKeySetUrl(text: string): boolean {
  const url = URL.parse(text);
  // the text must be what is fetched: nothing trimmed, folded or re-encoded on the way
  if (!url || url.href !== text || url.username || url.password || text.includes("#")) return false;
  return url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname));
}
