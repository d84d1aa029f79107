import assert from "node:assert/strict";
import { test } from "node:test";
import { identitySettings, issuerSettings } from "../../src/tenancy/identity/index.ts";
import { createIdentityUnderTest, createIssuer } from "./identity-under-test.ts";
import { createIssuerKey } from "./issuer-keys.ts";

const issuer = { issuer: "https://idp.test", audience: "api", tenants: ["a"], jwksUrl: "https://idp.test/jwks.json" };
const { jwk } = createIssuerKey("ES256", "1");

function accepts(more: Record<string, unknown>): boolean {
  return issuerSettings.safeParse({ ...issuer, ...more }).success;
}

test("an issuer has to say which tenants it speaks for; all of them only by a star", () => {
  assert.ok(accepts({ tenants: "*" }));
  assert.ok(accepts({ tenants: ["a", "b-2"] }));
  for (const tenants of [undefined, [], "a", "", null, ["*"], ["A"], ["a", "default"], ["a "], [1]]) assert.ok(!accepts({ tenants }));
});

test("an issuer has exactly one source of keys", () => {
  assert.ok(accepts({ jwksUrl: undefined, jwks: { keys: [jwk] } }));
  assert.ok(!accepts({ jwks: { keys: [jwk] } }));
  assert.ok(!accepts({ jwksUrl: undefined }));
  assert.ok(!accepts({ jwksUrl: undefined, jwks: { keys: [] } }));
});

test("keys are fetched over https, or over http from this machine in development", () => {
  const loopback = ["http://localhost:8080/jwks", "http://127.0.0.1/jwks", "http://[::1]:1/jwks"];
  for (const jwksUrl of loopback) {
    assert.ok(identitySettings.safeParse({ profile: "development", issuers: [{ ...issuer, jwksUrl }] }).success, jwksUrl);
    assert.ok(!identitySettings.safeParse({ issuers: [{ ...issuer, jwksUrl }] }).success, jwksUrl);
  }
  const refused = [
    "http://idp.test/jwks",
    "http://127.0.0.1.idp.test/",
    "http://localhost@idp.test/",
    "ftp://idp.test/",
    "file:///etc/passwd",
    "/jwks",
  ];
  for (const jwksUrl of [
    ...refused,
    "https://user:pass@idp.test/",
    "https://idp.test/#x",
    " https://idp.test/",
    "HTTPS://idp.test/x",
    "https://ıdp.test/",
  ]) {
    assert.ok(!accepts({ jwksUrl }), jwksUrl);
  }
});

test("an unknown setting is refused at every level", () => {
  assert.ok(!accepts({ algorithms: ["none"] }));
  assert.ok(!accepts({ claims: { tenants: "x" } }));
  assert.ok(!accepts({ jwksUrl: undefined, jwks: { keys: [jwk], trust: true } }));
  assert.ok(!identitySettings.safeParse({ defaultTenant: "a" }).success);
});

test("what is not said is the strict choice", () => {
  assert.deepEqual(identitySettings.parse({}), {
    profile: "production",
    issuers: [],
    baseDomains: [],
    developmentToken: false,
    failedCredentials: { max: 100, windowSeconds: 60 },
  });
  const { platform, claims } = issuerSettings.parse(issuer);
  assert.equal(platform, false);
  assert.deepEqual(claims, { tenant: "tenant_id", roles: "roles", platformRoles: "platform_roles" });
  assert.deepEqual(issuerSettings.parse({ ...issuer, claims: { tenant: "org" } }).claims.tenant, "org");
});

test("the development token is refused in the production profile", () => {
  assert.ok(!identitySettings.safeParse({ developmentToken: true }).success);
  assert.ok(!identitySettings.safeParse({ developmentToken: true, profile: "production" }).success);
  assert.ok(identitySettings.safeParse({ developmentToken: true, profile: "development" }).success);
});

test("an issuer is given once, has claims of different names, and is never the platform itself", () => {
  assert.ok(!identitySettings.safeParse({ issuers: [issuer, issuer] }).success);
  assert.ok(!accepts({ claims: { tenant: "x", roles: "x" } }));
  assert.throws(() => createIdentityUnderTest([createIssuer("a", ["a"], { issuer: "freehold" })]), { code: "invalid_settings" });
});

test("a weak key in the settings is refused when they are loaded", () => {
  const weak = { kty: "oct", k: "c2VjcmV0", kid: "2" };
  assert.throws(() => createIdentityUnderTest([createIssuer("a", ["a"], { jwks: { keys: [jwk, weak] } })]), { code: "weak_key" });
});

test("a base domain is a host name in lower case", () => {
  for (const name of [
    "API.example.com",
    "example",
    "a..b",
    ".example.com",
    "example.com.",
    "*.example.com",
    "a_b.example.com",
    "a/b.c",
    "",
  ]) {
    assert.ok(!identitySettings.safeParse({ baseDomains: [name] }).success, name);
  }
  assert.ok(identitySettings.safeParse({ baseDomains: ["api.example.com", "xn--bcher-kva.example"] }).success);
});
