import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { createRouteTable } from "../../../src/control/index.ts";
import {
  createGatewayConfig,
  createLiveRequests,
  createPipeline,
  type GatewayConfig,
  type GatewayConfigPorts,
  PLUGINS,
} from "../../../src/gateway/index.ts";
import { type Fault, type FaultCode, FAULTS, systemClock, systemRandom } from "../../../src/kernel/index.ts";
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
  let lenient: GatewayConfig;
  let server: HttpServer;
  const reports: Fault[] = [];

  before(async () => {
    freehold = await startFreehold();
    writeFileSync(FILE, "routes: [{ id: fixed, uri: /fixed, plugins: {} }]\n");
    const open = (objects: GatewayConfigPorts["objects"], file?: string, profile: "strict" | "apisix" = "strict") =>
      createGatewayConfig({
        profile,
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
    const second = (await freehold.second()).services.registry.gateway;
    other = await open(second);
    lenient = await open(second, undefined, "apisix");
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
    await lenient.close();
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

  test("lists come in pages and by name, label or address", async () => {
    const names = Array.from({ length: 12 }, (_, at) => `list-${at + 1}`);
    for (const name of names) {
      const route = { ...ROUTE, uri: `/of/${name}`, name, ...(name === "list-12" && { labels: { team: "red" } }) };
      assert.equal((await call("PUT", `/routes/${name}`, route)).status, 201);
    }
    const ids = async (query: string): Promise<readonly [total: unknown, ids: readonly string[]]> => {
      const { body } = await call("GET", `/routes?${query}`);
      return [body["total"], (body["list"] as { value: { id: string } }[]).map(({ value }) => value.id)];
    };
    assert.deepEqual(await ids("page=2&page_size=10"), [12, ["list-11", "list-12"]]);
    assert.deepEqual(await ids("page=9&page_size=10"), [12, []]);
    assert.deepEqual(await ids("name=list-1&page=1&page_size=10"), [4, ["list-1", "list-10", "list-11", "list-12"]]);
    assert.deepEqual(await ids("label=team"), [1, ["list-12"]]);
    assert.deepEqual(await ids("uri=/list-7"), [1, ["list-7"]]);
    assert.deepEqual(await ids("label=hasOwnProperty"), [0, []]);
    const refused = await call("GET", "/routes?page=1&page_size=9");
    assert.deepEqual([refused.status, refused.body["error_msg"]], [400, "page_size must be between 10 and 500"]);
    for (const name of names) assert.equal((await call("DELETE", `/routes/${name}`)).status, 200);
  });

  test("what is still used is not removed, and whoever uses it is named; by force neither, where what is served would then be left out", async () => {
    const nodes = { type: "roundrobin", nodes: { "127.0.0.1:1980": 1 } };
    const uses: readonly (readonly [string, unknown, string, unknown, string])[] = [
      [
        "/upstreams/u",
        nodes,
        "/routes/user",
        { uri: "/u", upstream_id: "u" },
        "can not delete this upstream, route [user] is still using it now",
      ],
      ["/upstreams/u", nodes, "/services/user", { upstream_id: "u" }, "can not delete this upstream, service [user] is still using it now"],
      [
        "/services/s",
        { upstream: nodes },
        "/routes/user",
        { uri: "/u", service_id: "s" },
        "can not delete this service directly, route [user] is still using it now",
      ],
      [
        "/plugin_configs/p",
        { plugins: {} },
        "/routes/user",
        { ...ROUTE, plugin_config_id: "p" },
        "can not delete this plugin config, route [user] is still using it now",
      ],
      [
        "/consumer_groups/g",
        { plugins: {} },
        "/consumers/user",
        { username: "user", group_id: "g" },
        "can not delete this consumer group, consumer [user] is still using it now",
      ],
    ];
    for (const [used, object, user, referring, text] of uses) {
      assert.equal((await call("PUT", used, object)).status, 201, used);
      assert.equal((await call("PUT", user, referring)).status, 201, user);
      const refused = await call("DELETE", used);
      assert.deepEqual([refused.status, refused.body["error_msg"]], [400, text]);
      const forced = await call("DELETE", `${used}?force=true`);
      assert.equal(forced.status, 400, used);
      assert.match(String(forced.body["error_msg"]), /user.*leads to nothing/);
      assert.equal((await call("DELETE", user)).status, 200);
      assert.equal((await call("DELETE", used)).status, 200);
    }
  });

  test("what is still used is removed by force in the apisix profile, and only by force", async () => {
    assert.equal((await call("PUT", "/upstreams/u", ROUTE.upstream)).status, 201);
    assert.equal((await call("PUT", "/routes/user", { uri: "/u", upstream_id: "u" })).status, 201);
    await until("the route in the other process", () => lenient.current().routes.some(({ id }) => id === "user"));
    const change = { put: [], remove: [{ kind: "upstreams", id: "u" }] };
    await assert.rejects(lenient.write(change), /routes.*user.*leads to nothing/);
    await lenient.write(change, { dangling: true });
    assert.deepEqual([lenient.current().routes.length, lenient.current().upstreams.size], [1, 0]);
    assert.equal((await call("DELETE", "/routes/user")).status, 200);
  });

  test("an object is checked without being stored, and the plugins are told", async () => {
    assert.equal((await call("POST", "/schema/validate/routes", ROUTE)).status, 200);
    const wrong = await call("POST", "/schema/validate/routes", { ...ROUTE, status: 100 });
    assert.match(String(wrong.body["error_msg"]), /property "status" validation failed/);
    assert.equal((await call("POST", "/schema/validate/nothing", {})).status, 404);
    assert.equal((await call("GET", "/routes")).body["total"], 0);
    const { body } = await call("GET", "/plugins/list");
    assert.ok((body as unknown as string[]).includes("key-auth"));
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
      const answer = await fetch(`${server.url}/apisix/admin/routes/by-key`, sent);
      const said = (await answer.json()) as { code?: FaultCode; error_msg?: string };
      // a refusal says the title of its code: what the log says of it is not for the caller
      if (said.code) assert.equal(said.error_msg, FAULTS[said.code].title);
      return answer.status;
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
