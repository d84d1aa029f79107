import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { createRouteTable } from "../../../src/control/index.ts";
import { createGatewayConfig, createLiveRequests, createPipeline, type GatewayConfig, PLUGINS } from "../../../src/gateway/index.ts";
import { type Fault, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import { mintApiKey } from "../../../src/tenancy/identity/index.ts";
import { createRateLimiter } from "../../../src/tenancy/limits/index.ts";
import { createHttpServer, type HttpServer } from "../../../src/wire/index.ts";
import { temporaryFolder } from "../../support/engines.ts";
import { type Freehold, startFreehold } from "../../support/freehold.ts";
import { until } from "../../support/until.ts";

const ROUTE = { uri: "/hello", upstream: { type: "roundrobin", nodes: { "127.0.0.1:1980": 1 } } };
const ENVIRONMENT: Readonly<Record<string, string>> = { ALLOWED: "the value that may be used", SECRET: "the-process-secret" };
const FILE = path.join(temporaryFolder(), "gateway.yaml");

describe("the admin API of the gateway", () => {
  let freehold: Freehold;
  let config: GatewayConfig;
  let other: GatewayConfig;
  let server: HttpServer;
  const reports: Fault[] = [];

  before(async () => {
    freehold = await startFreehold();
    writeFileSync(FILE, "routes: [{ id: fixed, uri: /fixed, plugins: {} }]\n");
    const open = (objects: GatewayConfig extends never ? never : Parameters<typeof createGatewayConfig>[0]["objects"], file?: string) =>
      createGatewayConfig({
        profile: "strict",
        plugins: PLUGINS,
        file,
        objects,
        variable: (name) => ENVIRONMENT[name],
        storedVariables: ["ALLOWED"],
        report: (fault) => void reports.push(fault),
        warn: () => undefined,
      });
    const { services, stores } = freehold.app;
    config = await open(services.registry.gateway, FILE);
    other = await open((await freehold.second()).services.registry.gateway);
    const pipeline = createPipeline({
      identity: services.identity,
      limiter: createRateLimiter(systemClock),
      stores,
      audit: services.audit,
      clock: systemClock,
      random: systemRandom,
      observe: () => undefined,
      live: createLiveRequests(),
      origins: [],
    });
    const explain = async () => await Promise.resolve({ route: undefined, upstream: undefined, plugins: [] });
    const routes = createRouteTable(services, { config, dataPlane: { explain } });
    server = await createHttpServer({ host: "127.0.0.1", port: 0, handler: pipeline.handlerFor(routes.admin) });
  });
  after(async () => {
    await server.close(0);
    await config.close();
    await other.close();
    await freehold.close();
  });

  async function call(
    method: string,
    target: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const answer = await fetch(`${server.url}/apisix/admin${target}`, {
      method,
      headers: { ...freehold.platform.admin, ...headers },
      ...(body !== undefined && { body: text }),
    });
    const said = await answer.text();
    return { status: answer.status, body: said === "" ? {} : (JSON.parse(said) as Record<string, unknown>) };
  }

  test("an object is made, read, changed, listed and removed", async () => {
    assert.equal((await call("PUT", "/routes/1", ROUTE)).status, 201);
    assert.equal((await call("PUT", "/routes/1", ROUTE)).status, 200);
    assert.equal((await call("PATCH", "/routes/1", { status: 0 })).status, 200);
    assert.equal((await call("PATCH", "/routes/1/upstream/nodes", { "127.0.0.1:1981": 1 })).status, 200);
    const { value, key } = (await call("GET", "/routes/1")).body as {
      value: { status: number; upstream: { nodes: unknown } };
      key: string;
    };
    assert.deepEqual([key, value.status, value.upstream.nodes], ["/apisix/routes/1", 0, { "127.0.0.1:1981": 1 }]);
    assert.equal((await call("GET", "/routes")).body["total"], 1);
    assert.equal(config.current().routes.find(({ id }) => id === "1")?.status, 0);
    assert.equal((await call("DELETE", "/routes/1")).status, 200);
    assert.equal((await call("GET", "/routes/1")).status, 404);
    assert.equal((await call("DELETE", "/routes/1")).status, 404);
  });

  test("what is wrong is answered in APISIX's words and changes nothing", async () => {
    const refused = await call("PUT", "/routes/1", { ...ROUTE, status: 100 });
    assert.deepEqual(
      [refused.status, refused.body["error_msg"]],
      [400, 'invalid configuration: property "status" validation failed: matches none of the enum values'],
    );
    assert.equal((await call("PUT", "/routes/1", { uri: "/a", upstream_id: "none" })).status, 400);
    assert.match(String((await call("PUT", "/routes/1", "{")).body["error_msg"]), /^invalid request body/);
    assert.equal((await call("PUT", "/routes/fixed", ROUTE)).status, 409);
    assert.equal((await call("GET", "/routes")).body["total"], 0);
  });

  test("an object reads no variable of the process but those that the settings allow", async () => {
    const route = (text: string) => ({ uri: "/variable", plugins: { mocking: { response_example: text } } });
    for (const text of ["$env://SECRET", "$ENV://SECRET", "$env://SECRET/part"]) {
      const refused = await call("PUT", "/routes/variable", route(text));
      assert.equal(refused.status, 400, text);
      assert.match(String(refused.body["error_msg"]), /gateway\.storedVariables/);
      const whole = { tenants: { acme: { keys: [text] } } };
      assert.equal((await call("PUT", "/configs", whole, { "x-digest": text })).status, 400);
      assert.equal((await call("POST", "/configs/validate", whole)).status, 400);
      assert.ok(!JSON.stringify(refused.body).includes("the-process-secret"));
    }
    assert.equal((await call("GET", "/routes")).body["total"], 0);
    assert.equal((await call("PUT", "/routes/variable", route("$env://ALLOWED"))).status, 201);
    const served = config.current().routes.find(({ id }) => id === "variable");
    assert.ok(JSON.stringify(served).includes(String(ENVIRONMENT["ALLOWED"])));
    assert.ok(
      !JSON.stringify((await call("GET", "/routes/variable")).body).includes(String(ENVIRONMENT["ALLOWED"])),
      "it is kept as it was written",
    );
    assert.equal((await call("DELETE", "/routes/variable")).status, 200);
  });

  test("an operator who may only look, a tenant and nobody change nothing", async () => {
    for (const headers of [freehold.platform.viewer, { authorization: "Bearer a:user-1" }]) {
      assert.equal((await call("PUT", "/routes/1", ROUTE, headers)).status, 403);
    }
    const nobody = await fetch(`${server.url}/apisix/admin/routes/1`, { method: "PUT", body: JSON.stringify(ROUTE) });
    assert.equal(nobody.status, 401);
    assert.equal((await call("GET", "/routes")).body["total"], 0);
  });

  test("an operator's API key in X-API-KEY may do what its role allows, and nothing once it is revoked", async () => {
    const { registry, keyring } = freehold.app.services;
    const make = async (role: "admin" | "viewer"): Promise<{ id: string; text: string }> => {
      const { id, secret, hash } = mintApiKey({ random: systemRandom, keyring });
      const owner = { tenantUuid: null, createdBy: "test", expiresAt: null };
      await registry.createKey({ id, hash, name: role, roles: [role], scopes: [], ...owner });
      return { id, text: secret.reveal() };
    };
    const put = async (key: string): Promise<number> => {
      const sent = { method: "PUT", headers: { "X-API-KEY": key }, body: JSON.stringify(ROUTE) };
      return (await fetch(`${server.url}/apisix/admin/routes/by-key`, sent)).status;
    };
    const [admin, viewer] = [await make("admin"), await make("viewer")];
    assert.deepEqual([await put(viewer.text), await put(`${admin.text}x`)], [403, 401]);
    assert.equal((await call("GET", "/routes")).body["total"], 0);
    assert.deepEqual([await put(admin.text), await put(admin.text)], [201, 200]);
    await registry.revokeKey(null, admin.id);
    assert.equal(await put(admin.text), 401);
    assert.equal((await call("DELETE", "/routes/by-key")).status, 200);
  });

  test("a whole document replaces what is stored, once per digest, in every process, and is sealed at rest", async () => {
    const document = {
      routes: [{ ...ROUTE, id: "whole" }],
      consumers: [{ username: "jack", plugins: { "key-auth": { key: "a-key-that-is-secret" } } }],
    };
    assert.equal((await call("PUT", "/configs", document)).status, 400);
    assert.equal((await call("PUT", "/configs", document, { "x-digest": "1" })).status, 202);
    assert.equal((await call("PUT", "/configs", document, { "x-digest": "1" })).status, 204);
    assert.deepEqual(
      config.current().routes.map(({ id }) => id),
      ["fixed", "whole"],
    );
    await until("the other process's document", () => other.current().routes.some(({ id }) => id === "whole"));
    const rows = await freehold.sql<{ text: string }>("select encode(sealed, 'escape') as text from freehold.gateway_objects");
    assert.ok(rows.length >= 3 && rows.every(({ text }) => !text.includes("secret")));
    assert.equal((await call("PUT", "/configs", { routes: [{ id: "x", uri: "/x" }] }, { "x-digest": "2" })).status, 400);
    assert.equal(config.current().routes.length, 2);
    assert.equal((await call("PUT", "/configs", "routes: []", { "x-digest": "3", "content-type": "application/yaml" })).status, 202);
    assert.deepEqual(
      config.current().routes.map(({ id }) => id),
      ["fixed"],
    );
  });

  test("the file is read again when it changes, and a bad one leaves the last good one in force", async () => {
    writeFileSync(FILE, "routes: [{ id: moved, uri: /moved, plugins: {} }]\n");
    await until("the new file", () => config.current().routes[0]?.id === "moved");
    writeFileSync(FILE, "routes: [{ id: broken\n");
    await until("the report", () => reports.length > 0);
    assert.equal(config.current().routes[0]?.id, "moved");
  });
});
