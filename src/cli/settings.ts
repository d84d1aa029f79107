import { z } from "zod";
import { Fault } from "../kernel/index.ts";
import { identitySettings } from "../tenancy/identity/index.ts";
import { tenantIdSchema } from "../tenancy/registry/index.ts";

/** The name of the environment variable that holds a secret. */
const variableName = z.string().regex(/^[A-Z][A-Z0-9_]*$/, "use the name of an environment variable");

/** An address without a path; over `http:` only on this machine. */
const originSchema = z.string().refine(isOrigin, "use https:// and a host, without a path");

const redisUrl = z.string().regex(/^rediss?:\/\//, "must begin with redis://");

const awsCredentials = {
  region: z.string().regex(/^[a-z0-9-]{1,32}$/, "use a region such as eu-central-1"),
  accessKeyIdEnv: variableName.default("AWS_ACCESS_KEY_ID"),
  secretAccessKeyEnv: variableName.default("AWS_SECRET_ACCESS_KEY"),
  /** With temporary credentials. */
  sessionTokenEnv: variableName.optional(),
};

const port = z.int().min(0).max(65_535);
const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"]);

/** What seals tenants' secrets, cache values and files. */
export const vaultSettings = z
  .strictObject({
    /**
     * Where root keys are. The first wraps; the others only unwrap, until everything is under the first. The installation's own root key
     * always comes last, so that without an entry it wraps.
     */
    roots: z
      .array(
        z.discriminatedUnion("kind", [
          // 64 hexadecimal digits
          z.strictObject({ kind: z.literal("local"), keyEnv: variableName }),
          z.strictObject({
            kind: z.literal("aws-kms"),
            keyId: z.string().regex(/^[A-Za-z0-9:/_-]{1,256}$/, "use the ARN, id or alias of a key"),
            /** Default: AWS's own address in the region. */
            endpoint: originSchema.optional(),
            ...awsCredentials,
          }),
          z.strictObject({
            kind: z.literal("transit"),
            address: originSchema,
            mount: z
              .string()
              .regex(/^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/)
              .default("transit"),
            keyName: z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?$/),
            namespace: z
              .string()
              .regex(/^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/)
              .optional(),
            tokenEnv: variableName.default("VAULT_TOKEN"),
          }),
        ]),
      )
      .max(8)
      .default([]),
    /** How long an unwrapped key is used without asking its root key again. */
    keyTtlMs: z.int().min(1_000).max(3_600_000).default(60_000),
  })
  .prefault({});

/** Where values are that can be made again. */
export const cacheSettings = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("memory"),
      /** Of each process. */
      bytesMax: z
        .int()
        .min(1_000_000)
        .max(1024 ** 4)
        .default(64 * 1024 ** 2),
      bytesPerTenantMax: z
        .int()
        .min(1_000_000)
        .max(1024 ** 4)
        .default(8 * 1024 ** 2),
    }),
    z.strictObject({ kind: z.literal("redis"), url: redisUrl }),
  ])
  .prefault({ kind: "memory" });

const folderOfFiles = z.strictObject({ kind: z.literal("folder"), folder: z.string().min(1) });
const bucketOfFiles = z.strictObject({
  kind: z.literal("s3"),
  /** With `{tenant}` in it every tenant has a bucket of its own. */
  bucket: z.string().refine(isBucket, "use the name of a bucket, 3 to 63 characters with a tenant's 36 in place of {tenant}"),
  prefix: z
    .string()
    .regex(/^(?:[A-Za-z0-9_-]{1,100}\/){0,5}$/, "use names that each end with a slash")
    .default("freehold/"),
  /** Default: AWS's own address in the region. */
  endpoint: originSchema.optional(),
  ...awsCredentials,
});

/** Where files of tenants are that were moved to a place of their own: a folder of folders, or buckets. */
const own = z
  .discriminatedUnion("kind", [
    folderOfFiles,
    bucketOfFiles.refine(({ bucket }) => bucket.includes("{tenant}"), { path: ["bucket"], error: "must have {tenant} in it" }),
  ])
  .optional();

/** Where the contents of files are. */
export const filesSettings = z
  .discriminatedUnion("kind", [
    // beside the embedded database unless it is named
    folderOfFiles.partial({ folder: true }).extend({ own }),
    bucketOfFiles.extend({ own }),
  ])
  .prefault({ kind: "folder" });

/**
 * The settings of one process: the shape of `freehold.yaml`. Flags of the command line come over it, key by key.
 * `profile` is `development` only where nobody but this machine can connect; otherwise it has to be said.
 */
export const settingsSchema = z
  .strictObject({
    profile: z.enum(["development", "production"]).optional(),
    host: z.string().min(1).max(253).default("127.0.0.1"),
    port: port.default(8080),
    adminPort: port.default(9090),
    /** The folder of the embedded database, the root key and what the command line needs to find this process. */
    data: z.string().min(1).default(".freehold"),
    database: z
      .strictObject({
        /** `postgres://…`; without it the database is embedded. */
        url: z
          .string()
          .regex(/^postgres(?:ql)?:\/\//, "must begin with postgres://")
          .optional(),
        /** The most connections of one process, over all tenants and the platform. */
        connectionsMax: z.int().min(4).max(1_000).default(20),
        /** The file (YAML or JSON) in which `tables` lists the steps of the application's tables. */
        tables: z.string().min(1).optional(),
      })
      .prefault({}),
    /** Checked by the schema of identity itself, once the profile is known. */
    identity: z.record(z.string(), z.unknown()).default({}),
    search: z
      .strictObject({
        embedder: z
          .discriminatedUnion("kind", [
            z.strictObject({ kind: z.literal("lexical") }),
            z.strictObject({
              kind: z.literal("openai"),
              url: z.url(),
              model: z.string().min(1).max(200),
              dimensions: z.int().min(8).max(4_096),
              /** The name of the environment variable that holds the key. */
              apiKeyEnv: variableName.optional(),
            }),
          ])
          .prefault({ kind: "lexical" }),
      })
      .prefault({}),
    /** What seals tenants' secrets, cache values and files. */
    vault: vaultSettings,
    /** Values that can be made again. */
    cache: cacheSettings,
    /** The contents of files. */
    files: filesSettings,
    /** Where chat platforms are, for those that have more than one place. */
    channels: z
      .strictObject({
        /** Where browsers reach this gateway: Slack sends them back there once an app was allowed. */
        publicUrl: originSchema.optional(),
        slack: z
          .strictObject({ apiUrl: originSchema.default("https://slack.com"), hooksUrl: originSchema.default("https://hooks.slack.com") })
          .prefault({}),
        discord: z.strictObject({ apiUrl: originSchema.default("https://discord.com") }).prefault({}),
      })
      .prefault({}),
    /** The data plane: what is proxied, for whom and how. */
    gateway: z
      .strictObject({
        /** The gateway document (YAML or JSON); what the admin API stores comes beside it. */
        file: z.string().min(1).optional(),
        /** Environment variables that objects of the admin API may use (`$env://NAME`). Those of the file may use any. */
        storedVariables: z
          .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of a variable"))
          .max(1_000)
          .default([]),
        /** How the document is read: by our own rules, or as Apache APISIX reads it, with a warning for each hazard. */
        profile: z.enum(["strict", "apisix"]).default("strict"),
        /** Whether a route that says nothing about it is for proved tenants only. */
        tenantRequired: z.boolean().default(true),
        /** Whether the platform's own paths come before the document's routes. */
        platformFirst: z.boolean().default(true),
        /** Addresses of proxies in front, whose X-Forwarded fields are believed. */
        trustedAddresses: z
          .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]))
          .max(1_000)
          .default([]),
        connectionsMax: z.int().min(1).max(1_000_000).default(10_000),
        /** Processes that share the port, one per core; more than one needs PostgreSQL. */
        processes: z.int().min(1).max(256).default(1),
        /** A port for TLS besides the plain one; certificates are the document's `ssls`. */
        tlsPort: port.optional(),
        /** Limits that several machines share: `redis://…`. Without it each machine has its own. */
        redis: redisUrl.optional(),
        /** Machines that share the limits at least; what a limit is divided by while Redis was never reached. */
        machinesMin: z.int().min(1).max(1_000).default(1),
      })
      .prefault({}),
    /** What a restored backup must not bring back is kept in the data folder, and in each of these files: keep one on another disk. */
    revocations: z.strictObject({ copies: z.array(z.string().min(1)).max(8).default([]) }).prefault({}),
    /** The share of the requests that went well which the access log has; the others are always in it. */
    accessLog: z.strictObject({ sample: z.number().min(0).max(1).default(1) }).prefault({}),
    /** Browser origins besides the own host that may open a WebSocket. */
    origins: z.array(z.url()).max(100).default([]),
    /** The tenant whose agent AGENT_INVOKE_URL sets. No request is ever given to it for want of a tenant. */
    defaultTenant: tenantIdSchema.optional(),
    logLevel: z.enum(["fatal", "error", "warn", "info", "debug", "silent"]).default("info"),
    /** Whether the tenants acme and globex are made where they are missing. Default: in the development profile. */
    demo: z.boolean().optional(),
  })
  .transform((given, context) => {
    const profile = given.profile ?? (LOOPBACK_HOSTS.has(given.host) ? "development" : "production");
    const identity = identitySettings.safeParse({ developmentToken: profile === "development", ...given.identity, profile });
    if (!identity.success) {
      for (const issue of identity.error.issues)
        context.addIssue({ code: "custom", message: issue.message, path: ["identity", ...issue.path] });
      return z.NEVER;
    }
    if (given.gateway.processes > 1 && given.database.url === undefined) {
      const message = "the embedded database serves one process: set database.url, or processes to 1";
      context.addIssue({ code: "custom", message, path: ["gateway", "processes"] });
      return z.NEVER;
    }
    return { ...given, profile, identity: identity.data, demo: given.demo ?? profile === "development" };
  });

export type Settings = z.output<typeof settingsSchema>;

function isBucket(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name.replace("{tenant}", "0".repeat(36)));
}

function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  if (!url || url.origin !== text) return false;
  return url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK_HOSTS.has(url.hostname.replace(/^\[|\]$/g, "")));
}

/** The settings, or `invalid_settings` with the place and what is wrong there. */
export function parseSettings(value: unknown, origin: string): Settings {
  const result = settingsSchema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => `${issue.path.join(".") || "settings"}: ${issue.message}`);
  throw new Fault("invalid_settings", `${origin}: ${lines.join("; ")}`, { public: { detail: `${origin}: ${lines.join("; ")}` } });
}

/** An environment variable that settings name. */
export function readVariable(name: string): string | undefined {
  return process.env[name];
}
