import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

describe("forward-auth", () => {
  it("the service gets the named fields and no credential beside them; its named fields reach the upstream", async (t) => {
    const [echo, service] = [await startEcho(t), await startEcho(t)];
    service.answer = (_received, response) => response.writeHead(204, { "x-user": "bill", "x-other": "hidden" }).end();
    const settings = {
      uri: `http://${service.node}/auth`,
      request_headers: ["X-Ask"],
      extra_headers: { "X-Tenant": "$tenant_id" },
      upstream_headers: ["X-User", "X-Role"],
    };
    const { send } = await startPlane(t, routeWith(echo.node, { "forward-auth": settings }));
    const headers = { "x-ask": "1", cookie: "session=secret", "x-role": "admin", host: "api.test" };
    const { headers: seen } = (await send("/x?a=1", { as: "acme", headers })).echoed();
    const [asked] = service.received;
    assert.equal(asked?.headers["x-ask"], "1");
    assert.equal(asked?.headers["x-tenant"], "acme");
    assert.equal(asked?.headers["x-forwarded-uri"], "/x?a=1");
    assert.equal(asked?.headers["x-forwarded-host"], "api.test");
    assert.equal(asked?.headers["x-forwarded-method"], "GET");
    assert.equal(asked?.headers["cookie"], undefined);
    assert.equal(asked?.headers["authorization"], undefined);
    assert.equal(seen["x-user"], "bill");
    assert.equal(seen["x-role"], undefined, "a field that the service did not send was taken from the caller");
    assert.equal(seen["x-other"], undefined);
  });

  it("a refusal comes back with its status, body and named fields, and the upstream is not called", async (t) => {
    const [echo, service] = [await startEcho(t), await startEcho(t)];
    service.answer = ({ body }, response) =>
      response.writeHead(302, { location: "https://login.test/", "x-internal": "1" }).end(`no ${body}`);
    const settings = { uri: `http://${service.node}/auth`, request_method: "POST", client_headers: ["Location"] };
    const { send } = await startPlane(t, routeWith(echo.node, { "forward-auth": settings }));
    const reply = await send("/x", { as: "acme", method: "POST", body: "question" });
    assert.equal(reply.status, 302);
    assert.equal(reply.text, "no question");
    assert.equal(reply.headers["location"], "https://login.test/");
    assert.equal(reply.headers["x-internal"], undefined);
    assert.equal(echo.received.length, 0);
  });

  it("with a POST the body reaches the service and then the upstream, up to its bound", async (t) => {
    const [echo, service] = [await startEcho(t), await startEcho(t)];
    const settings = { uri: `http://${service.node}/auth`, request_method: "POST", max_req_body_size: 8 };
    const { send } = await startPlane(t, routeWith(echo.node, { "forward-auth": settings }));
    assert.equal((await send("/x", { as: "acme", method: "POST", body: "12345678" })).echoed().body, "12345678");
    assert.equal(service.received[0]?.body, "12345678");
    assert.equal((await send("/x", { as: "acme", method: "POST", body: "123456789" })).status, 413);
  });

  it("nobody is let in while the service cannot be asked, unless the settings say so, which is a hazard", async (t) => {
    const [echo, service] = [await startEcho(t), await startEcho(t)];
    service.answer = (_received, response) => response.destroy();
    const settings = { uri: `http://${service.node}/auth`, status_on_error: 503 };
    const { send, apply } = await startPlane(t, routeWith(echo.node, { "forward-auth": settings }));
    assert.equal((await send("/x", { as: "acme" })).status, 503);
    assert.equal(echo.received.length, 0);
    await apply(routeWith(echo.node, { "forward-auth": { ...settings, allow_degradation: true } }));
    assert.equal((await send("/x", { as: "acme" })).status, 200);
    assert.equal(echo.received.length, 1);
  });

  it("a value with a line end is not sent to the service, and the request goes nowhere", async (t) => {
    const [echo, service] = [await startEcho(t), await startEcho(t)];
    const settings = { uri: `http://${service.node}/auth`, extra_headers: { "X-User": "$arg_user" } };
    const { send } = await startPlane(t, routeWith(echo.node, { "forward-auth": settings }));
    assert.equal((await send("/x?user=guest%0d%0ax-admin:%201", { as: "acme" })).status, 403);
    assert.equal(service.received.length + echo.received.length, 0);
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("forward-auth", {}, /property "uri" is required/);
    assertRefused("forward-auth", { uri: "file:///etc/passwd" }, /is no address of HTTP/);
    assertRefused("forward-auth", { uri: "https://a.test", upstream_headers: ["X-Tenant-ID"] }, /set by the gateway alone/);
    assertRefused("forward-auth", { uri: "https://a.test", extra_headers: { "X-A": "1\r\n2" } }, /invalid value character in header/);
  });
});
