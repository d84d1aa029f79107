import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Received, startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

interface Input {
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Record<string, unknown>;
    readonly query: Record<string, unknown>;
  };
  readonly route?: Record<string, unknown>;
  readonly service?: Record<string, unknown>;
  readonly consumer?: Record<string, unknown>;
}

const inputOf = (received: Received | undefined): Input => (JSON.parse(received?.body ?? "{}") as { input: Input }).input; // what opa was asked

describe("opa", () => {
  it("the policy gets the request and decides; only fields that are named come back from it", async (t) => {
    const [echo, agent] = [await startEcho(t), await startEcho(t)];
    agent.answer = (_received, response) => response.end(JSON.stringify({ result: { allow: true, headers: { "x-role": "reader" } } }));
    const settings = { host: `http://${agent.node}`, policy: "http/allow", send_headers_upstream: ["x-role", "x-user"] };
    const { send } = await startPlane(t, routeWith(echo.node, { opa: settings }));
    const headers = { "x-user": "mallory", "x-ask": "1" };
    const { headers: seen } = (await send("/y?a=1&a=2&flag&__proto__=3", { as: "acme", headers })).echoed();
    assert.equal(seen["x-role"], "reader");
    assert.equal(seen["x-user"], undefined, "a field that the policy did not give was taken from the caller");
    const [asked] = agent.received;
    assert.equal(asked?.target, "/v1/data/http/allow");
    const { request, route, consumer } = inputOf(asked);
    assert.equal(request.method, "GET");
    assert.equal(request.headers["x-ask"], "1");
    assert.deepEqual(Object.entries(request.query), [
      ["a", ["1", "2"]],
      ["flag", true],
      ["__proto__", "3"],
    ]);
    assert.equal(route, undefined);
    assert.equal(consumer, undefined);
  });

  it("a refusal has the policy's status, fields and reason, and the upstream is not called", async (t) => {
    const [echo, agent] = [await startEcho(t), await startEcho(t)];
    const decide = async (result: unknown): Promise<{ status: number; text: string; location: unknown }> => {
      agent.answer = (_received, response) => response.end(JSON.stringify({ result }));
      const { status, text, headers } = await send("/x", { as: "acme" });
      return { status, text, location: headers["location"] };
    };
    const { send } = await startPlane(t, routeWith(echo.node, { opa: { host: `http://${agent.node}`, policy: "p" } }));
    const refusal = await decide({ allow: false, status_code: 302, reason: { code: 7 }, headers: { Location: "https://login.test/" } });
    assert.deepEqual(refusal, { status: 302, text: '{"code":7}', location: "https://login.test/" });
    assert.equal((await decide({ allow: false, reason: "no" })).text, "no");
    assert.equal((await decide({})).status, 403);
    assert.equal((await decide({ allow: false, status_code: 99 })).status, 403);
    assert.equal(echo.received.length, 0);
  });

  it("nobody is let in by a decision that cannot be had or read", async (t) => {
    const [echo, agent] = [await startEcho(t), await startEcho(t)];
    const { send } = await startPlane(t, routeWith(echo.node, { opa: { host: `http://${agent.node}`, policy: "p" } }));
    const answers: readonly (readonly [string, number])[] = [
      ["{}", 503],
      ["[]", 503],
      ['{"result":true}', 503],
      ["no json", 503],
    ];
    for (const [text, status] of answers) {
      agent.answer = (_received, response) => response.end(text);
      assert.equal((await send("/x", { as: "acme" })).status, status, text);
    }
    agent.answer = (_received, response) => response.destroy();
    assert.equal((await send("/x", { as: "acme" })).status, 403);
    assert.equal(echo.received.length, 0);
  });

  it("strict tells a policy which route it is and none of its plugins, which may hold what proves somebody", async (t) => {
    const [echo, agent] = [await startEcho(t), await startEcho(t)];
    agent.answer = (_received, response) => response.end('{"result":{"allow":true}}');
    const settings = { host: `http://${agent.node}`, policy: "p", with_route: true, with_service: true, with_consumer: true };
    const { send } = await startPlane(t, routeWith(echo.node, { opa: settings }, { name: "orders" }));
    assert.equal((await send("/x", { as: "acme" })).status, 200);
    const { route } = inputOf(agent.received[0]);
    assert.equal(route?.["name"], "orders");
    assert.equal(route["plugins"], undefined);
    assert.equal(route["upstream"], undefined);
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("opa", { host: "http://a.test" }, /property "policy" is required/);
    assertRefused("opa", { host: 3, policy: "p" }, /property "host" validation failed: wrong type/);
    assertRefused("opa", { host: "file:///etc", policy: "p" }, /is no address of HTTP/);
    assertRefused("opa", { host: "https://a.test", policy: "p", send_headers_upstream: ["X-Tenant-ID"] }, /set by the gateway alone/);
  });
});
