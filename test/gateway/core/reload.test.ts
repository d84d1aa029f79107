import assert from "node:assert/strict";
import { test } from "node:test";
import { PLUGINS } from "../../../src/gateway/index.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import type { GatewayDocument } from "../../../src/gateway/dialect/index.ts";
import { until } from "../../support/until.ts";
import { markPlugin } from "./mark-plugin.ts";

const EMPTY = new Map<string, never>();
const EMPTY_DOCUMENT: GatewayDocument = {
  routes: [],
  services: EMPTY,
  upstreams: EMPTY,
  consumers: EMPTY,
  consumer_groups: EMPTY,
  plugin_configs: EMPTY,
  global_rules: EMPTY,
  ssls: EMPTY,
  plugin_metadata: EMPTY,
  tenants: EMPTY,
  plans: EMPTY,
  plugins: undefined,
};

test("a request under way ends with the document it began with; its plugins are closed after it, those that stay are not", async (t) => {
  const echo = await startEcho(t);
  const closed: string[] = [];
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const route = (text: string): object => ({ id: "1", uri: "/x", upstream, plugins: { mark: { text } } });
  const other = { id: "2", uri: "/other", upstream, plugins: { mark: {} } };
  const plane = await startPlane(
    t,
    { routes: [route("old"), other] },
    { profile: "apisix", plugins: [...PLUGINS, markPlugin("mark", 1, closed)] },
  );
  const arrived = Promise.withResolvers<() => void>();
  echo.answer = (_received, response) => arrived.resolve(() => response.end("late"));
  const held = plane.send("/x");
  const finish = await arrived.promise;
  echo.answer = undefined;
  await plane.apply({ routes: [route("new"), other] });
  assert.equal((await plane.send("/x")).headers["x-marked"], "mark@route:1=new");
  assert.deepEqual(closed, []);
  finish();
  const late = await held;
  assert.deepEqual([late.text, late.headers["x-marked"]], ["late", "mark@route:1=old"]);
  assert.deepEqual(closed, ["mark@route:1=old"]);
  await plane.plane.close();
  assert.deepEqual(new Set(closed), new Set(["mark@route:1=new", "mark@route:1=old", "mark@route:2"]));
});

test("a document that cannot be served changes nothing", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/x", upstream }] });
  await assert.rejects(plane.apply({ routes: [{ id: "1", uri: "/y", vars: [["arg_a", "~~", "(?=a)b"]], upstream }] }), {
    code: "invalid_settings",
  });
  await assert.rejects(plane.apply({ routes: [{ id: "1", uri: "/y", upstream: { ...upstream, scheme: "grpc" } }] }), {
    code: "invalid_settings",
  });
  assert.equal((await plane.send("/x", { as: "acme" })).status, 200);
  assert.equal((await plane.send("/y", { as: "acme" })).status, 404);
});

test("counters and positions outlive a change elsewhere, and fresh drops them", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const limited = { id: "1", uri: "/x", upstream, plugins: { "limit-count": { count: 2, time_window: 600, key: "remote_addr" } } };
  const plane = await startPlane(t, { routes: [limited] }, { profile: "apisix" });
  const status = async (): Promise<number> => (await plane.send("/x")).status;
  assert.equal(await status(), 200);
  await plane.apply({ routes: [limited, { id: "2", uri: "/y", upstream }] });
  assert.equal(await status(), 200);
  assert.equal(await status(), 503);
  await plane.apply({ routes: [limited] });
  assert.equal(await status(), 503);
  await plane.apply({ routes: [limited] }, { fresh: true });
  assert.equal(await status(), 200);
});

test("a fresh document that cannot be served leaves counters as they were and nothing behind", async (t) => {
  const echo = await startEcho(t);
  const closed: string[] = [];
  const nodes = [{ host: "127.0.0.1", port: echo.port, weight: 1 }];
  const upstream = { type: "roundrobin", hash_on: "vars", scheme: "http", pass_host: "pass", nodes };
  const limited = {
    id: "1",
    uri: "/x",
    upstream,
    plugins: { "limit-count": { count: 1, time_window: 600, key: "remote_addr" }, mark: {} },
  };
  const broken = { id: "3", uri: "/z", vars: [["arg_a", "~~", "("]], upstream };
  const plane = await startPlane(t, { routes: [limited] }, { profile: "apisix", plugins: [...PLUGINS, markPlugin("mark", 1, closed)] });
  assert.equal((await plane.send("/x")).status, 200);
  const other = { id: "2", uri: "/y", upstream, plugins: { mark: {} } };
  const document = { ...EMPTY_DOCUMENT, routes: [limited, other, broken].map((route) => ({ priority: 0, status: 1 as const, ...route })) };
  await assert.rejects(plane.plane.apply(document as unknown as GatewayDocument, { fresh: true }), { code: "invalid_settings" });
  await until("what was made for it is closed", () => closed.length > 0);
  assert.deepEqual(new Set(closed), new Set(["mark@route:1", "mark@route:2"]));
  assert.equal((await plane.send("/x")).status, 503);
  await plane.apply({ routes: [limited] });
  assert.equal((await plane.send("/x")).status, 503);
});

test("consumers that are gone open nothing any more, new ones do at once", async (t) => {
  const echo = await startEcho(t);
  const routes = [{ id: "1", uri: "/x", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } }, plugins: { "key-auth": {} } }];
  const keyOf = (name: string): string => `key-of-${name}-0123456789`;
  const tenants = (name: string): object => ({ [name]: { keys: [keyOf(name)] } });
  const plane = await startPlane(t, { routes, tenants: tenants("acme") });
  const status = async (name: string): Promise<number> => (await plane.send("/x", { headers: { apikey: keyOf(name) } })).status;
  assert.deepEqual([await status("acme"), await status("globex")], [200, 401]);
  await plane.apply({ routes, tenants: tenants("globex") });
  assert.deepEqual([await status("acme"), await status("globex")], [401, 200]);
});

test("what requests make for consumers while a document is taken in is kept by it", async (t) => {
  const [made, closed]: [string[], string[]] = [[], []];
  const mark = markPlugin("mark", 1, closed);
  const counted: typeof mark = {
    ...mark,
    create: ({ stop }, owner, ports) => {
      made.push(owner.id);
      return mark.create(stop === undefined ? {} : { stop }, owner, ports);
    },
  };
  // settings so long that looking at those of all consumers takes several turns
  const plugins = (name: string): object => ({ "key-auth": { key: `key-of-${name}` }, mark: { text: "x".repeat(500_000), stop: 200 } });
  const [known, others] = ["known", "other"].map((kind) => Array.from({ length: 50 }, (_, at) => `${kind}${at}`));
  assert.ok(known && others);
  const consumers = [...known, ...others].map((username) => ({ username, plugins: plugins(username) }));
  const upstream = { type: "roundrobin", nodes: { "127.0.0.1:1": 1 } };
  const routes = [{ id: "1", uri: "/x", upstream, plugins: { "key-auth": {} } }];
  const gone = { id: "gone", uri: "/gone", upstream, plugins: { mark: {} } };
  const plane = await startPlane(t, { routes: [...routes, gone], consumers }, { profile: "apisix", plugins: [...PLUGINS, counted] });
  const ask = async (name: string): Promise<void> => {
    assert.equal((await plane.send("/x", { headers: { apikey: `key-of-${name}` } })).text, "stopped");
  };
  for (const name of known) await ask(name);
  const before = made.length;
  const asked = others.map(ask);
  await plane.apply({ routes, consumers });
  assert.ok(made.length > before, "nothing was made meanwhile");
  await Promise.all(asked);
  await until("what only the document before had is closed", () => closed.length > 0);
  for (const name of [...known, ...others]) await ask(name);
  assert.deepEqual(closed, ["mark@route:gone"]);
  assert.equal(made.length, new Set(made).size);
});

test("a data plane knows which requests are its own", async (t) => {
  const echo = await startEcho(t);
  const heads: boolean[] = [];
  const plane = await startPlane(t, {
    routes: [{ id: "1", uri: "/mine/*", methods: ["GET"], upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }],
    global_rules: [],
  });
  const ask = async (path: string, method: string): Promise<boolean> => {
    await plane.send(path, { as: "acme", method });
    const head = plane.records.at(-1)?.call.head;
    assert.ok(head);
    heads.push(plane.plane.matches(head));
    return heads.at(-1) === true;
  };
  assert.equal(await ask("/mine/x", "GET"), true);
  assert.equal(await ask("/tenants/acme/mine/x", "GET"), true);
  assert.equal(await ask("/mine/x", "POST"), false);
  assert.equal(await ask("/api/chat", "GET"), false);
});
