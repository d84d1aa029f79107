import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseGatewayDocument } from "../../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";
import type { Profile } from "../../../src/gateway/proxy/plugin.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { routeWith } from "../plugins/content-document.ts";

const upstream = (node: string, weight = 1, more: object = {}): object => ({ type: "roundrobin", nodes: { [node]: weight }, ...more });
const parse = (document: object, profile: Profile): ReturnType<typeof parseGatewayDocument> =>
  parseGatewayDocument(document, { profile, plugins: PLUGINS });

describe("the apisix profile does as the dialect's own gateway, where strict does not", () => {
  it("a single node is taken whatever its weight", async (t) => {
    const echo = await startEcho(t);
    const document = { routes: [{ id: "1", uri: "/*", upstream: upstream(echo.node, 0) }] };
    const lenient = await startPlane(t, document, { profile: "apisix" });
    assert.equal((await lenient.send("/x")).status, 200);
    const strict = await startPlane(t, document);
    assert.equal((await strict.send("/x", { as: "acme" })).status, 503);
  });

  it("an upstream inside traffic-split shows the name of its node without the port", async (t) => {
    const echo = await startEcho(t);
    const split = { rules: [{ weighted_upstreams: [{ upstream: upstream(`localhost:${echo.port}`, 1, { pass_host: "node" }) }] }] };
    const document = routeWith("127.0.0.1:1", { "traffic-split": split });
    const lenient = await startPlane(t, document, { profile: "apisix" });
    assert.equal((await lenient.send("/x")).echoed().headers["host"], "localhost");
    const strict = await startPlane(t, document);
    assert.equal((await strict.send("/x", { as: "acme" })).echoed().headers["host"], `localhost:${echo.port}`);
  });

  it("response-rewrite drops what is over its bound; strict passes such an answer on whole", async (t) => {
    const echo = await startEcho(t);
    echo.answer = (_received, response) => {
      response.write("hello ");
      response.end("world");
    };
    const filters = [{ regex: "hello", replace: "HELLO" }];
    const document = routeWith(echo.node, { "response-rewrite": { max_resp_body_size: 8, filters } });
    const lenient = await startPlane(t, document, { profile: "apisix" });
    assert.equal((await lenient.send("/x")).text, "HELLO wo");
    const strict = await startPlane(t, document);
    assert.equal((await strict.send("/x", { as: "acme" })).text, "hello world");
  });

  it("a plugin with nothing behind its name has no settings of its own", () => {
    const document = routeWith("127.0.0.1:1", { "request-id": null });
    assert.equal(parse(document, "apisix").document.routes.length, 1);
    assert.throws(() => parse(document, "strict"), /invalid plugin conf/);
  });

  it("a reference without value is taken as it stands, but never as what proves somebody", () => {
    const key = "$env://NOT_THERE";
    const consumers = [{ username: "jack", plugins: { "key-auth": { key } } }];
    const document = { ...routeWith("127.0.0.1:1", { "limit-count": { count: 1, time_window: 60, key } }), consumers };
    const { document: read, warnings } = parse(document, "apisix");
    assert.equal(read.routes.length, 1);
    assert.equal(read.consumers.size, 0);
    assert.equal(warnings.filter((text) => text.includes("cannot be resolved")).length, 2);
    assert.throws(() => parse(document, "strict"), /cannot be resolved/);
  });
});

describe("settings of limit-count that share a counter by the name of a group", () => {
  const route = (id: string, count: number): object => ({
    id,
    uri: `/${id}`,
    upstream: upstream("127.0.0.1:1"),
    plugins: { "limit-count": { count, time_window: 60, key: "tenant_id", group: "g" } },
  });

  it("have to be the same wherever they stand, else the later is left out, and refuses the document in strict", () => {
    const { document, refused } = parse({ routes: [route("a", 5), route("b", 6), route("c", 5)] }, "apisix");
    assert.deepEqual(
      document.routes.map(({ id }) => id),
      ["a", "c"],
    );
    assert.match(refused.join(), /group conf mismatched/);
    assert.throws(() => parse({ routes: [route("a", 5), route("b", 6)] }, "strict"), /group conf mismatched/);
    assert.equal(parse({ routes: [route("a", 5), route("b", 5)] }, "strict").document.routes.length, 2);
  });
});
