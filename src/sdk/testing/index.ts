import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Fault, parseTenantId, SCOPES, systemClock, type TenantId, type TenantPrincipal, uuidV5 } from "../../kernel/index.ts";
import {
  createContextSigner,
  createSigningKey,
  createTokenIssuer,
  type SigningKey,
  type VouchedTenant,
} from "../../tenancy/identity/index.ts";
import { createFreehold, type Freehold, type RequestTenant } from "../freehold.ts";
import type { FreeholdOptions } from "../options.ts";
import { assertAbsent } from "./canary.ts";

/** The two tenants of every test. */
export const TEST_TENANTS = ["acme", "globex"] as const;
export type TestTenant = (typeof TEST_TENANTS)[number];

/** What a test may say about who is calling; the others are a member `user-1` with every scope. */
export type TestPrincipal = Partial<Pick<TenantPrincipal, "id" | "roles" | "scopes">>;

/** What a test may change: everything but the gateway, which the test stands in for. */
export type TestOptions = Partial<Omit<FreeholdOptions, "gatewayUrl" | "gatewayKeys">>;

/** A service's Freehold for tests, over a real embedded database of its own, and a gateway's key to vouch with. */
export interface TestFreehold {
  readonly freehold: Freehold;
  /** The header fields with which the gateway would send this caller's request. */
  headers(tenant: TestTenant, principal?: TestPrincipal): Record<string, string>;
  /** The context and the scope of this caller, proved as a request's would be. */
  tenant(tenant: TestTenant, principal?: TestPrincipal): Promise<RequestTenant>;
  /** Bytes that belong to this tenant alone: put them into what the test stores for it. */
  canary(tenant: TestTenant): string;
  /**
   * Fails when the other tenant's canary is anywhere in what this tenant received: text, bytes, errors, values inside each other; also in
   * hexadecimal or base64.
   */
  assertNoLeak(to: TestTenant, received: unknown): void;
  /** Ends it and removes what it stored. */
  close(): Promise<void>;
}

const NAMESPACE = "8d5a3f0e-7c35-4a4e-9b0e-0d3c8e1f6a72";

/** Starts one. It takes some seconds, so once per test file is usual: both tenants are always there. */
export async function createTestFreehold(options: TestOptions = {}): Promise<TestFreehold> {
  const { audience = "service-under-test" } = options;
  const key = createSigningKey();
  const folder = options.database ? undefined : mkdtempSync(path.join(tmpdir(), "freehold-testing-"));
  const remove = (): void => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  };
  try {
    const gatewayKeys = createTokenIssuer(key, systemClock).jwks();
    const freehold = await createFreehold({ database: { folder: folder ?? "" }, ...options, audience, gatewayKeys });
    return testing(freehold, key, audience, async () => {
      await freehold.close();
      remove();
    });
  } catch (error) {
    remove();
    throw error;
  }
}

function testing(freehold: Freehold, key: SigningKey, audience: string, close: () => Promise<void>): TestFreehold {
  const sign = createContextSigner(key, systemClock);
  const canaries = new Map(TEST_TENANTS.map((name) => [name, `CANARY-${name}-${randomBytes(8).toString("hex")}`]));
  const headers = (name: TestTenant, who: TestPrincipal = {}): Record<string, string> => {
    const principal: TenantPrincipal = { realm: "tenant", kind: "user", id: "user-1", roles: ["member"], scopes: SCOPES, ...who };
    const tenant = vouched(name);
    return { "x-tenant-context": sign({ tenant, principal, provedBy: "jwt" }, audience), "x-tenant-id": tenant.id };
  };
  const canary = (name: TestTenant): string => canaries.get(name) ?? "";
  return {
    freehold,
    headers,
    tenant: (name, who) =>
      freehold.authenticate({ method: "GET", target: "/", fields: Object.entries(headers(name, who)), remoteAddress: "127.0.0.1" }),
    canary,
    assertNoLeak(to, received) {
      for (const other of TEST_TENANTS) if (other !== to) assertAbsent(canary(other), received, other);
    },
    close,
  };
}

function vouched(name: TestTenant): VouchedTenant {
  return { id: idOf(name), uuid: uuidV5(NAMESPACE, [name]), plan: "professional", features: ["advanced_analytics"], locale: "en" };
}

function idOf(name: TestTenant): TenantId {
  const id = parseTenantId(name);
  if (id === undefined) throw new Fault("invalid_tenant_id", name);
  return id;
}
