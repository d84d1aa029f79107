import assert from "node:assert/strict";
import { test } from "node:test";
import { type Carriers, readCarriers } from "../../src/tenancy/identity/carriers.ts";
import { tenantId } from "./identity-under-test.ts";
import { type Fields, requestHead } from "./requests.ts";

const hosts = {
  baseDomains: ["api.example.com", "example.net", "eu.example.net"],
  tenantOfHost: (host: string) => (host === "chat.acme.test" ? tenantId("acme") : undefined),
};

function read(fields: Fields = [], target?: string, host?: string): Carriers {
  return readCarriers(requestHead(fields, target, host), hosts);
}

function selectorsOf(fields: Fields = [], target?: string, host?: string): string[] {
  return read(fields, target, host).selectors.map(({ carrier, tenantId: id }) => `${carrier} ${id}`);
}

const CREDENTIALS: Fields = [
  ["Authorization", "Bearer abc"],
  ["x-api-key", "abc"],
  ["api-key", "abc"],
  ["x-goog-api-key", "abc"],
  ["Cookie", "theme=dark; freehold_session=abc"],
];

test("each carrier of a credential is read by itself", () => {
  const carriers = CREDENTIALS.map((field) => read([field]).credential);
  assert.deepEqual(
    carriers.map((credential) => credential?.carrier),
    ["authorization", "key_field", "key_field", "key_field", "cookie"],
  );
  assert.ok(carriers.every((credential) => credential?.text === "abc"));
  assert.equal(read([["Cookie", "theme=dark; xfreehold_session=abc; freehold_session_2=x"]]).credential, undefined);
});

test("two credentials are refused in all pairs and orders, also when they are equal", () => {
  let pairs = 0;
  for (const first of CREDENTIALS) {
    for (const second of CREDENTIALS) {
      if (first === second) continue;
      assert.throws(() => read([first, second]), { code: "ambiguous_credentials" });
      // an empty one is still one; an empty Cookie field has no session in it
      const empty = second[0] === "Cookie" ? "freehold_session=" : "";
      assert.throws(() => read([first, [second[0], empty]]), { code: "ambiguous_credentials" });
      pairs++;
    }
  }
  assert.equal(pairs, 20);
});

test("two session cookies are refused, in one field or in two", () => {
  assert.throws(() => read([["Cookie", "freehold_session=a; freehold_session=b"]]), { code: "ambiguous_credentials" });
  const two: Fields = [
    ["Cookie", "freehold_session=a"],
    ["Cookie", "freehold_session=a"],
  ];
  assert.throws(() => read(two), { code: "ambiguous_credentials" });
});

test("a repeated field that proves or names a tenant is refused, in any case of its name", () => {
  for (const name of ["Authorization", "X-Tenant-ID", "x-api-key", "api-key", "x-goog-api-key"]) {
    const value = name === "X-Tenant-ID" ? "a" : "Bearer x";
    const repeated: Fields = [
      [name, value],
      [name.toUpperCase(), value],
    ];
    assert.throws(() => read(repeated), { code: "malformed_request" });
  }
});

test("another scheme than Bearer proves nothing", () => {
  for (const value of [
    "Basic YTpi",
    "Bearer",
    "Bearer ",
    "",
    "Bearerabc",
    "Bearer a b",
    "Bearer a, Bearer b",
    "Digest x",
    "Bearer\tabc",
    "DPoP x",
  ]) {
    assert.deepEqual(read([["Authorization", value]]).credential, { carrier: "authorization", text: "" }, value);
  }
  for (const value of ["bearer abc", "BEARER abc", "Bearer  abc"]) assert.equal(read([["Authorization", value]]).credential?.text, "abc");
});

test("a credential in the URL is refused", () => {
  const jwt = "eyJhbGciOiJub25lIn0.e30.x";
  const key = `sk-fh-${"a".repeat(12)}-${"b".repeat(32)}-${"c".repeat(8)}`;
  const refused = [
    "api_key=1",
    "apikey=",
    "access_token=a:b",
    "API_KEY=1",
    `key=${key}`,
    `token=${jwt}`,
    `key=${jwt}`,
    `q=1&Token=${jwt}`,
    `q=${key}`,
  ];
  for (const query of [...refused, `%61pi_key=1`, `token=%65yJ9.e30.`, `k%65y=sk-fh-%61`, `x=1&apikey=1&y=2`]) {
    assert.throws(() => read([], `/api/search?${query}`), { code: "malformed_request" }, query);
  }
  for (const query of ["key=name", "token=cursor-17", "q=sk", "page_token=eyJ", "api_keys=1", "q=eyJhbGciOiJub25lIn0.e30.x", ""]) {
    assert.equal(read([], `/api/search?${query}`).credential, undefined, query);
  }
});

test("the path prefix names a tenant, and the rest is routed as it arrived", () => {
  const route = (target: string): [string[], string] => [selectorsOf([], target), read([], target).routePath];
  assert.deepEqual(route("/tenants/acme/api/chat?x=1"), [["path acme"], "/api/chat"]);
  assert.deepEqual(route("/tenants/acme"), [["path acme"], "/"]);
  assert.deepEqual(route("/tenants/acme/tenants/b"), [["path acme"], "/tenants/b"]);
  assert.deepEqual(route("/tenants/acme/a%20b/%C3%A9"), [["path acme"], "/a%20b/%C3%A9"]);
  for (const path of ["/", "/api/tenants/b", "/tenantsx/b", "/Tenants/b", "/tenants"]) assert.deepEqual(route(path), [[], path]);
});

test("the path prefix in another spelling is refused, so that nobody decodes it into another tenant", () => {
  assert.throws(() => read([], "/%74enants/b/x"), { code: "malformed_request" });
  assert.throws(() => read([], "/tenant%73/b/x"), { code: "malformed_request" });
  assert.throws(() => read([], "/tenants/%62/x"), { code: "invalid_tenant_id" });
});

test("a selector that is not exactly a tenant id is refused, never trimmed or folded", () => {
  for (const value of ["", "A", " a", "a ", "a,b", "a, b", "default", "all", "*", "a\u0000", "ａ", "a/b"]) {
    assert.throws(() => read([["X-Tenant-ID", value]]), { code: "invalid_tenant_id" }, JSON.stringify(value));
  }
  for (const path of ["/tenants/A/x", "/tenants/a_b", "/tenants/undefined/x", "/tenants/~a", "/tenants/a%20"]) {
    assert.throws(() => read([], path), { code: "invalid_tenant_id" }, path);
  }
});

test("a host names a tenant by one label in front of a base domain, or as a custom domain", () => {
  const of = (host: string): string[] => selectorsOf([], "/x", host);
  assert.deepEqual(of("acme.api.example.com"), ["host acme"]);
  assert.deepEqual(of("ACME.api.example.com:8443"), ["host acme"]);
  assert.deepEqual(of("chat.acme.test"), ["host acme"]);
  assert.deepEqual(of("acme.eu.example.net"), ["host acme"]);
  for (const host of ["api.example.com", "example.com", "xapi.example.com", "eu.example.net", "127.0.0.1", "[::1]", "other.test"]) {
    assert.deepEqual(of(host), [], host);
  }
  for (const host of ["www.api.example.com", "a.b.api.example.com", "x.y.example.net", "xn--80ak6aa92e.api.example.com"]) {
    assert.throws(() => of(host), { code: "invalid_tenant_id" }, host);
  }
});

test("all selectors of a request are found", () => {
  assert.deepEqual(selectorsOf([["x-tenant-id", "a"]], "/tenants/b/x", "c.api.example.com"), ["header a", "path b", "host c"]);
  assert.deepEqual(
    selectorsOf([
      ["X_Tenant_ID", "a"],
      ["X.Tenant.ID", "b"],
    ]),
    [],
  );
});
