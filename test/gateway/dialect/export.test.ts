import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  exportDocument,
  parseGatewayDocument,
  readGatewayText,
  type SourceDocument,
  writeExport,
} from "../../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";

type Settings = Readonly<Record<string, unknown>>;

function read(text: string): SourceDocument {
  return readGatewayText(text, "yaml", () => undefined) as SourceDocument; // every document here is a mapping
}

/** What a strict document becomes, and what is said about it. */
function exported(text: string): { readonly document: Readonly<Record<string, readonly Settings[]>>; readonly notes: readonly string[] } {
  const source = read(text);
  parseGatewayDocument(source, { profile: "strict", plugins: PLUGINS }); // throws where the document is none
  const { document, notes } = exportDocument(source, { profile: "strict", plugins: PLUGINS });
  return { document: document as Readonly<Record<string, readonly Settings[]>>, notes }; // lists of objects
}

const TWO_PLANS = `
plans:
  starter: { plugins: { rate-limit: { count: 100, time_window: 60, key: tenant_id } } }
  enterprise: { weight: 5, plugins: { limit-count: { count: 1000, time_window: 60, key: $tenant_id } } }
tenants:
  acme: { plan: enterprise, keys: [acme-key-1, acme-key-2] }
  globex: { plan: starter, jwt: { key: globex, secret: a-secret-of-more-than-32-characters } }
upstreams: [{ id: api, nodes: { "127.0.0.1:1980": 1 }, fair: { concurrency: 8 } }]
plugin_configs: [{ id: answers, plugins: { key-auth: {}, mocking: { response_example: "on" } } }]
services: [{ id: web, upstream: { nodes: [{ host: 127.0.0.1, port: 1981, weight: 1 }], nodes_by_placement: { isolated: [] } } }]
routes:
  - { id: chat, uri: /v1/chat, methods: [POST], upstream_id: api, plugins: { jwt-auth: {} } }
  - { id: hello, uri: /hello, plugin_config_id: answers }
  - { id: both, uri: /both, plugin_config_id: answers, service_id: web, priority: 3 }
`;

describe("an export for stock APISIX", () => {
  test("is read again by its profile without a warning, with the same routes", () => {
    const source = read(TWO_PLANS);
    const text = writeExport(exportDocument(source, { profile: "strict", plugins: PLUGINS }), "yaml");
    assert.match(text, /\n#END\n$/);
    const again = parseGatewayDocument(read(text), { profile: "apisix", plugins: PLUGINS });
    assert.deepEqual(again.warnings, []);
    const before = parseGatewayDocument(source, { profile: "strict", plugins: PLUGINS }).document;
    const shape = ({ routes, plugin_configs: configs }: typeof before): unknown =>
      routes.map(({ id, uri, methods, priority, upstream_id: upstream, service_id: service, plugins = {}, plugin_config_id: config }) => {
        const all = [...Object.keys(plugins), ...Object.keys(configs.get(config ?? "")?.plugins ?? {})];
        return { id, uri, methods, priority, upstream, service, plugins: all };
      });
    assert.deepEqual(shape(again.document), shape(before));
    assert.equal(again.document.routes.find(({ id }) => id === "hello")?.plugin_config_id, undefined);
    assert.deepEqual(again.document.upstreams.get("api")?.nodes, before.upstreams.get("api")?.nodes);
  });

  test("has tenants as consumers with credentials, and plans as groups that count by the consumer", () => {
    const { document } = exported(TWO_PLANS);
    assert.deepEqual(document["tenants"] ?? document["plans"], undefined);
    assert.deepEqual(document["consumers"], [
      { username: "acme", group_id: "enterprise", plugins: {} },
      { id: "acme/credentials/key-1", plugins: { "key-auth": { key: "acme-key-1" } } },
      { id: "acme/credentials/key-2", plugins: { "key-auth": { key: "acme-key-2" } } },
      { username: "globex", group_id: "starter", plugins: {} },
      { id: "globex/credentials/jwt", plugins: { "jwt-auth": { key: "globex", secret: "a-secret-of-more-than-32-characters" } } },
    ]);
    const limit = { time_window: 60, key: "consumer_name", rejected_code: 429 };
    assert.deepEqual(document["consumer_groups"], [
      { id: "starter", plugins: { "limit-count": { count: 100, ...limit } } },
      { id: "enterprise", plugins: { "limit-count": { count: 1000, ...limit } } },
    ]);
  });

  test("has nothing of ours in it and names each thing that is lost, with its place", () => {
    const { document, notes } = exported(`
upstreams: [{ id: api, scheme: https, nodes: { "127.0.0.1:1980": 1 }, fair: { concurrency: 8 }, nodes_by_placement: { isolated: [] } }]
consumers: [{ username: jill, plugins: {} }, { username: jack, plugins: { key-auth: { key: jacks-key }, tenant-context: { tenant_id: acme } } }]
plans: { gold: { weight: 2 } }
routes:
  - { id: open, uri: /open, upstream_id: api, plugins: { tenant-resolver: { required: false } } }
  - { id: own, uri: "/own/:name", upstream_id: api, plugins: { tenant-context: { tenant_id: acme } } }
  - { id: tier, uri: /tier, vars: [[tenant_tier, ==, gold]], upstream_id: api, plugins: { key-auth: {}, proxy-cache: {} } }
  - id: limits
    uri: /limits
    upstream_id: api
    plugins:
      key-auth: {}
      limit-count: { count: 1, time_window: 1, key: remote_addr }
      limit-req: { rate: 1, burst: 1, key: remote_addr, per_tenant: false }
      api-breaker: { break_response_code: 502, per_tenant: true }
      proxy-rewrite: { headers: { set: { x-for: "$tenant_id" } } }
      traffic-split: { rules: [{ weighted_upstreams: [{ upstream: { nodes: { "127.0.0.1:1": 1 }, fair: { concurrency: 1 } } }] }] }
      workflow: { rules: [{ actions: [[limit-count, { count: 1, time_window: 1, key: tenant_id, per_tenant: true }]] }] }
`);
    const everything = JSON.stringify(document);
    assert.doesNotMatch(everything, /"(?:fair|nodes_by_placement|per_tenant|tenant-resolver|tenant-context|rate-limit|weight_)"/);
    const said = (place: string, what: RegExp): void => {
      const found = notes.some((line) => line.slice(0, line.indexOf(": ")).split(", ").includes(place) && what.test(line));
      assert.ok(found, `${place} ${String(what)} in\n${notes.join("\n")}`);
    };
    said("upstream api", /fair/);
    said("upstream api", /nodes_by_placement/);
    said("upstream api", /certificate/);
    said("consumer jack", /binding to the tenant acme/);
    said("consumer jill", /bound to no tenant/);
    said("plan gold", /weight/);
    said("route open", /tenant-resolver/);
    said("route own", /radixtree_uri_with_parameter/);
    said("route own", /tenant-context lets nobody but acme through/);
    said("route own", /TO EVERYBODY/);
    said("route tier", /never chosen/);
    said("route tier", /proxy-cache/);
    said("route limits", /limit-count counts each tenant/);
    said("route limits", /api-breaker/);
    said("route limits", /proxy-rewrite uses tenant_id/);
    said("route limits", /fair/);
    for (const quiet of [/limit-req counts/, /workflow/]) assert.ok(!notes.some((line) => quiet.test(line)), notes.join("\n"));
    assert.ok(!notes.some((line) => line.includes("EVERYBODY") && /open|tier|limits/.test(line.slice(0, line.indexOf(": ")))));
    const { plugins } = (document["routes"] as { id: string; plugins: Record<string, Settings> }[]).find(({ id }) => id === "limits") ?? {};
    assert.deepEqual(plugins?.["workflow"], {
      rules: [{ actions: [["limit-count", { count: 1, time_window: 1, key: "consumer_name", rejected_code: 429 }]] }],
    });
    assert.deepEqual(plugins?.["key-auth"], { hide_credentials: true });
    assert.deepEqual(document["upstreams"]?.[0]?.["tls"], { verify: true });
  });

  test("keeps what the apisix profile means: nothing is put in place of its defaults", () => {
    const plugins = { "key-auth": {}, "limit-count": { count: 1, time_window: 1, key: "$tenant_id" } };
    const source = { routes: [{ id: "1", uri: "/", upstream: { scheme: "https", nodes: { "127.0.0.1:1": 1 } }, plugins }] };
    const { document, notes } = exportDocument(source, { profile: "apisix", plugins: PLUGINS });
    assert.deepEqual(document, source);
    assert.deepEqual(notes, ["route 1: limit-count uses tenant_id, tenant_tier or principal, which have no value in stock APISIX"]);
  });

  test("is text that a reader of YAML 1.1 takes for the same, and no note can leave its comment", () => {
    const document = { routes: [{ id: "1", uri: "/a", labels: { y: "on", n: "12:30" } }] };
    const text = writeExport({ document, notes: ["one"] }, "yaml");
    assert.match(text, /^# .*\n# What stock APISIX cannot say:\n# - one\nroutes:/);
    for (const quoted of ['"y": "on"', '"n": "12:30"']) assert.ok(text.includes(quoted), text);
    assert.deepEqual(JSON.parse(writeExport({ document, notes: ["one"] }, "json")), document);
    const hostile = { routes: [{ id: "a\nroutes: []", uri: "/", plugins: {} }] };
    const { notes } = exportDocument(hostile, { profile: "strict", plugins: PLUGINS });
    assert.ok(notes.length > 0 && notes.every((line) => !/[\n\r\u2028]/.test(line)));
  });
});
