import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

const SHAPE = {
  properties: {
    name: { type: "string", example: "Bill & Co" },
    age: { type: "integer" },
    tags: { type: "array", items: { type: "string" } },
    inner: { type: "object", properties: { ok: { type: "boolean" }, share: { type: "number" } } },
  },
};

describe("mocking", () => {
  it("answers with the example in place of the upstream", async (t) => {
    const echo = await startEcho(t);
    const settings = { response_example: '{"who":"$arg_who"}', response_status: 201, response_headers: { "X-A": "$request_method" } };
    const { send } = await startPlane(t, routeWith(echo.node, { mocking: settings }));
    const reply = await send("/x?who=bill", { as: "acme" });
    assert.equal(reply.status, 201);
    assert.equal(reply.text, '{"who":"bill"}');
    assert.equal(reply.headers["content-type"], "application/json;charset=utf8");
    assert.equal(reply.headers["x-mock-by"], "Freehold");
    assert.equal(reply.headers["x-a"], "GET");
    assert.equal(echo.received.length, 0);
  });

  it("makes up values that fit a schema", async (t) => {
    const echo = await startEcho(t);
    const { send, apply } = await startPlane(t, routeWith(echo.node, { mocking: { response_schema: SHAPE, with_mock_header: false } }));
    const reply = await send("/x", { as: "acme" });
    const { name, age, tags, inner } = reply.json() as { name: string; age: number; tags: string[]; inner: { ok: boolean; share: number } };
    assert.equal(name, "Bill & Co");
    assert.ok(Number.isInteger(age));
    assert.ok(tags.length >= 1 && tags.every((tag) => typeof tag === "string"));
    assert.equal(typeof inner.ok, "boolean");
    assert.equal(typeof inner.share, "number");
    assert.equal(reply.headers["x-mock-by"], undefined);
    await apply(routeWith(echo.node, { mocking: { response_schema: SHAPE, content_type: "application/xml" } }));
    assert.match((await send("/x", { as: "acme" })).text, /^<data><name>Bill &amp; Co<\/name><age>\d+<\/age>(<tags>\w+<\/tags>)+<inner>/);
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("mocking", {}, /matches none of the required/);
    assertRefused("mocking", { response_example: "a", content_type: "image/png" }, /unsupported content type!/);
    assertRefused("mocking", { response_example: "a", content_type: "text/plain;\r\nx: 1" }, /invalid value character in header/);
    assertRefused("mocking", { response_example: "a", response_status: 101 }, /no status of a final answer/);
  });
});
