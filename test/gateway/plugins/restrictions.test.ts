import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertProblem, consumersOf, documentOf } from "./access-document.ts";

describe("consumer-restriction", () => {
  const CONSUMERS = consumersOf("key-auth", { acme: { key: "a" }, globex: { key: "g" } });

  it("keeps out who is listed, lets through who is, and each only with its methods", async (t) => {
    const echo = await startEcho(t);
    const serve = (settings: object): unknown => documentOf(echo.node, { "key-auth": {}, "consumer-restriction": settings }, CONSUMERS);
    const { send, apply } = await startPlane(t, serve({ blacklist: ["globex-app"] }));
    const as = (apikey: string, method = "GET") => send("/x", { method, headers: { apikey } });
    assert.equal((await as("a")).status, 200);
    assertProblem(await as("g"), 403, "forbidden");
    await apply(serve({ whitelist: ["globex-app"], rejected_code: 429, rejected_msg: "no" }));
    assert.equal((await as("g")).status, 200);
    const refused = await as("a");
    assert.deepEqual([refused.status, refused.json()], [429, { message: "no" }]);
    await apply(serve({ allowed_by_methods: [{ user: "acme-app", methods: ["POST"] }] }));
    assertProblem(await as("a"), 403, "forbidden");
    assert.equal((await as("a", "POST")).status, 200);
    assert.equal((await as("g")).status, 200);
  });

  it("who has no value to be looked up by is refused", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(
      t,
      documentOf(echo.node, { "consumer-restriction": { type: "consumer_group_id", blacklist: ["x"] } }),
    );
    assertProblem(await send("/x", { as: "acme" }), 401, "unauthenticated");
    assert.equal(echo.received.length, 0);
  });
});

describe("ip-restriction", () => {
  it("goes by the address of the connection, not by what a caller says about it", async (t) => {
    const echo = await startEcho(t);
    const { send, apply } = await startPlane(t, documentOf(echo.node, { "ip-restriction": { whitelist: ["10.0.0.0/8", "127.0.0.2"] } }));
    const call = (headers = {}, localAddress = "127.0.0.1") => send("/x", { as: "acme", headers, localAddress });
    assertProblem(await call(), 403, "forbidden");
    for (const name of ["x-forwarded-for", "x-real-ip", "forwarded"]) assert.equal((await call({ [name]: "10.0.0.1" })).status, 403);
    assert.equal((await call({}, "127.0.0.2")).status, 200);
    await apply(documentOf(echo.node, { "ip-restriction": { blacklist: ["127.0.0.2/32"], response_code: 404 } }));
    assert.equal((await call()).status, 200);
    assertProblem(await call({}, "127.0.0.2"), 404, "not_found");
  });

  it("apisix: the dialect's text; wrong addresses are refused", async (t) => {
    const echo = await startEcho(t);
    const { send, apply } = await startPlane(t, documentOf(echo.node, { "ip-restriction": { blacklist: ["127.0.0.0/8"] } }), {
      profile: "apisix",
    });
    const refused = await send("/x");
    assert.deepEqual([refused.status, refused.text], [403, '{"message":"Your IP address is not allowed"}\n']);
    const strict = await startPlane(t, { routes: [] });
    const wrong = strict.apply(documentOf(echo.node, { "ip-restriction": { whitelist: ["::1/129"] } }));
    await assert.rejects(wrong, /invalid ip address: ::1\/129/);
    assert.equal((await apply({ routes: [] })).length, 0);
  });
});

describe("ua-restriction, referer-restriction and uri-blocker", () => {
  it("user agents by pattern, also where there is none", async (t) => {
    const echo = await startEcho(t);
    const { send, apply } = await startPlane(t, documentOf(echo.node, { "ua-restriction": { denylist: ["bot", "(?i)CRAWL"] } }));
    const call = (agent?: string) => send("/x", { as: "acme", headers: agent === undefined ? {} : { "user-agent": agent } });
    assert.equal((await call("a browser")).status, 200);
    assertProblem(await call("my-bot/1"), 403, "forbidden");
    assertProblem(await call("Crawler"), 403, "forbidden");
    assertProblem(await call(), 403, "forbidden");
    await apply(documentOf(echo.node, { "ua-restriction": { allowlist: ["^good"], bypass_missing: true } }));
    assert.equal((await call("good one")).status, 200);
    assert.equal((await call()).status, 200);
    assertProblem(await call("a good one"), 403, "forbidden");
  });

  it("the page a request comes from by its host", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, documentOf(echo.node, { "referer-restriction": { whitelist: ["a.com", "*.b.com"] } }));
    const call = (referer: string) => send("/x", { as: "acme", headers: { referer } });
    for (const referer of ["http://a.com", "https://a.com:8080/p?q", "http://x.b.com/"])
      assert.equal((await call(referer)).status, 200, referer);
    for (const referer of ["http://a.com.evil", "http://evil/?a.com", "http://b.com.evil/", "a.com", ""]) {
      assertProblem(await call(referer), 403, "forbidden");
    }
  });

  it("targets by pattern, whichever way they are spelled", async (t) => {
    const echo = await startEcho(t);
    const { send, apply } = await startPlane(t, documentOf(echo.node, { "uri-blocker": { block_rules: ["^/internal/", "\\.env$"] } }));
    for (const path of ["/internal/x", "/%69nternal/x", "/a/.env"]) {
      assertProblem(await send(path, { as: "acme" }), 403, "forbidden");
    }
    assert.equal((await send("/external/internal/x", { as: "acme" })).status, 200);
    assert.equal(echo.received.length, 1);
    const plugins = { "uri-blocker": { block_rules: ["^/internal/"] } };
    await apply({ routes: [{ id: "1", uri: "/internal/*", plugins, upstream: { nodes: { [echo.node]: 1 } } }] });
    assertProblem(await send("/tenants/acme/internal/x", { as: "acme" }), 403, "forbidden");
    await assert.rejects(apply(documentOf(echo.node, { "uri-blocker": { block_rules: ["("] } })), /uri-blocker/);
    await assert.rejects(apply(documentOf(echo.node, { "ua-restriction": { denylist: ["(?=a)"] } })), /ua-restriction/);
  });
});

describe("client-control", () => {
  it("a body over the bound is refused, with a length and without, and the upstream sees nothing of it", async (t) => {
    const echo = await startEcho(t);
    const { send, raw } = await startPlane(t, documentOf(echo.node, { "client-control": { max_body_size: 8 } }));
    assert.equal((await send("/x", { as: "acme", method: "POST", body: "12345678" })).echoed().body, "12345678");
    assertProblem(await send("/x", { as: "acme", method: "POST", body: "123456789" }), 413, "body_too_large");
    const head = "POST /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer acme:u\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert.match(await raw(`${head}5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n`), /^HTTP\/1\.1 413 /);
    assert.match(await raw(`${head}5\r\n12345\r\n0\r\n\r\n`), /^HTTP\/1\.1 200 /);
    assert.equal(echo.received.length, 2);
  });
});
