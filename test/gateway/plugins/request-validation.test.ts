import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { startEcho, startPlane, type TestPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

const BODY = {
  type: "object",
  required: ["model"],
  properties: { model: { type: "string", pattern: "^[a-z-]+$" }, max_tokens: { type: "integer", maximum: 4096, default: 100 } },
};

function post(
  { send }: TestPlane,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): ReturnType<TestPlane["send"]> {
  return send("/x", { as: "acme", method: "POST", body, headers: { "content-type": "application/json", ...headers } });
}

describe("request-validation", () => {
  it("what does not fit is refused with what is wrong; what fits goes on with the schema's defaults", async (t) => {
    const echo = await startEcho(t);
    const plane = await startPlane(t, routeWith(echo.node, { "request-validation": { body_schema: BODY } }));
    const refused = async (body: string, message: string): Promise<void> => {
      const reply = await post(plane, body);
      assert.equal(reply.status, 400);
      assert.equal(reply.text, message);
    };
    await refused("{}", 'property "model" is required');
    await refused('{"model":"A"}', 'property "model" validation failed: failed to match pattern "^[a-z-]+$" with "A"');
    await refused('{"model":"a","max_tokens":1e9}', 'property "max_tokens" validation failed: expected 1000000000 to be at most 4096');
    assert.equal(echo.received.length, 0);
    const { body, headers } = (await post(plane, ' { "model" : "a" } ')).echoed();
    assert.equal(body, '{"model":"a","max_tokens":100}');
    assert.equal(headers["content-length"], String(body.length));
  });

  it("no body passes that two readers could read differently", async (t) => {
    const echo = await startEcho(t);
    const plane = await startPlane(t, routeWith(echo.node, { "request-validation": { body_schema: { type: "object" } } }));
    const hostile = [
      '{"a":1,"a":2}',
      '{"a":1,"\\u0061":2}',
      '{"__proto__":{"isAdmin":true}}',
      `${'{"a":'.repeat(100)}1${"}".repeat(100)}`,
      '{"a":1e400}',
      Buffer.from('{"a":"\xff"}', "latin1"),
      gzipSync('{"a":1}'),
      "",
      "{",
    ];
    for (const body of hostile) assert.equal((await post(plane, body)).status, 400, String(body).slice(0, 40));
    assert.equal(echo.received.length, 0);
    assert.equal(Reflect.get({}, "isAdmin"), undefined);
  });

  it("the apisix profile takes the last of a name, and nobody behind it can take the first", async (t) => {
    const echo = await startEcho(t);
    const plane = await startPlane(t, routeWith(echo.node, { "request-validation": { body_schema: { type: "object" } } }), {
      profile: "apisix",
    });
    assert.equal((await post(plane, '{"a":1,"a":2}')).echoed().body, '{"a":2}');
    const deep = `${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`;
    assert.equal((await post(plane, deep)).status, 400);
    assert.equal((await post(plane, '{"a":3}')).echoed().body, '{"a":3}');
  });

  it("checks forms, and header fields with a list where one came twice", async (t) => {
    const echo = await startEcho(t);
    const header = { type: "object", required: ["x-a"], properties: { "x-a": { type: "string", enum: ["1", "2"] } } };
    const settings = {
      header_schema: header,
      body_schema: { type: "object", required: ["model"] },
      rejected_code: 422,
      rejected_msg: "no",
    };
    const plane = await startPlane(t, routeWith(echo.node, { "request-validation": settings }));
    const form = (body: string, headers: Readonly<Record<string, string | readonly string[]>>): ReturnType<TestPlane["send"]> =>
      plane.send("/x", { as: "acme", method: "POST", body, headers: { "content-type": "application/x-www-form-urlencoded", ...headers } });
    assert.equal((await form("model=a+b&x=1", { "x-a": "1" })).echoed().body, "model=a+b&x=1");
    for (const [body, value] of [
      ["x=1", "1"],
      ["model=a", "3"],
      ["model=a", ["1", "2"]],
      [`model=a&${"b=1&".repeat(1001)}`, "1"],
    ] as const) {
      const reply = await form(body, { "x-a": value });
      assert.equal(reply.status, 422);
      assert.equal(reply.text, "no");
    }
  });

  it("a body over the bound is refused", async (t) => {
    const echo = await startEcho(t);
    const settings = { body_schema: { type: "object" }, max_req_body_size: 16 };
    const plane = await startPlane(t, routeWith(echo.node, { "request-validation": settings }));
    assert.equal((await post(plane, '{"a":"12345678"}')).status, 200);
    assert.equal((await post(plane, '{"a":"123456789"}')).status, 400);
  });

  it("no pattern of a schema blocks the gateway: each is refused when it is saved or runs in linear time", async (t) => {
    const echo = await startEcho(t);
    const text = readFileSync(new URL("../../vectors/redos-patterns.json", import.meta.url), "utf8");
    const { vectors } = JSON.parse(text) as { readonly vectors: readonly { readonly re: string; readonly input: string }[] };
    const plane = await startPlane(t, routeWith(echo.node, {}));
    let taken = 0;
    for (const { re, input } of vectors) {
      const settings = { max_req_body_size: 67_108_864, body_schema: { properties: { a: { type: "string", pattern: re } } } };
      const isTaken = await plane.apply(routeWith(echo.node, { "request-validation": settings })).then(
        () => true,
        () => false,
      );
      if (!isTaken) continue;
      taken++;
      const reply = await post(plane, JSON.stringify({ a: input.repeat(100) }));
      assert.ok(reply.status === 200 || reply.status === 400, re);
    }
    assert.ok(taken > vectors.length / 2, `${taken} of ${vectors.length} patterns were taken`);
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("request-validation", {}, /matches none of the required/);
    assertRefused("request-validation", { body_schema: { type: "what" } }, /unknown type|what/);
    assertRefused("request-validation", { body_schema: { pattern: "(?=a)" } }, /cannot be used/);
    assertRefused("request-validation", { body_schema: { anyOf: [{ $ref: "#" }] } }, /refers to itself/);
    assertRefused("request-validation", { body_schema: {}, rejected_code: 100 }, /expected 100 to be at least 200/);
  });
});
