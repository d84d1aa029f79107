import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

const AS = { as: "acme" };

describe("proxy-rewrite", () => {
  it("rewrites address, method, Host and header fields, and the caller's query follows the template's", async (t) => {
    const echo = await startEcho(t);
    const settings = {
      uri: "/v2$uri?who=$arg_name",
      method: "POST",
      host: "models.example.com",
      headers: { set: { "X-Who": "${arg_name ?? nobody}", "X-Old": "" }, add: { "X-Many": ["one", 2] }, remove: ["X-Gone"] },
    };
    const { send } = await startPlane(t, routeWith(echo.node, { "proxy-rewrite": settings }));
    const { method, target, headers } = (
      await send("/chat?name=bill&x=1", { ...AS, headers: { "x-old": "1", "x-gone": "1", "x-many": "zero" } })
    ).echoed();
    assert.equal(method, "POST");
    assert.equal(target, "/v2/chat?who=bill&name=bill&x=1");
    assert.equal(headers["host"], "models.example.com");
    assert.equal(headers["x-who"], "bill");
    assert.equal(headers["x-many"], "zero, one, 2");
    assert.equal(headers["x-old"], undefined);
    assert.equal(headers["x-gone"], undefined);
    assert.equal((await send("/chat", AS)).echoed().headers["x-who"], "nobody");
  });

  it("the first pattern that fits rewrites, and its groups are there for header fields", async (t) => {
    const echo = await startEcho(t);
    const settings = { regex_uri: ["^/a/(.*)/(.*)", "/$2/$1?from=a", "^/b/(.*)", "/bee/$1"], headers: { "X-First": "<$1>" } };
    const { send } = await startPlane(t, routeWith(echo.node, { "proxy-rewrite": settings }));
    const first = (await send("/a/x/y?q=1", AS)).echoed();
    assert.equal(first.target, "/y/x?from=a&q=1");
    assert.equal(first.headers["x-first"], "<x>");
    assert.equal((await send("/b/1", AS)).echoed().target, "/bee/1");
    const other = (await send("/c", AS)).echoed();
    assert.equal(other.target, "/c");
    assert.equal(other.headers["x-first"], "<>");
  });

  it("text of the caller is never read as a variable, a query mark or another argument", async (t) => {
    const echo = await startEcho(t);
    const settings = { regex_uri: ["^/a/(.*)", "/b/$1"], headers: { "X-Rest": "$1" } };
    const { send, apply } = await startPlane(t, routeWith(echo.node, { "proxy-rewrite": settings }));
    const { target, headers } = (await send("/a/$http_x_secret%3Fx=1", { ...AS, headers: { "x-secret": "s3cret" } })).echoed();
    assert.equal(headers["x-rest"], "$http_x_secret?x=1");
    assert.equal(target, "/b/$http_x_secret%3Fx=1");
    await apply(routeWith(echo.node, { "proxy-rewrite": { uri: "/b?who=$arg_who" } }));
    assert.equal((await send("/a?who=x%26admin=1", AS)).echoed().target, "/b?who=x%26admin%3D1&who=x%26admin=1");
  });

  it("a value with a line end begins no other field: 502, and nothing reaches the upstream", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWith(echo.node, { "proxy-rewrite": { headers: { "X-Who": "$arg_who" } } }));
    for (const bytes of ["%0d%0ax-admin: 1", "%0Ax-admin:%201", "%0d", "a%00b"]) {
      const { status } = await send(`/x?who=${bytes.replaceAll(" ", "%20")}`, AS);
      assert.ok(status === 502 || status === 400, `${bytes} was answered ${status}`);
    }
    assert.equal((await send("/x?who=a%0d%0ab", AS)).status, 502);
    assert.equal(echo.received.length, 0);
  });

  it("what a caller puts into an address does not lead out of it", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWith(echo.node, { "proxy-rewrite": { uri: "/public/$arg_file" } }));
    assert.equal((await send("/x?file=a.txt", AS)).echoed().target, "/public/a.txt?file=a.txt");
    for (const file of ["../admin", "%2e%2e/admin", "..%2fadmin", "a//b", "a%5cb", "%252e%252e/admin"]) {
      assert.equal((await send(`/x?file=${file}`, AS)).status, 400, file);
    }
    assert.equal(echo.received.length, 1);
  });

  it("without a rewrite of the address the strict profile sends it as it came, the other one as it was matched", async (t) => {
    const echo = await startEcho(t);
    const document = routeWith(echo.node, { "proxy-rewrite": { headers: { "X-A": "1" } } });
    const strict = await startPlane(t, document);
    const lenient = await startPlane(t, document, { profile: "apisix" });
    assert.equal((await strict.send("/a%20b%5Fc", AS)).echoed().target, "/a%20b%5Fc");
    assert.equal((await lenient.send("/a%20b%5Fc")).echoed().target, "/a%20b_c");
  });

  it("wrong settings are refused with what is wrong", () => {
    const refused = (settings: object, message: RegExp): void => assertRefused("proxy-rewrite", settings, message);
    refused({ uri: "home" }, /property "uri" validation failed: failed to match pattern/);
    refused({ regex_uri: ["^/a", "/b", "^/c"] }, /The length of regex_uri should be an even number/);
    refused({ regex_uri: ["^/(a", "/b"] }, /invalid regex_uri\(\^\/\(a, \/b\)/);
    refused({ regex_uri: ["^/a", "/$`1"] }, /failed to compile the replacement template/);
    refused({ regex_uri: ["^/(?=a)", "/b"] }, /invalid regex_uri/);
    refused({ headers: { "X-A": "v\r\nX-B: 1" } }, /invalid value character in header/);
    refused({ headers: { set: { "X-A": ["fine", "v\0"] } } }, /invalid value character in header/);
    refused({ headers: { "X A": "1" } }, /invalid field character in header/);
    refused({ headers: { "Content-Length": "1" } }, /frames the message/);
    refused({ headers: { set: { x_tenant_id: "globex" } } }, /set by the gateway alone/);
    refused({ use_real_request_uri_unsafe: true }, /nobody has looked at/);
  });
});
