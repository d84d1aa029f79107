import { z } from "zod";
import { guardrailSchema } from "./guardrail-schema.ts";

/** What callers speak. Each is one path and one shape of request and answer. */
export const MODEL_PROTOCOLS = ["chat-completions", "responses", "embeddings", "messages"] as const;
export type ModelProtocol = (typeof MODEL_PROTOCOLS)[number];

/** What a provider is spoken to in. `converse` is Amazon Bedrock's, which callers do not speak. */
const SPOKEN_PROTOCOLS = [...MODEL_PROTOCOLS, "converse"] as const;
export type SpokenProtocol = (typeof SPOKEN_PROTOCOLS)[number];

/** What budgets count. */
const BUDGET_UNITS = ["requests", "tokens", "money"] as const;
export type BudgetUnit = (typeof BUDGET_UNITS)[number];

/** How long a budget lasts: whole minutes, hours, days and calendar months of UTC. */
const BUDGET_PERIODS = ["minute", "hour", "day", "month"] as const;
export type BudgetPeriod = (typeof BUDGET_PERIODS)[number];

/** Whose use a budget adds up. */
const BUDGET_SUBJECTS = ["tenant", "key", "user", "model"] as const;
export type BudgetSubject = (typeof BUDGET_SUBJECTS)[number];

const NAMES_MAX = 1_000;
const PRICE_MAX = 100_000;

const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, "use lower-case letters, digits and . _ -");
/** Model names come from providers: with slashes, colons and capitals. */
const modelName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}$/, "use letters, digits and . _ : @ / -");
const fieldName = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, "use a lower-case header field name");
const fieldValue = z.string().regex(/^[ -~]{0,500}$/, "use printable ASCII");
/** `*` stands for any rest. */
const modelPattern = z.string().regex(/^[A-Za-z0-9*][A-Za-z0-9._:@/*-]{0,199}$/, "use the name of a model, or one that ends in *");

/** Fields that the gateway makes itself, or that would change the framing. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  "authorization",
  "x-api-key",
  "api-key",
  "host",
  "connection",
  "content-length",
  "content-type",
  "accept-encoding",
  "transfer-encoding",
  "upgrade",
  "te",
  "expect",
]);

const provider = z.strictObject({
  /** A preset for address, credential and protocols; the other members say what differs. */
  kind: z.enum(["openai", "anthropic", "azure", "bedrock", "gemini", "ollama", "openai-compatible"]),
  /** What the paths of the protocols follow, for example `https://api.openai.com/v1`. */
  baseUrl: z.string().min(1).max(2_048).optional(),
  protocols: z.array(z.enum(SPOKEN_PROTOCOLS)).min(1).max(SPOKEN_PROTOCOLS.length).optional(),
  /** Where the key goes; `aws` signs each request with it (`<access key id>:<secret access key>`, and `:<session token>` with temporary ones). */
  auth: z.enum(["bearer", "x-api-key", "api-key", "aws", "none"]).optional(),
  /** Of AWS: where the models of a provider of the kind `bedrock` are. */
  region: z
    .string()
    .regex(/^[a-z]{2}(?:-[a-z]+){1,3}-\d$/, "use a region such as eu-central-1")
    .optional(),
  /** The member that tells tenants apart in the provider's prompt cache, sent with every request: OpenAI's, or vLLM's. */
  cacheKey: z.enum(["prompt_cache_key", "cache_salt", "none"]).optional(),
  /** Fields that every request to it has. */
  headers: z
    .record(fieldName, fieldValue)
    .refine((fields) => Object.keys(fields).length <= 20, "at most 20 fields")
    .refine((fields) => !Object.keys(fields).some((field) => OWN_FIELDS.has(field)), "this field is made by the gateway")
    .default({}),
  timeouts: z
    .strictObject({
      connectMs: z.int().min(10).max(60_000).default(5_000),
      /** The longest silence: until the first byte, and between two pieces. */
      silenceMs: z.int().min(100).max(3_600_000).default(120_000),
      /** The longest answer. */
      answerMs: z.int().min(100).max(86_400_000).default(900_000),
    })
    .prefault({}),
});

const price = z.number().min(0).max(PRICE_MAX);
const priceSet = {
  /** Of a million tokens of the prompt, of the answer, of the prompt that came from the provider's cache or went into it. */
  input: price,
  output: price.default(0),
  cachedInput: price.optional(),
  cacheWrite: price.optional(),
  /** Of each request. */
  request: price.default(0),
};

const prices = z
  .array(
    z.strictObject({
      /** The first day (UTC) on which it holds. */
      from: z.iso.date(),
      ...priceSet,
      /** What a prompt of more than so many tokens costs altogether instead. */
      long: z.strictObject({ over: z.int().min(1), ...priceSet }).optional(),
    }),
  )
  .max(100)
  .refine((list) => new Set(list.map(({ from }) => from)).size === list.length, "two prices begin on the same day")
  .default([]);

const model = z.strictObject({
  provider: name,
  /** What the provider calls it; its own name unless set. */
  model: modelName.optional(),
  /** The longest answer of it, in tokens: what is held for a request that does not say. */
  outputTokensMax: z.int().min(1).max(10_000_000).default(8_192),
  prices,
});

const condition = z.strictObject({
  /** Bytes of the request's body at most. */
  bytesMax: z.int().min(0).optional(),
  stream: z.boolean().optional(),
  /** The tenant has this feature. */
  feature: z.string().min(1).max(64).optional(),
  plan: z.string().min(1).max(63).optional(),
});

const route = z.strictObject({
  strategy: z.enum(["fallback", "weighted", "least-latency", "conditional"]).default("fallback"),
  /** In the order in which they are tried, where the strategy does not say another. Those after the first are for when it fails. */
  targets: z
    .array(z.strictObject({ model: modelName, weight: z.int().min(0).max(1_000_000).default(1), when: condition.optional() }))
    .min(1)
    .max(32),
});

const budget = z.strictObject({
  name,
  unit: z.enum(BUDGET_UNITS),
  per: z.enum(BUDGET_PERIODS),
  /** Whole requests or tokens, or money in the currency of the prices. */
  limit: z.number().min(0).max(9_000_000_000),
  for: z.enum(BUDGET_SUBJECTS).default("tenant"),
  /** Only use of these models counts. */
  models: z.array(modelPattern).max(NAMES_MAX).optional(),
  /** Holds the most that a request can use, always: nothing is estimated, also where that refuses what would have fitted. */
  strict: z.boolean().default(false),
});

const budgets = z
  .array(budget)
  .max(50)
  .refine((list) => new Set(list.map((each) => each.name)).size === list.length, "two budgets have the same name")
  .refine((list) => list.every(({ unit, limit }) => unit === "money" || Number.isInteger(limit)), "use a whole number")
  .default([]);

const models = z.array(modelPattern).max(NAMES_MAX);
const table = <Value extends z.ZodType>(key: z.ZodString, value: Value) =>
  z
    .record(key, value)
    .refine((entries) => Object.keys(entries).length <= NAMES_MAX, `at most ${NAMES_MAX}`)
    .default({} as never); // an empty record is one of every type

const shared = { providers: table(name, provider), models: table(modelName, model), routes: table(modelName, route) };

/** Keeps answers of one tenant for requests of the same tenant that are the same byte for byte, a day at most. */
const cache = z.strictObject({
  ttlMs: z
    .int()
    .min(1_000)
    .max(30 * 86_400_000),
  /** Gives them also to requests that differ in their last question alone, when that is so like the one before, as this model of embeddings says. */
  similar: z.strictObject({ model: modelName, threshold: z.number().min(0.5).max(1) }).optional(),
});

/** One provider with nothing said but its kind, and one model with nothing said but its provider. */
export const USUAL = {
  provider: provider.parse({ kind: "openai-compatible", baseUrl: "https://provider.invalid" }),
  model: model.parse({ provider: "none" }),
} as const;

/** The models of the platform: the document that operators set. */
export const platformModelsSchema = z
  .strictObject({
    ...shared,
    /** ISO 4217: of every price and every budget of money. */
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, "use a code such as USD")
      .default("USD"),
    /** Days for which lines of the ledger are kept; after them only what they add up to. Not set: they are kept. */
    ledgerDays: z.int().min(1).max(36_500).optional(),
    /** What tenants of a plan may use, and how much; `*` is every plan. Nothing else of the platform's is open to a tenant. */
    plans: table(
      z.string().regex(/^(?:\*|[a-z][a-z0-9-]{0,62})$/, "use the name of a plan, or *"),
      z.strictObject({ models: models.default([]), budgets }),
    ),
    /** What tenants with a feature may use besides. */
    features: table(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, "use the key of a feature"), z.strictObject({ models })),
  })
  .superRefine(checkReferences);

/** What an operator sets for one tenant: beside its plan, and over the plan's budgets of the same names. */
export const tenantGrantSchema = z.strictObject({ models: models.default([]), budgets });

/** What a tenant sets itself: its own providers and models, names of its own for what it may use, budgets below those it was given, its cache and its guardrails. */
export const tenantModelsSchema = z
  .strictObject({ ...shared, budgets, cache: cache.optional(), guardrails: guardrailSchema.optional() })
  .superRefine(checkReferences);

/** The platform's document, checked. */
export type PlatformModels = z.output<typeof platformModelsSchema>;
/** What a tenant was given, checked. */
export type TenantGrant = z.output<typeof tenantGrantSchema>;
/** A tenant's own document, checked. */
export type TenantModels = z.output<typeof tenantModelsSchema>;
/** One provider. */
export type ProviderSettings = PlatformModels["providers"][string];
/** One model and its prices. */
export type ModelSettings = PlatformModels["models"][string];
/** One name that leads to models. */
export type RouteSettings = PlatformModels["routes"][string];
/** One budget. */
export type BudgetSettings = TenantGrant["budgets"][number];
/** Prices from a day on. */
export type PriceSettings = ModelSettings["prices"][number];

/** What names another entry has to be there. A tenant's route may also lead to what the platform opens to it, which is looked up when it is used. */
function checkReferences(
  value: Pick<PlatformModels, "providers" | "models" | "routes"> & { readonly plans?: unknown },
  context: z.RefinementCtx,
): void {
  const problem = (path: PropertyKey[], message: string): void => context.addIssue({ code: "custom", path, message });
  if (value.plans === undefined && Object.hasOwn(value.providers, "moderation"))
    problem(["providers", "moderation"], "the name is for the secret of the moderation service");
  for (const [key, { kind, baseUrl, cacheKey, auth, region }] of Object.entries(value.providers)) {
    if (baseUrl === undefined && (kind === "azure" || kind === "openai-compatible"))
      problem(["providers", key, "baseUrl"], `a provider of the kind ${kind} needs one`);
    if (region === undefined && (kind === "bedrock" || auth === "aws"))
      problem(["providers", key, "region"], "say in which region of AWS it is");
    if (value.plans === undefined && cacheKey !== undefined)
      problem(["providers", key, "cacheKey"], "a provider of one's own is shared with nobody: leave it out");
  }
  for (const [key, entry] of Object.entries(value.models)) {
    if (!Object.hasOwn(value.providers, entry.provider)) problem(["models", key, "provider"], `there is no provider ${entry.provider}`);
  }
  for (const [key, { targets }] of Object.entries(value.routes)) {
    if (Object.hasOwn(value.models, key)) problem(["routes", key], "a model has the same name");
    if (value.plans === undefined) continue;
    for (const [at, target] of targets.entries()) {
      if (!Object.hasOwn(value.models, target.model)) problem(["routes", key, "targets", at, "model"], `there is no model ${target.model}`);
    }
  }
}
