import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseGatewayDocument, readGatewayText } from "../../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";
import type { Profile } from "../../../src/gateway/proxy/plugin.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { routeWith } from "../plugins/content-document.ts";

const POISON = '{"isAdmin":true,"status":0,"upstream_id":"evil","toString":"x"}';
/** Names under which a careless merge finds the prototype of everything. */
const WAYS = [`"__proto__":${POISON}`, `"constructor":{"prototype":${POISON}}`, `"\\u005f_proto__":${POISON}`];

function assertClean(): void {
  assert.deepEqual(Object.keys(Object.prototype), []);
  for (const name of ["isAdmin", "status", "upstream_id"]) assert.equal(Reflect.get({}, name), undefined, name);
  assert.equal(typeof Reflect.get({}, "toString"), "function");
}

/** A document with this member in every object of it. */
function documents(member: string): readonly string[] {
  const node = '"nodes":{"127.0.0.1:1":1}';
  return [
    `{${member},"routes":[{"id":"1","uri":"/*","plugins":{}}]}`,
    `{"routes":[{${member},"id":"1","uri":"/*","plugins":{}}]}`,
    `{"routes":[{"id":"1","uri":"/*","plugins":{${member}}}]}`,
    `{"routes":[{"id":"1","uri":"/*","plugins":{"mocking":{${member},"response_example":"x"}}}]}`,
    `{"routes":[{"id":"1","uri":"/*","plugins":{"mocking":{"_meta":{${member}},"response_example":"x"}}}]}`,
    `{"routes":[{"id":"1","uri":"/*","labels":{${member}},"plugins":{}}]}`,
    `{"routes":[{"id":"1","uri":"/*","upstream":{${member},"type":"roundrobin",${node}}}]}`,
    `{"routes":[{"id":"1","uri":"/*","upstream":{"type":"roundrobin","nodes":{${member},"127.0.0.1:1":1}}}]}`,
    `{"plans":{${member},"p":{"weight":1}},"tenants":{"acme":{"plan":"p"}}}`,
    `{"plans":{"p":{"weight":1}},"tenants":{${member},"acme":{"plan":"p"}}}`,
    `{"tenants":{"acme":{${member}}}}`,
    `{"plugin_metadata":[{"id":"http-logger","log_format":{${member}}}]}`,
  ];
}

describe("a gateway document that reaches for the prototype of everything", () => {
  for (const profile of ["strict", "apisix"] satisfies Profile[])
    test(`changes nothing but itself: ${profile}`, () => {
      let taken = 0;
      for (const member of WAYS)
        for (const text of documents(member))
          for (const format of ["json", "yaml"] as const) {
            try {
              parseGatewayDocument(
                readGatewayText(text, format, () => undefined),
                { profile, plugins: PLUGINS },
              );
              taken++;
            } catch (error) {
              // refused: with a reason, not by breaking
              assert.match(String(Reflect.get(error as object, "code")), /^(invalid_|malformed)/, `${text}: ${String(error)}`); // whatever was thrown
            }
            assertClean();
          }
      assert.ok(taken > 0, "some are served, with the name as a name");
    });

  test("names an id, a consumer, a label like an inherited property, and that is a name as any other", async (t) => {
    const echo = await startEcho(t);
    const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    const plane = await startPlane(t, {
      routes: ["constructor", "toString", "hasOwnProperty"].map((id) => ({ id, uri: `/${id}`, labels: { [id]: "x" }, upstream })),
    });
    for (const id of ["constructor", "toString", "hasOwnProperty"]) assert.equal((await plane.send(`/${id}`, { as: "acme" })).status, 200);
    for (const id of ["valueOf", "__proto__", "isPrototypeOf"]) assert.equal((await plane.send(`/${id}`, { as: "acme" })).status, 404);
    await assert.rejects(plane.apply({ routes: [{ id: "1", uri: "/*", upstream_id: "constructor" }] }));
    await assert.rejects(plane.apply({ routes: [{ id: "1", uri: "/*", plugins: { constructor: {} } }] }), { code: "invalid_settings" });
  });
});

describe("a request that reaches for it", () => {
  test("finds nothing inherited under any name, and leaves nothing behind", async (t) => {
    const echo = await startEcho(t);
    const names = ["constructor", "__proto__", "toString", "hasOwnProperty"];
    const set = Object.fromEntries(
      names.flatMap((name) =>
        ["arg", "http", "cookie"].map((kind) => [`X-${kind}-${name.replaceAll("_", "")}`, `<\${${kind}_${name} ?? }>`]),
      ),
    );
    const plain = Object.fromEntries(names.map((name) => [`X-Plain-${name.replaceAll("_", "")}`, `<$${name}>`]));
    const plane = await startPlane(t, routeWith(echo.node, { "proxy-rewrite": { headers: { set: { ...set, ...plain } } } }));
    const { rawHeaders } = (await plane.send("/x?a=b", { as: "acme", headers: { cookie: "a=b" } })).echoed();
    assert.ok(!rawHeaders.some((text) => /native code|\[object|function/.test(text)), rawHeaders.join());
    const named = (await plane.send("/x?constructor=c", { as: "acme" })).echoed().headers;
    assert.equal(named["x-arg-constructor"], "<c>", "templates are filled in");
    const body = `{${WAYS.join()}}`;
    for (const type of ["application/json", "application/x-www-form-urlencoded", "text/plain"]) {
      const query = "__proto__[isAdmin]=true&constructor[prototype][isAdmin]=true&__proto__.isAdmin=true";
      const headers = { "content-type": type, cookie: "__proto__=x; constructor=y" };
      await plane.send(`/x?${query}`, { as: "acme", method: "POST", headers, body: type.endsWith("urlencoded") ? query : body });
      assertClean();
    }
  });

  test("does not get past a schema, and what it sends is not merged into anything", async (t) => {
    const echo = await startEcho(t);
    for (const profile of ["strict", "apisix"] satisfies Profile[]) {
      const schema = { type: "object", required: ["toString"], properties: { a: { type: "object", default: {} } } };
      const plane = await startPlane(t, routeWith(echo.node, { "request-validation": { body_schema: schema } }), { profile });
      const post = (body: string): ReturnType<typeof plane.send> =>
        plane.send("/x", { as: "acme", method: "POST", body, headers: { "content-type": "application/json" } });
      assert.equal((await post("{}")).status, 400, "an inherited property is none");
      for (const member of WAYS) await post(`{${member},"toString":1}`);
      assertClean();
      assert.equal((await post('{"toString":1}')).echoed().body, '{"toString":1,"a":{}}');
    }
  });
});
