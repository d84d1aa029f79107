import { z } from "zod";
import { AGENT_PROTOCOLS, DATA_MODELS, FAULTS, ISOLATION_LEVELS, parseTenantId, type TenantId } from "../../kernel/index.ts";
import { SIGNING_SECRET } from "../../wire/index.ts";

const COUNT_MAX = Number.MAX_SAFE_INTEGER;
const TEXT_MAX = 200;

const count = z.int().min(0).max(COUNT_MAX);
const label = z.string().trim().min(1).max(TEXT_MAX);
const featureKey = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, "use a key such as custom_models");
const planName = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, "use a name such as starter");

/** A tenant's id as the API takes it. */
export const tenantIdSchema = z.custom<TenantId>((value) => parseTenantId(value) !== undefined, {
  error: "use 1 to 63 lower-case letters, digits and single hyphens, and no reserved word",
});

/** A BCP 47 language tag that the runtime knows how to read. */
const localeSchema = z.string().max(35).refine(isLocale, "use a language tag such as en or de-CH");

const quotas = z.strictObject({
  maxUsers: count,
  maxActiveUsers: count.optional(),
  maxConcurrentUsers: count.optional(),
  maxProjects: count,
  maxAIRequests: count,
  storageLimit: count,
  computeLimit: count,
  networkBandwidth: count,
});

// one request in a thousand seconds: the header fields that tell of the rate have room for 15 digits
const rate = z.strictObject({ requestsPerSecond: z.number().min(0.001).max(1_000_000), burst: z.int().min(1).max(1_000_000) });

const billing = z.strictObject({
  currency: z.string().regex(/^[A-Z]{3}$/, "use a code such as EUR"),
  monthlyPriceMinor: count,
  email: z.email().max(TEXT_MAX).nullable(),
});

const mcpName = z.string().regex(/^[a-z][a-z0-9]{0,19}$/, "use 1 to 20 lower-case letters and digits");

/** Fields that say how a message is read or where it goes, or that are the protocol's own. */
const NO_SECRET_FIELDS: ReadonlySet<string> = new Set(["accept", "cookie", "host", "origin", "te", "traceparent", "upgrade", "user-agent"]);
const NO_SECRET_PREFIX =
  /^(?:accept-|connection|content-|expect|keep-alive|last-event-id|mcp-|proxy-|trailer|transfer-|x-tenant-|x-request-id)/;

const mcpServer = z.strictObject({
  name: mcpName,
  url: z.string().max(2048),
  tools: z
    .array(z.string().regex(/^[A-Za-z0-9_./-]{1,128}$/, "use a tool's name"))
    .min(1)
    .max(32),
  secretHeader: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,63}$/, "use the name of a header field in lower case")
    .refine((name) => !NO_SECRET_FIELDS.has(name) && !NO_SECRET_PREFIX.test(name), "this field is not for secrets")
    .default("authorization"),
});

const agentConfig = z.strictObject({
  invokeUrl: z.string().max(2048).nullable(),
  timeout: z.int().min(100).max(600_000),
  protocol: z.enum(AGENT_PROTOCOLS),
  concurrency: z.int().min(1).max(10_000),
  model: z.string().min(1).max(TEXT_MAX).nullable(),
  mcpServers: z
    .array(mcpServer)
    .max(8)
    .refine((servers) => new Set(servers.map(({ name }) => name)).size === servers.length, "two servers have one name"),
});

const sessions = z.strictObject({
  retentionDays: z.int().min(1).max(36_500).nullable(),
  idleMinutes: z.int().min(1).max(527_040).nullable(),
});

const host = z
  .string()
  .max(253)
  .regex(/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/, "use a lower-case host name such as ai.example.com");

/** What a plan gives to every tenant that has no setting of its own. */
export const planDocumentSchema = z.strictObject({
  isolationLevel: z.enum(ISOLATION_LEVELS),
  quotas,
  rate,
  features: z.array(featureKey).max(256),
  billing: billing.pick({ currency: true, monthlyPriceMinor: true }),
});

/** A plan: named defaults. */
export const planSchema = planDocumentSchema.extend({ name: planName });

const settings = {
  name: label,
  plan: planName,
  isolationLevel: z.enum(ISOLATION_LEVELS).optional(),
  /** Where layers are to be, other than the isolation level stands for. Changing it moves nothing: `freehold tenant move` does. */
  placement: z.strictObject({ data: z.enum(DATA_MODELS).optional() }).optional(),
  quotas: quotas.partial().optional(),
  rate: rate.partial().optional(),
  features: z.array(featureKey).max(256).optional(),
  billing: billing.partial().optional(),
  locale: localeSchema.optional(),
  agentConfig: agentConfig.partial().optional(),
  web: z.strictObject({ enabled: z.boolean() }).optional(),
  sessions: sessions.partial().optional(),
  /** Own titles: code -> language -> text. */
  errorTexts: z.partialRecord(z.enum(Object.keys(FAULTS)), z.record(localeSchema, label)).optional(),
};

// what a header field can carry (RFC 6750, 2.1)
const agentKey = z.string().regex(/^[A-Za-z0-9._~+/-]{8,512}=*$/, "use the characters of a bearer token");

const signingSecret = z.string().regex(SIGNING_SECRET, "use whsec_ and 24 to 64 random bytes in base64");

// the value of a header field, of visible characters and single spaces inside
const fieldValue = z
  .string()
  .max(2_000)
  .regex(/^[!-~]+(?: [!-~]+)*$/, "use the value of the header field");

const secrets = {
  /** What the agent is called with: a bearer token, the secret that signs what is sent to it, and header fields of MCP servers by their names. */
  agent: z
    .strictObject({
      apiKey: agentKey.nullable().optional(),
      signingSecret: signingSecret.nullable().optional(),
      mcp: z
        .record(mcpName, fieldValue.nullable())
        .refine((given) => Object.keys(given).length <= 8, "at most 8")
        .optional(),
    })
    .optional(),
};

/** What the database keeps of a tenant besides its id, plan and status: only what differs from the plan. */
export const tenantDocumentSchema = z.strictObject({ ...settings, plan: z.undefined().optional() });

/** What an operator sends to make a tenant. */
export const tenantCreateSchema = z.strictObject({
  ...settings,
  ...secrets,
  id: tenantIdSchema,
  plan: planName.default("starter"),
  domains: z.array(host).max(32).optional(),
});

/** What an operator sends to change a tenant: only the given fields change; `version` refuses the change if somebody was faster. */
export const tenantUpdateSchema = z.strictObject({
  ...settings,
  ...secrets,
  name: label.optional(),
  plan: planName.optional(),
  domains: z.array(host).max(32).optional(),
  version: z.int().min(1).optional(),
});

/** What a tenant's own admin may change. Plan, quotas, isolation, price and status are not among it. */
export const tenantSelfUpdateSchema = tenantUpdateSchema.pick({
  name: true,
  locale: true,
  agentConfig: true,
  web: true,
  agent: true,
  sessions: true,
  errorTexts: true,
  version: true,
});

/** The defaults that a plan stands for. */
export type PlanDocument = z.infer<typeof planDocumentSchema>;
/** The defaults and their name. */
export type Plan = z.infer<typeof planSchema>;
/** A tenant's own settings. */
export type TenantDocument = z.infer<typeof tenantDocumentSchema>;
/** A tenant to be made, checked. */
export type TenantCreate = z.infer<typeof tenantCreateSchema>;
/** A change to a tenant, checked. */
export type TenantUpdate = z.infer<typeof tenantUpdateSchema>;

function isLocale(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1;
  } catch {
    return false; // RangeError: not a language tag
  }
}
