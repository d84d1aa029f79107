import assert from "node:assert/strict";
import { test } from "node:test";
import { PLUGINS } from "../../../src/gateway/index.ts";
import type { Plugin } from "../../../src/gateway/proxy/plugin.ts";
import { startEcho, startPlane, type TestPlane } from "../../support/data-plane.ts";
import { tenantIdOf, tenantOf } from "../../support/tenants.ts";
import { markPlugin } from "./mark-plugin.ts";

const KEY = { apikey: "key-of-jack-0123456789" };
const plugins = [...PLUGINS, markPlugin("mark", 3), markPlugin("other", 2), markPlugin("last", 1)];

async function marks(plane: TestPlane, path: string, headers: Record<string, string> = KEY): Promise<string> {
  const reply = await plane.send(path, { headers });
  assert.equal(reply.status, 200, reply.text);
  return String(reply.echoed().headers["x-mark"]);
}

test("a plugin's settings come from the nearest place as a whole: consumer, group, route, plugin config, service", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const service = { id: "s", upstream, plugins: { mark: { text: "service" }, other: { text: "service" }, last: { text: "service" } } };
  const layers = [
    { consumers: {}, groups: {}, expected: "mark@route:r=route, other@plugin_config:c, last@service:s=service" },
    { consumers: {}, groups: { mark: {} }, expected: "mark@consumer_group:g, other@plugin_config:c, last@service:s=service" },
    {
      consumers: { mark: { text: "c" } },
      groups: { mark: {}, last: {} },
      expected: "mark@consumer:jack=c, other@plugin_config:c, last@consumer_group:g",
    },
  ];
  const plane = await startPlane(t, {}, { profile: "apisix", plugins });
  for (const { consumers, groups, expected } of layers) {
    await plane.apply({
      services: [service],
      plugin_configs: [{ id: "c", plugins: { mark: { text: "config" }, other: {} } }],
      routes: [{ id: "r", uri: "/*", service_id: "s", plugin_config_id: "c", plugins: { "key-auth": {}, mark: { text: "route" } } }],
      consumer_groups: [{ id: "g", plugins: groups }],
      consumers: [{ username: "jack", group_id: "g", plugins: { "key-auth": { key: KEY.apikey }, ...consumers } }],
    });
    assert.equal(await marks(plane, "/x"), expected);
  }
});

test("a tenant's plugins lie over its plan's and these over the route's, however the tenant was proved, and only there", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(
    t,
    {
      plans: { gold: { plugins: { mark: { text: "gold" }, other: { text: "gold" } } } },
      tenants: {
        acme: { plan: "gold", keys: ["key-of-acme-0123456789"], plugins: { mark: { text: "own" } } },
        globex: { plan: "gold", keys: ["key-of-globex-0123456789"] },
        initech: { keys: ["key-of-initech-0123456789"] },
      },
      routes: [
        { id: "key", uri: "/key", upstream, plugins: { "key-auth": {}, mark: {} } },
        { id: "platform", uri: "/platform", upstream, plugins: { mark: {} } },
      ],
    },
    { plugins, tenants: ["acme", "globex", "initech", tenantOf("stored", { plan: "gold" })] },
  );
  const expected: Record<string, (route: string) => string> = {
    acme: () => "mark@tenant:acme=own, other@plan:gold=gold",
    globex: () => "mark@plan:gold=gold, other@plan:gold=gold",
    initech: (route) => `mark@route:${route}`,
  };
  for (const [tenant, of] of Object.entries(expected)) {
    assert.equal(await marks(plane, "/key", { apikey: `key-of-${tenant}-0123456789` }), of("key"));
    assert.equal(await marks(plane, "/platform", { authorization: `Bearer ${tenant}:user-1` }), of("platform"));
  }
  // the plan that the registry knows counts where the document says nothing of the tenant
  assert.equal(await marks(plane, "/platform", { authorization: "Bearer stored:user-1" }), "mark@plan:gold=gold, other@plan:gold=gold");
});

test("what a consumer brings is rewritten once more, what the route had is not", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(
    t,
    {
      routes: [{ id: "r", uri: "/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } }, plugins: { "key-auth": {}, mark: {} } }],
      consumers: [{ username: "jack", plugins: { "key-auth": { key: KEY.apikey }, mark: { text: "c" }, other: {} } }],
    },
    { profile: "apisix", plugins },
  );
  const { headers } = (await plane.send("/x", { headers: KEY })).echoed();
  assert.equal(headers["x-rewrite"], "mark@route:r, other@consumer:jack");
  assert.equal(headers["x-mark"], "mark@consumer:jack=c, other@consumer:jack");
  assert.equal(headers["x-consumer-username"], "jack");
});

test("global rules run before the route in each phase, for routes that there are not too, and for our own answers", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(
    t,
    {
      global_rules: [
        { id: "1", plugins: { mark: {}, last: {} } },
        { id: "2", plugins: { last: {} } },
      ],
      routes: [
        { id: "r", uri: "/r", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } }, plugins: { mark: {} } },
        { id: "stop", uri: "/stop", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } }, plugins: { mark: { stop: 418 } } },
      ],
    },
    { profile: "apisix", plugins },
  );
  const through = await plane.send("/r");
  assert.equal(through.echoed().headers["x-mark"], "mark@global_rule:1, mark@route:r");
  assert.equal(through.headers["x-marked"], "mark@global_rule:1, mark@route:r");
  const missing = await plane.send("/nowhere");
  assert.deepEqual([missing.status, missing.headers["x-marked"]], [404, "mark@global_rule:1"]);
  const stopped = await plane.send("/stop");
  assert.deepEqual([stopped.status, stopped.text, stopped.headers["x-marked"]], [418, "stopped", "mark@global_rule:1, mark@route:stop"]);
  assert.equal(echo.received.length, 1);
  assert.ok(
    plane.warnings.some((line) => line.includes("last")),
    "a plugin of two global rules is said",
  );
});

test("_meta switches off, reorders, filters and says what an error answers", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(
    t,
    {
      services: [{ id: "s", upstream, plugins: { other: {} } }],
      routes: [
        { id: "off", uri: "/off", service_id: "s", plugins: { mark: {}, other: { _meta: { disable: true } } } },
        { id: "order", uri: "/order", upstream, plugins: { mark: {}, other: { _meta: { priority: 100 } } } },
        { id: "filter", uri: "/filter", upstream, plugins: { mark: { _meta: { filter: [["arg_on", "==", "1"]] } }, other: {} } },
        { id: "error", uri: "/error", upstream, plugins: { mark: { stop: 403, _meta: { error_response: { message: "no" } } } } },
      ],
    },
    { profile: "apisix", plugins },
  );
  assert.equal(await marks(plane, "/off"), "mark@route:off");
  assert.equal(await marks(plane, "/order"), "other@route:order, mark@route:order");
  assert.equal(await marks(plane, "/filter"), "other@route:filter");
  assert.equal(await marks(plane, "/filter?on=1"), "mark@route:filter, other@route:filter");
  const refused = await plane.send("/error");
  assert.deepEqual([refused.status, refused.text], [403, '{"message":"no"}\n']);
});

test("a body that a filter asks about is read first and forwarded whole", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(
    t,
    {
      routes: [
        { id: "gpt", uri: "/chat", vars: [["post_arg.model", "==", "big"]], upstream, plugins: { mark: { text: "big" } } },
        { id: "form", uri: "/chat", vars: [["post_arg_model", "==", "form"]], upstream, plugins: { mark: { text: "form" } } },
        { id: "rest", uri: "/chat", upstream, plugins: { mark: { _meta: { filter: [["post_arg.messages[0].role", "==", "user"]] } } } },
      ],
    },
    { profile: "apisix", plugins },
  );
  const ask = async (type: string, body: string): Promise<readonly [unknown, string]> => {
    const { headers, body: arrived } = (await plane.send("/chat", { method: "POST", headers: { "content-type": type }, body })).echoed();
    return [headers["x-mark"], arrived];
  };
  const big = JSON.stringify({ model: "big" });
  assert.deepEqual(await ask("application/json", big), ["mark@route:gpt=big", big]);
  assert.deepEqual(await ask("application/x-www-form-urlencoded", "a=1&model=form"), ["mark@route:form=form", "a=1&model=form"]);
  const chat = JSON.stringify({ messages: [{ role: "user" }] });
  assert.deepEqual(await ask("application/json", chat), ["mark@route:rest", chat]);
  assert.deepEqual(await ask("application/json", "{"), [undefined, "{"]);
});

test("an explanation names the route, the chain in its order and where each setting comes from", async (t) => {
  const echo = await startEcho(t);
  const plane = await startPlane(
    t,
    {
      plans: { gold: { plugins: { mark: { text: "gold" } } } },
      tenants: { acme: { plan: "gold", plugins: { mark: { text: "own" } } } },
      global_rules: [{ id: "1", plugins: { last: {} } }],
      routes: [
        {
          id: "r",
          uri: "/r",
          methods: ["GET"],
          vars: [["tenant_id", "==", "acme"]],
          upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } },
          plugins: { mark: {}, other: {} },
        },
      ],
    },
    { plugins },
  );
  const explained = await plane.plane.explain(tenantIdOf("acme"), { method: "GET", host: "api", path: "/r?x=1" });
  assert.deepEqual(explained.route, { id: "r", name: undefined, because: ["path /r", "method GET", 'vars [["tenant_id","==","acme"]]'] });
  assert.equal(explained.upstream, "route:r");
  assert.deepEqual(
    explained.plugins.map(({ name, from, overrides }) => [name, from, ...overrides]),
    [
      ["last", "global_rule:1"],
      ["tenant-resolver", "default:r"],
      ["mark", "tenant:acme", "plan:gold", "route:r"],
      ["other", "route:r"],
    ],
  );
  const other = await plane.plane.explain(tenantIdOf("globex"), { method: "GET", host: "api", path: "/r" });
  assert.equal(other.route, undefined);
});

test("a plugin that fails at the answer or at the end hurts nobody, and one that fails before refuses", async (t) => {
  const echo = await startEcho(t);
  const failing: Plugin = {
    name: "failing",
    priority: 5,
    schema: { type: "object" },
    create: (settings) => {
      const { at } = settings as { at: string };
      const fail = (phase: string) => () => {
        if (at === phase) throw new TypeError(`at ${phase}`);
        return undefined;
      };
      return { access: fail("access"), header: fail("header"), log: fail("log") };
    },
  };
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const routes = ["access", "header", "log"].map((at) => ({ id: at, uri: `/${at}`, upstream, plugins: { failing: { at } } }));
  const plane = await startPlane(t, { routes }, { plugins: [...PLUGINS, failing] });
  assert.equal((await plane.send("/header", { as: "acme" })).status, 200);
  assert.equal((await plane.send("/log", { as: "acme" })).status, 200);
  const refused = await plane.send("/access", { as: "acme" });
  assert.equal(refused.json()["code"], "internal");
  assert.ok(!refused.text.includes("at access"));
  assert.equal(echo.received.length, 2);
});
