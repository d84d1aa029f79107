import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { PLUGINS } from "../../../src/gateway/index.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { tenantOf } from "../../support/tenants.ts";
import { markPlugin } from "./mark-plugin.ts";

const MARKED = [...PLUGINS, markPlugin()];

test("a route that says nothing about tenants serves nobody without a proved one", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }] });
  const refused = await plane.send("/hello");
  assert.equal(refused.status, 401);
  assert.equal(refused.json()["code"], "unauthenticated");
  assert.equal(refused.headers["x-request-id"], refused.json()["requestId"]);
  assert.equal(refused.headers["cache-control"], "private, no-store");
  for (const authorization of ["Bearer ", "Bearer null", "Basic YTpi", "Bearer nobody:user-1", "Bearer default:user-1"]) {
    assert.equal((await plane.send("/hello", { headers: { authorization } })).status, 401, authorization);
  }
  assert.equal(echo.received.length, 0);
  assert.equal((await plane.send("/hello", { as: "acme" })).status, 200);
});

test("an upstream hears of the tenant from the gateway alone, once, and never gets the credential", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }] });
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const forged = {
    "X-Tenant-Context": "forged",
    X_Tenant_ID: "globex",
    "X.Tenant.ID": "globex",
    "x_tenant-id": "globex",
    "X-Original-URL": "/admin",
    "X-HTTP-Method-Override": "DELETE",
    "X-Request-ID": "mine",
    traceparent: `00-${trace}-b7ad6b7169203331-01`,
    baggage: "tenant.id=globex",
  };
  const reply = await plane.send("/hello", { as: "acme", headers: { ...forged, "X-Tenant-ID": "acme" } });
  assert.equal(reply.status, 200);
  const { rawHeaders } = reply.echoed();
  const named = (name: string): string[] =>
    rawHeaders.flatMap((field, i) =>
      i % 2 === 0 && field.toLowerCase().replaceAll(/[_.]/g, "-") === name ? [rawHeaders[i + 1] ?? ""] : [],
    );
  assert.deepEqual(named("x-tenant-id"), ["acme"]);
  assert.deepEqual(named("baggage"), ["tenant.id=acme"]);
  assert.deepEqual([...named("x-original-url"), ...named("x-http-method-override"), ...named("authorization")], []);
  assert.match(named("x-request-id").join(), /^[0-9a-f]{8}-[0-9a-f-]{27}$/);
  const [traceparent = ""] = named("traceparent");
  assert.match(traceparent, new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
  assert.ok(!traceparent.includes("b7ad6b7169203331"), "the span is the gateway's own");
  const [context = ""] = named("x-tenant-context");
  const claims = JSON.parse(Buffer.from(context.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
  assert.equal(claims["tenant_id"], "acme");
  assert.equal(claims["aud"], "route:1");
});

test("a route passes the credential on only when it says so", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(t, {
    routes: [
      { id: "hides", uri: "/hides", upstream },
      { id: "keeps", uri: "/keeps", upstream, plugins: { "tenant-resolver": { hide_credentials: false } } },
    ],
  });
  assert.equal((await plane.send("/hides", { as: "acme" })).echoed().headers.authorization, undefined);
  assert.equal((await plane.send("/keeps", { as: "acme" })).echoed().headers.authorization, "Bearer acme:user-1");
});

test("whoever names another tenant than the proved one is refused and written down, and nothing reaches the upstream", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }] });
  for (const [path, headers] of [
    ["/hello", { "X-Tenant-ID": "globex" }],
    ["/hello", { "x-tenant-id": "globex" }],
    ["/tenants/globex/hello", {}],
    ["/hello", { host: "globex.api.example.com" }],
  ] as const) {
    const reply = await plane.send(path, { as: "acme", headers });
    assert.equal(reply.status, 403, path);
    assert.equal(reply.json()["code"], "tenant_mismatch");
    assert.equal(plane.audits.at(-1)?.action, "cross_tenant_attempt");
    assert.equal(plane.audits.at(-1)?.actorTenant?.id, "acme");
    assert.equal(plane.audits.at(-1)?.targetTenant, "globex");
  }
  assert.equal(echo.received.length, 0);
});

test("a path that others would read as another one is refused, and what is forwarded is what came, byte for byte", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }] });
  const head = "Host: api\r\nAuthorization: Bearer acme:user-1\r\nConnection: close\r\n\r\n";
  for (const target of [
    "/a/../b",
    "/a/%2e%2e/b",
    "/a%2fb",
    "/a%5cb",
    "/a//b",
    "/a;x=1",
    "http://evil/a",
    "/a%00",
    "/%2574enants/globex/x",
  ]) {
    assert.match(await plane.raw(`GET ${target} HTTP/1.1\r\n${head}`), /^HTTP\/1\.1 400 /, target);
  }
  for (const host of ["api/?", "api/#", "a@b", "a:99999"]) {
    const refused = await plane.raw(`GET /x HTTP/1.1\r\n${head.replace("Host: api", `Host: ${host}`)}`);
    assert.match(refused, /^HTTP\/1\.1 400 /, host);
  }
  assert.equal(echo.received.length, 0);
  for (const target of ["/a%20b/%C3%A9?x=%2f..&y", "/A/b.c~d", "/tenants/acme/v1/x%20y?q=1"]) {
    await plane.raw(`GET ${target} HTTP/1.1\r\n${head}`);
    assert.equal(echo.received.at(-1)?.target, target);
  }
});

test("the part of a path that names the tenant may stand in front of any path and is not sent on", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/v1/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }] });
  assert.equal((await plane.send("/tenants/acme/v1/a%20b?q=1", { as: "acme" })).echoed().target, "/v1/a%20b?q=1");
  assert.equal((await plane.send("/tenants/globex/v1/x", { as: "acme" })).status, 403);
  assert.equal((await plane.send("/tenants/acme/v2/x", { as: "acme" })).status, 404);
  assert.equal(echo.received.length, 1);
});

test("a route by tenant is taken by a claim, and the claim must be proved", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(
    t,
    {
      routes: [
        { id: "acme", uri: "/*", vars: [["tenant_id", "==", "acme"]], upstream, plugins: { mark: { text: "acme" } } },
        { id: "big", uri: "/*", vars: [["tenant_tier", "==", "enterprise"]], upstream, plugins: { mark: { text: "big" } } },
        { id: "rest", uri: "/*", upstream, priority: -1, plugins: { mark: { text: "rest" } } },
      ],
    },
    { plugins: MARKED, tenants: ["acme", "globex", tenantOf("initech", { plan: "enterprise" })] },
  );
  const markOf = async (as: string, headers = {}): Promise<string> =>
    String((await plane.send("/x", { as, headers })).echoed().headers["x-mark"]);
  assert.equal(await markOf("acme"), "mark@route:acme=acme");
  assert.equal(await markOf("initech"), "mark@route:big=big");
  assert.equal(await markOf("globex"), "mark@route:rest=rest");
  const before = echo.received.length;
  // the route of acme is taken for what the field says, and the proof is globex's
  const lied = await plane.send("/x", { as: "globex", headers: { "X-Tenant-ID": "acme" } });
  assert.equal(lied.status, 403);
  const unproved = await plane.send("/x", { headers: { "X-Tenant-ID": "acme" } });
  assert.equal(unproved.status, 401);
  assert.equal(echo.received.length, before);
});

test("a claim that decided a route is held against the proof also where a consumer's key proves", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(t, {
    tenants: { acme: { keys: ["key-of-acme-0123456789"] }, globex: { keys: ["key-of-globex-0123456789"] } },
    routes: [
      { id: "not-acme", uri: "/*", vars: [["tenant_id", "~=", "acme"]], upstream, plugins: { "key-auth": {} } },
      { id: "acme", uri: "/*", vars: [["tenant_id", "==", "acme"]], upstream, plugins: { "key-auth": {} } },
    ],
  });
  const named = await plane.send("/x", { headers: { apikey: "key-of-acme-0123456789", "X-Tenant-ID": "acme" } });
  assert.equal(named.status, 200);
  assert.equal(named.echoed().headers["x-tenant-id"], "acme");
  // the route for others is taken for what the field says, and the proof says acme
  const lied = await plane.send("/x", { headers: { apikey: "key-of-acme-0123456789", "X-Tenant-ID": "globex" } });
  assert.equal(lied.status, 403);
  assert.equal(lied.json()["code"], "tenant_mismatch");
});

test("a consumer's own credential says its tenant before the match, and proves nothing there", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const basic = (user: string, password: string): string => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const ways = { "key-auth": { header: "x-key" }, "basic-auth": {}, "hmac-auth": {}, "jwt-auth": {}, mark: { text: "acme" } };
  const others = { ...ways, mark: { text: "others" } };
  const anyOf = ({ mark, ...auth }: typeof ways) => ({
    mark,
    "multi-auth": { auth_plugins: Object.entries(auth).map(([name, settings]) => ({ [name]: settings })) },
  });
  const consumer = (name: string, tenant: string) => ({
    username: name,
    plugins: {
      "key-auth": { key: `key-of-${name}-0123456789` },
      "basic-auth": { username: name, password: "correct" },
      "hmac-auth": { key_id: `hmac-of-${name}`, secret_key: SECRET },
      "jwt-auth": { key: `jwt-of-${name}`, secret: SECRET },
      "tenant-context": { tenant_id: tenant },
    },
  });
  const plane = await startPlane(
    t,
    {
      consumers: [consumer("jack", "acme"), consumer("jill", "globex")],
      routes: [
        { id: "acme", uri: "/*", vars: [["tenant_id", "==", "acme"]], upstream, plugins: anyOf(ways) },
        { id: "others", uri: "/*", priority: -1, upstream, plugins: anyOf(others) },
      ],
    },
    { plugins: MARKED },
  );
  const answer = async (headers: Record<string, string>): Promise<unknown> => {
    const reply = await plane.send("/x", { headers });
    return reply.status === 200 ? [reply.echoed().headers["x-mark"], reply.echoed().headers["x-tenant-id"]] : reply.status;
  };
  assert.deepEqual(await answer({ "x-key": "key-of-jack-0123456789" }), ["mark@route:acme=acme", "acme"]);
  assert.deepEqual(await answer({ "x-key": "key-of-jill-0123456789" }), ["mark@route:others=others", "globex"]);
  assert.deepEqual(await answer({ authorization: basic("jack", "correct") }), ["mark@route:acme=acme", "acme"]);
  assert.deepEqual(await answer({ authorization: basic("jill", "correct") }), ["mark@route:others=others", "globex"]);
  for (const [name, mark, tenant] of [
    ["jack", "mark@route:acme=acme", "acme"],
    ["jill", "mark@route:others=others", "globex"],
  ] as const) {
    assert.deepEqual(await answer({ authorization: `Bearer ${tokenOf(`jwt-of-${name}`, SECRET)}` }), [mark, tenant]);
    assert.deepEqual(await answer(signed(`hmac-of-${name}`, SECRET)), [mark, tenant]);
  }
  const before = echo.received.length;
  assert.equal(await answer({ authorization: `Bearer ${tokenOf("jwt-of-jack", `${SECRET}x`)}` }), 401);
  assert.equal(await answer(signed("hmac-of-jack", `${SECRET}x`)), 401);
  assert.equal(await answer({ authorization: basic("jack", "wrong") }), 401);
  assert.equal(await answer({ "x-key": "key-of-nobody-012345678" }), 401);
  assert.equal(echo.received.length, before);
});

test("a tenant that is not served gets nothing through", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(
    t,
    { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }] },
    { tenants: ["acme", tenantOf("asleep", { status: "suspended" }), tenantOf("going", { status: "deleting" })] },
  );
  assert.equal((await plane.send("/x", { as: "asleep" })).json()["code"], "tenant_suspended");
  assert.equal((await plane.send("/x", { as: "going" })).json()["code"], "unauthenticated");
  assert.equal(echo.received.length, 0);
});

test("an answer to a proved tenant is kept by no cache between, unless the upstream says so", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }] });
  const reply = await plane.send("/x", { as: "acme" });
  const { headers } = reply;
  assert.equal(headers["cache-control"], "private, no-store");
  assert.equal(headers["x-request-id"], reply.echoed().headers["x-request-id"], "caller and upstream know it by the same id");
  assert.ok(headers.vary?.includes("X-Tenant-ID"));
  echo.answer = (_received, response) => void response.writeHead(200, { "cache-control": "public, max-age=60" }).end("x");
  assert.equal((await plane.send("/x", { as: "acme" })).headers["cache-control"], "public, max-age=60");
});

test("the words of a refusal are the tenant's own", async (t) => {
  const texts = { upstream_unreachable: { de: "Gerade nicht erreichbar." } };
  const closed = await startEcho(t);
  await closed.close();
  const plane = await startPlane(
    t,
    { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [closed.node]: 1 } } }] },
    { tenants: [tenantOf("acme", { errorTexts: texts, locale: "de" }), "globex"] },
  );
  const own = await plane.send("/x", { as: "acme" });
  assert.equal(own.status, 502);
  assert.equal(own.json()["title"], "Gerade nicht erreichbar.");
  assert.equal((await plane.send("/x", { as: "globex" })).json()["title"], "The agent or upstream cannot be reached.");
});

test("a route that a claim has chosen is not served where nobody proves anything", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(
    t,
    { routes: [{ id: "1", uri: "/*", vars: [["tenant_id", "==", "acme"]], upstream }] },
    { profile: "apisix" },
  );
  assert.equal((await plane.send("/x", { headers: { "X-Tenant-ID": "acme" } })).status, 401);
  assert.equal(echo.received.length, 0);
});

const SECRET = "a-secret-of-more-than-32-characters";

/** A token of the plugin jwt-auth for the credential of this key. */
function tokenOf(key: string, secret: string): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ key })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** Fields of the plugin hmac-auth over the date alone. */
function signed(keyId: string, secret: string): { date: string; authorization: string } {
  const date = new Date().toUTCString();
  const signature = createHmac("sha256", secret).update(`${keyId}\ndate: ${date}\n`).digest("base64");
  return { date, authorization: `Signature keyId="${keyId}",algorithm="hmac-sha256",headers="date",signature="${signature}"` };
}
