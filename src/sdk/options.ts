import { z } from "zod";
import { cacheSettings, filesSettings, vaultSettings } from "../cli/index.ts";
import { Fault, type Json } from "../kernel/index.ts";
import type { Embedder } from "../stores/search/index.ts";
import { type IssuerSettings, issuerSettings, OWN_ISSUER } from "../tenancy/identity/index.ts";

/** Where a service keeps its tenants' data. */
export type ServiceDatabase =
  /** An embedded database of its own: the folder belongs to this process alone. */
  | { readonly folder: string }
  /**
   * PostgreSQL. A database of the service's own, unless `shared`: then it is the gateway's, with its tenants, their status, its events and its
   * root key.
   */
  | { readonly url: string; readonly shared?: boolean; readonly connectionsMax?: number };

/** A service inside that may be told who a request is for. */
export interface InternalOrigin {
  /** Scheme, host and port, such as `http://reports:3000`. Exactly this one. */
  readonly origin: string;
  /** The `audience` of that service. */
  readonly audience: string;
}

/** What makes a service's Freehold. */
export interface FreeholdOptions {
  /** The name of the service: the id of its upstream in the gateway document. Contexts for any other are refused. */
  readonly audience: string;
  readonly database: ServiceDatabase;
  /** Where the gateway is: its keys are fetched from there. https, or http on this machine. */
  readonly gatewayUrl?: string;
  /** The gateway's key set itself, where it cannot be fetched over a way that can be trusted. */
  readonly gatewayKeys?: { readonly keys: readonly { readonly [name: string]: Json }[] };
  /** Issuers whose access tokens prove a tenant without the gateway, each bound to its tenants, as in `identity.issuers` of `freehold.yaml`. */
  readonly issuers?: readonly z.input<typeof issuerSettings>[];
  /** 64 hexadecimal digits. Without it an embedded database keeps one in its folder, and in the development profile PostgreSQL keeps one. */
  readonly rootKey?: string;
  /** `production` unless said. */
  readonly profile?: "development" | "production";
  readonly internalOrigins?: readonly InternalOrigin[];
  /**
   * Where root keys, cached values and files are, as in `freehold.yaml`. With a shared database the vault and the files have to be the gateway's.
   */
  readonly vault?: z.input<typeof vaultSettings>;
  readonly cache?: z.input<typeof cacheSettings>;
  readonly files?: z.input<typeof filesSettings>;
  /** What makes search semantic; the built-in one knows words. With a shared database it has to be the gateway's. */
  readonly embedder?: Embedder;
  /** Told of faults that no caller can be told of. A warning of the process unless said. */
  readonly report?: (fault: Fault) => void;
}

const origin = z.string().refine((text) => URL.parse(text)?.origin === text, "is a scheme, a host and a port, such as http://reports:3000");
const postgresUrl = z.string().regex(/^postgres(?:ql)?:\/\//, "must begin with postgres://");

const optionsSchema = z
  .strictObject({
    audience: z.string().min(1).max(512),
    database: z.union([
      z.strictObject({ folder: z.string().min(1) }),
      z.strictObject({ url: postgresUrl, shared: z.boolean().default(false), connectionsMax: z.int().min(4).max(1_000).default(10) }),
    ]),
    gatewayUrl: z.url({ protocol: /^https?$/ }).optional(),
    gatewayKeys: issuerSettings.shape.jwks,
    issuers: z.array(issuerSettings).default([]),
    rootKey: z.string().optional(),
    profile: z.enum(["development", "production"]).default("production"),
    internalOrigins: z.array(z.strictObject({ origin, audience: z.string().min(1).max(512) })).default([]),
    vault: vaultSettings,
    cache: cacheSettings,
    files: filesSettings,
    embedder: z.custom<Embedder>().optional(),
    report: z.custom<(fault: Fault) => void>().optional(),
  })
  .refine(
    ({ gatewayUrl, gatewayKeys }) => gatewayUrl === undefined || gatewayKeys === undefined,
    "takes gatewayUrl or gatewayKeys, not both",
  )
  .refine(({ gatewayUrl }) => gatewayUrl === undefined || issuerSettings.shape.jwksUrl.safeParse(keySetUrl(gatewayUrl)).success, {
    path: ["gatewayUrl"],
    error: "must be https (http only on this machine); where it is not, give gatewayKeys",
  })
  // without the gateway's root key nothing can be signed, and what came in is believed by services of the same audience alone
  .refine(({ audience, database, internalOrigins: inner }) => isShared(database) || inner.every((each) => each.audience === audience), {
    path: ["internalOrigins"],
    error: "contexts for another audience can be signed on the gateway's database only (database.shared)",
  });

/** The options with their defaults. */
export type ServiceSettings = z.output<typeof optionsSchema>;

/** Whether the database is the gateway's. */
export function isShared(database: ServiceDatabase): boolean {
  return "url" in database && database.shared === true;
}

/** Where a gateway publishes its keys. */
export function keySetUrl(gatewayUrl: string): string {
  return new URL("/.well-known/freehold/jwks.json", gatewayUrl).href;
}

/** The options, checked as a settings file would be: `invalid_settings` names the place and what is wrong there. */
export function parseOptions(options: FreeholdOptions): ServiceSettings {
  return checked(optionsSchema.safeParse(options), "createFreehold");
}

/** The gateway as an issuer of contexts for this audience, by its published or its given keys. */
export function gatewayIssuer(audience: string, keys: { readonly jwksUrl: string } | { readonly jwks: unknown }): IssuerSettings {
  return checked(issuerSettings.safeParse({ issuer: OWN_ISSUER, audience, tenants: "*", ...keys }), "gatewayUrl");
}

function checked<T>(result: z.ZodSafeParseResult<T>, place: string): T {
  if (result.success) return result.data;
  const lines = result.error.issues.map(({ path, message }) => `${path.join(".") || place}: ${message}`);
  throw new Fault("invalid_settings", lines.join("; "), { public: { detail: `${lines.join("; ")}.` } });
}
