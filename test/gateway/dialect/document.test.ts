import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type GatewayDocument, parseGatewayDocument, readGatewayText } from "../../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";
import { Fault } from "../../../src/kernel/index.ts";

const nowhere = (): undefined => undefined;

function strict(text: string, variable: (name: string) => string | undefined = nowhere): GatewayDocument {
  return parseGatewayDocument(readGatewayText(text, "yaml", variable), { profile: "strict", plugins: PLUGINS, variable }).document;
}

function lenient(text: string): ReturnType<typeof parseGatewayDocument> {
  return parseGatewayDocument(readGatewayText(text, "yaml", nowhere), { profile: "apisix", plugins: PLUGINS });
}

/** The refusal's public text. */
function refusalOf(text: string): string {
  try {
    strict(text);
  } catch (error) {
    assert.ok(error instanceof Fault);
    assert.equal(error.code, "invalid_settings");
    return error.public.detail ?? "";
  }
  throw new Error("the document was taken");
}

const THREE_TENANTS = `
plans:
  starter: { plugins: { limit-count: { count: 100, time_window: 60, rejected_code: 429, key: tenant_id } } }
  professional: { weight: 2, plugins: { limit-count: { count: 1000, time_window: 60, rejected_code: 429, key: tenant_id } } }
  enterprise: { weight: 5 }
tenants:
  acme: { plan: enterprise, keys: [acme-key-1, acme-key-2] }
  globex: { plan: professional, keys: [globex-key] }
  third: { plan: starter, jwt: { key: third, secret: a-secret-of-more-than-32-characters } }
upstreams: [{ id: api, nodes: { "127.0.0.1:8081": 1 } }]
routes: [{ id: all, uri: /*, upstream_id: api, plugins: { key-auth: {} } }]
`;

describe("a gateway document", () => {
  test("three tenants on three plans are a dozen lines, and become consumers that are bound to them", () => {
    assert.ok(THREE_TENANTS.trim().split("\n").length <= 12);
    const { consumers, consumer_groups: groups, tenants, plans } = strict(THREE_TENANTS);
    assert.deepEqual([...tenants.keys()], ["acme", "globex", "third"]);
    assert.equal(plans.get("enterprise")?.weight, 5);
    assert.deepEqual([...groups.keys()], ["starter", "professional", "enterprise"]);
    const acme = consumers.get("acme");
    assert.equal(acme?.group_id, "enterprise");
    assert.deepEqual(acme.plugins?.["tenant-context"], { ...Object(acme.plugins?.["tenant-context"]), tenant_id: "acme" });
    assert.deepEqual(
      acme.credentials.map(({ plugins }) => (plugins["key-auth"] as { key: string }).key),
      ["acme-key-1", "acme-key-2"],
    );
  });

  test("maps of nodes become lists, ids become text and defaults are there", () => {
    const { upstreams, routes } = strict(`
upstreams: [{ id: 1, type: roundrobin, nodes: { "127.0.0.1:8081": 1, "[::1]:82": 2, service: 3 } }]
routes: [{ id: 7, uri: /a, upstream_id: 1 }]
#END
`);
    assert.deepEqual(
      upstreams.get("1")?.nodes?.map(({ host, port, weight }) => [host, port, weight]),
      [
        ["127.0.0.1", 8081, 1],
        ["[::1]", 82, 2],
        ["service", undefined, 3],
      ],
    );
    assert.deepEqual([routes[0]?.id, routes[0]?.upstream_id, routes[0]?.priority, routes[0]?.status], ["7", "1", 0, 1]);
  });

  test("variables are filled in, and one that is not set refuses the document", () => {
    const text = 'routes: [{ id: "${{NAME}}", uri: "/${{PATH_:=free}}", plugins: { mocking: { response_example: "$env://TEXT" } } }]';
    const variables: Readonly<Record<string, string>> = { NAME: "one", TEXT: "hello" };
    const [route] = strict(text, (name) => variables[name]).routes;
    assert.deepEqual([route?.id, route?.uri], ["one", "/free"]);
    assert.deepEqual(route?.plugins?.["mocking"], { ...Object(route?.plugins?.["mocking"]), response_example: "hello" });
    assert.match(refusalOf(text), /NAME is not set/);
  });

  test("what cannot be served refuses the whole document, all of it said at once with its place", () => {
    const said = refusalOf(`
routes:
  - { id: a, uri: /a, upstream_id: nothing }
  - { id: a, uri: /b, plugins: { unheard-of: {} } }
  - { id: c, uri: /c, plugins: { limit-count: { count: 0, time_window: 1 } } }
  - { id: d, uri: /d, filter_func: "function(vars) return true end", plugins: {} }
tenants: { acme: { plan: none }, "Not A Tenant": {} }
consumers:
  - { username: one, plugins: { key-auth: { key: same } } }
  - { username: two, plugins: { key-auth: { key: same } } }
wat: 1
`);
    for (const part of [
      "routes[0] (id a): upstream_id nothing leads to nothing",
      "routes[1] (id a): unknown plugin [unheard-of]",
      'routes[2] (id c): failed to check the configuration of plugin limit-count err: property "count" validation failed',
      "routes[3] (id d): filter_func is Lua",
      "tenants.acme: there is no plan none",
      "tenants.Not A Tenant: is no tenant id",
      "has the same key-auth key as consumers[0] (id one)",
      "wat: is no part of a document",
    ]) {
      assert.ok(said.includes(part), `${part} is not in: ${said}`);
    }
  });

  test("two objects with one id, and two entries with one name, are refused", () => {
    assert.match(
      refusalOf("routes: [{id: 1, uri: /a, plugins: {}}, {id: 1, uri: /b, plugins: {}}]"),
      /routes\[1\] \(id 1\): has the id of another/,
    );
    assert.match(refusalOf("routes: []\nroutes: []"), /unique/i);
    assert.match(refusalOf("plans: {}\ntenants: {acme: {}, acme: {}}"), /unique: acme is there twice at line 2/i);
    assert.match(refusalOf("tenants: {acme: {plugins: {cors: {}, 'cors': {}}}}"), /unique: cors/i);
  });

  test("in the apisix profile what cannot be served is left out, the later of two counts, and each is a warning", () => {
    const { document, warnings, refused, doubts } = lenient(`
routes:
  - { id: a, uri: /a, plugins: {} }
  - { id: a, uri: /later, plugins: {} }
  - { id: b, uri: /b, plugins: { unheard-of: {} } }
consumers:
  - { username: one, plugins: { key-auth: { key: same } } }
  - { username: two, plugins: { key-auth: { key: same } } }
`);
    assert.deepEqual(
      document.routes.map(({ uri }) => uri),
      ["/later"],
    );
    assert.equal(refused.length, 1);
    assert.equal(doubts.length, 2);
    assert.ok(warnings.length >= 3, warnings.join("\n"));
  });

  test("`$tenant_id` as the key of a limiter is the tenant, and not the client's address as in APISIX", () => {
    const text = 'routes: [{id: 1, uri: /a, plugins: {limit-req: {rate: 500, burst: 50, key: "$tenant_id", key_type: var}}}]';
    const keyOf = ({ routes }: GatewayDocument): unknown => Reflect.get(Object(routes[0]?.plugins?.["limit-req"]) as object, "key");
    assert.equal(keyOf(strict(text)), "tenant_id");
    assert.equal(keyOf(lenient(text).document), "$tenant_id");
  });

  test("rate-limit is limit-count, and both on one object are refused", () => {
    const [route] = strict("routes: [{id: 1, uri: /a, plugins: {rate-limit: {count: 1, time_window: 60, key: remote_addr}}}]").routes;
    assert.deepEqual(Object.keys(route?.plugins ?? {}), ["limit-count"]);
    const both = "{rate-limit: {count: 1, time_window: 60}, limit-count: {count: 1, time_window: 60}}";
    assert.match(refusalOf(`routes: [{id: 1, uri: /a, plugins: ${both}}]`), /are the same plugin/);
  });
});

/** The examples of an enterprise platform behind APISIX, as they are written there. */
const AS_WRITTEN = {
  consumer: `
consumers:
  - username: tenant-a-api
    plugins:
      key-auth:
        key: "tenant-a-api-key"
      tenant-context:
        tenant_id: "tenant-a"
`,
  header: `
routes:
  - id: api_route_with_header_tenant
    uri: /api/*
    plugins:
      tenant-resolver:
        header_name: "X-Tenant-ID"
        required: true
        validate_against_jwt: true
        jwt_claim_name: "tenant_id"
`,
  path: `
routes:
  - id: api_route_with_path_tenant
    uri: /tenants/*
    plugins:
      tenant-resolver:
        path_pattern: "/tenants/{tenant_id}/*"
        validate_against_jwt: true
        jwt_claim_name: "tenant_id"
`,
  endpoint: `
routes:
  - id: tenant_a_api
    uri: /api/executive/*
    host: tenant-a.api.enterprise.com
    vars:
      - ["tenant_id", "==", "tenant-a"]
    upstream:
      type: roundrobin
      nodes:
        "tenant-a-executive-service:8080": 1
    plugins:
      tenant-context:
        tenant_id: "tenant-a"
        propagate_headers: true
`,
  chain: `
plugin_configs:
  - id: tenant_a_policies
    plugins:
      rate-limit:
        count: 1000
        time_window: 60
        rejected_code: 429
        key: remote_addr
      request-validation:
        body_schema:
          type: object
          required: ["action", "parameters"]
      response-rewrite:
        headers:
          set:
            X-Tenant: "tenant-a"

routes:
  - id: tenant_a_api
    uri: /api/executive/*
    plugin_config_id: tenant_a_policies
`,
  limits: `
plugins:
  limit-req:
    rate: 500  # requests per second
    burst: 50
    rejected_code: 429
    key: "$tenant_id"
    key_type: "var"
`,
} as const;

describe("the blocks of the enterprise platform load as they are written", () => {
  for (const [name, text] of Object.entries(AS_WRITTEN)) {
    test(name, () => {
      const { routes, consumers, global_rules: rules } = strict(text);
      assert.equal(routes.length + consumers.size + rules.size, 1);
    });
  }
});
