import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused } from "../plugins/content-document.ts";

const JSON_TYPE = { "content-type": "application/json" };

/** A document whose one route is chosen by a condition. */
function routeWhere(node: string, vars: readonly unknown[]): object {
  return { routes: [{ id: "1", uri: "/*", vars, upstream: { type: "roundrobin", nodes: { [node]: 1 } } }] };
}

describe("conditions on lists", () => {
  it("has looks through all values that a path into the body leads to, and a scalar has nothing", async (t) => {
    const echo = await startEcho(t);
    const { send, apply } = await startPlane(t, routeWhere(echo.node, [["post_arg.messages[*].parts[*].type", "has", "image"]]));
    const status = async (body: unknown): Promise<number> =>
      (await send("/x", { as: "acme", method: "POST", headers: JSON_TYPE, body: JSON.stringify(body) })).status;
    const parts = (...types: string[]): object => ({ messages: [{ parts: [] }, { parts: types.map((type) => ({ type })) }] });
    assert.equal(await status(parts("text", "image")), 200);
    assert.equal(await status(parts("text")), 404);
    assert.equal(await status({ messages: "image" }), 404);
    await apply(routeWhere(echo.node, [["post_arg.tags", "!", "has", "old"]]));
    assert.equal(await status({ tags: ["new"] }), 200);
    assert.equal(await status({ tags: ["old"] }), 404);
    assert.equal(await status({ tags: "old" }), 200);
    await apply(routeWhere(echo.node, [["post_arg.a..id", "has", 7]]));
    assert.equal(await status({ a: { b: [{ c: { id: 7 } }] } }), 200);
    assert.equal(await status({ b: { id: 7 } }), 404);
  });

  it("a path that is none is refused", () => {
    const settings = { abort: { http_status: 400, vars: [[["post_arg.messages[.role", "has", "x"]]] } };
    assertRefused("fault-injection", settings, /invalid expression/);
  });
});

describe("the operation of a GraphQL document", () => {
  const VARS = [
    ["graphql_operation", "==", "query"],
    ["graphql_name", "==", "repo"],
    ["graphql_root_fields", "has", "owner"],
  ];

  it("is known by kind, name and the fields at its root, wherever the document stands", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWhere(echo.node, VARS));
    const post = async (body: string, headers: Record<string, string> = {}): Promise<number> =>
      (await send("/x", { as: "acme", method: "POST", headers, body })).status;
    const documents: readonly (readonly [string, number])[] = [
      ["query repo { owner { name } }", 200],
      ['query repo($n: Int = 1, $s: String = "}") @live(if: true) { other(a: {b: [1]}) { x } it: owner(first: $n) { name } }', 200],
      ["# a note { owner }\nquery repo { owner }\nmutation m { owner }", 200],
      ['query repo { a(text: """ } " """) owner }', 200],
      ["query repo { owner: other { name } }", 404],
      ["query repo { other { owner } ...owner }", 404],
      ["query other { owner }", 404],
      ["mutation repo { owner }", 404],
      ["{ owner }", 404],
      ["query repo { owner", 404],
      ["query repo { owner } }", 404],
      ["owner", 404],
      ["", 404],
    ];
    for (const [text, status] of documents) {
      assert.equal(await post(text), status, text);
      assert.equal(await post(JSON.stringify({ query: text }), JSON_TYPE), status, `${text} as JSON`);
      assert.equal((await send(`/x?query=${encodeURIComponent(text)}`, { as: "acme" })).status, status, `${text} in the query`);
    }
    assert.equal(await post('{"query":7}', JSON_TYPE), 404);
    assert.equal(await post("{", JSON_TYPE), 404);
  });

  it("a hostile document costs no more than its length", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWhere(echo.node, VARS));
    const size = 500_000;
    for (const text of ["{".repeat(size), '"""\\'.repeat(size / 4), "#".repeat(size), '"'.repeat(size), "query repo (".repeat(size / 12)]) {
      assert.equal((await send("/x", { as: "acme", method: "POST", body: text })).status, 404, text.slice(0, 12));
    }
  });
});
