import { z } from "zod";
import { Fault } from "../kernel/index.ts";

const name = z.string().min(1).max(200);
const names = z.array(name).max(10_000).default([]);
const reason = z.string().min(10, "a reason is a sentence").max(1_000);

const vectorCollection = z.strictObject({
  collection: name,
  /** The payload field that holds the tenant; a collection of one tenant alone has its place in its name instead. */
  tenantField: name.optional(),
  /** Where the tenant's condition stands in every query. */
  filter: z.enum(["must", "should", "caller", "none"]).default("none"),
  /** What a point's id is made from. */
  pointId: z.enum(["tenant-and-id", "random", "caller"]).default("caller"),
  /** How the tenant's field is indexed. */
  index: z.enum(["tenant", "keyword", "none"]).default("none"),
});

const eventStream = z.strictObject({
  /** The subject or topic, with `{tenant}` where the tenant stands. */
  subject: name,
  /** For a subject that all tenants share: how a consumer knows whose an event is. */
  tenant: z.enum(["sealed", "field", "none"]).default("none"),
  /** What consumers of one tenant subscribe to. */
  subscriptions: names,
  /** The name of the consumer group, with `{tenant}` where it is per tenant. */
  group: name.optional(),
});

const cacheKey = z.strictObject({
  /** The key, with `{name}` for each part. */
  key: name,
  /** How the parts are put together. */
  parts: z.enum(["joined", "hashed", "length-prefixed"]).default("joined"),
  /** Whether what is found is checked to be the tenant's before it is used. */
  checked: z.boolean().default(false),
});

const ignoreEntry = z.strictObject({ rule: z.string().regex(/^FH\d{3}$/), object: name, reason });

/**
 * What the linter has to be told, because no catalog says it: who acts for tenants, which tables are whose, and what the other layers are
 * made of. Every list is exact or ends in `*`. An unknown key is refused.
 */
export const manifestSchema = z.strictObject({
  tenantColumn: name.default("tenant_id"),
  roles: z
    .strictObject({
      /** Roles that act for tenants. Default: every role that can log in and is no superuser. */
      application: names,
      /** Roles that see all tenants because that is their work. */
      platform: names,
    })
    .prefault({}),
  tables: z
    .strictObject({
      /** Default: the tables that have the tenant column and are in no other list. */
      tenant: names,
      /** Reference data that every tenant reads and none writes. */
      shared: names,
      /** Tables that no tenant's role may reach. */
      platform: names,
      /** Columns (`schema.table.column`) that hold sealed values only. */
      sealed: names,
    })
    .prefault({}),
  /** Functions whose result is the tenant in force. */
  contextFunctions: names,
  vectors: z.array(vectorCollection).max(1_000).default([]),
  events: z.array(eventStream).max(1_000).default([]),
  cache: z.array(cacheKey).max(1_000).default([]),
  /** Findings that are meant to be so. */
  ignore: z.array(ignoreEntry).max(10_000).default([]),
});

/** A manifest with every default filled in. */
export type Manifest = z.output<typeof manifestSchema>;

/** The manifest of a file's content; throws `invalid_settings` with the place of the first mistake. */
export function parseManifest(value: unknown, file: string): Manifest {
  const parsed = manifestSchema.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const detail = `${file}: ${issue?.path.join(".") || "the manifest"}: ${issue?.message ?? "is not valid"}.`;
  throw new Fault("invalid_settings", detail, { public: { detail } });
}

/** Whether a list of the manifest names this. */
export function isNamed(list: readonly string[], subject: string): boolean {
  return list.some((entry) => (entry.endsWith("*") ? subject.startsWith(entry.slice(0, -1)) : entry === subject));
}

/** What Freehold's own schema is, for an installation in this database. The names of the roles follow from the database's. */
export function ownManifest({ application, platform }: { readonly application: string; readonly platform: string }): Manifest {
  return manifestSchema.parse({
    roles: { application: [application], platform: [platform] },
    tables: {
      shared: ["freehold.migrations"],
      platform: [
        "freehold.tenants",
        "freehold.tenant_domains",
        "freehold.tenant_secrets",
        "freehold.api_keys",
        "freehold.plans",
        "freehold.registry_*",
        "freehold.gateway_*",
        "freehold.homes",
        "freehold.moves",
        "freehold.carried_events",
        "freehold.table_steps",
        "freehold.vault_*",
        "freehold.model_*",
        "freehold.lifecycle_runs",
        "freehold.erasure_certificates",
        "freehold.subscriptions",
        "freehold.file_copies",
        "freehold.channel_installations",
        "freehold.channel_leases",
        "freehold.channel_starts",
        "freehold_private.*",
      ],
    },
    contextFunctions: ["freehold.tenant"],
  });
}
