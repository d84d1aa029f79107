import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

const FORMS = {
  uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  uuidv7: /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  nanoid: /^[\w-]{21}$/,
  ksuid: /^[0-9A-Za-z]{27}$/,
  range_id: /^[a-zA-Z0-9]{16}$/,
};

describe("request-id", () => {
  it("upstream and caller see the same id, in each form, and never one twice", async (t) => {
    const echo = await startEcho(t);
    for (const [algorithm, form] of Object.entries(FORMS)) {
      const { send } = await startPlane(t, routeWith(echo.node, { "request-id": { algorithm, header_name: "X-Call" } }));
      const replies = await Promise.all(Array.from({ length: 20 }, () => send("/x", { as: "acme" })));
      for (const reply of replies) {
        assert.match(String(reply.headers["x-call"]), form, algorithm);
        assert.equal(reply.echoed().headers["x-call"], reply.headers["x-call"]);
      }
      assert.equal(new Set(replies.map(({ headers }) => headers["x-call"])).size, 20);
    }
  });

  it("keeps an id of the caller unless it could be something else than an id", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWith(echo.node, { "request-id": { header_name: "X-Call" } }));
    const idFor = async (id: string): Promise<unknown> => (await send("/x", { as: "acme", headers: { "x-call": id } })).headers["x-call"];
    assert.equal(await idFor("job-17"), "job-17");
    for (const id of ["a b", "<script>", "x".repeat(129), ""]) assert.match(String(await idFor(id)), FORMS.uuid);
  });

  it("X-Request-Id is the platform's own in the strict profile, the caller's in the other", async (t) => {
    const echo = await startEcho(t);
    const document = routeWith(echo.node, { "request-id": {} });
    const strict = await startPlane(t, document);
    const lenient = await startPlane(t, document, { profile: "apisix" });
    const headers = { "x-request-id": "forged" };
    const own = await strict.send("/x", { as: "acme", headers });
    assert.match(String(own.headers["x-request-id"]), FORMS.uuidv7);
    assert.equal(own.echoed().headers["x-request-id"], own.headers["x-request-id"]);
    assert.equal((await lenient.send("/x", { headers })).headers["x-request-id"], "forged");
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("request-id", { algorithm: "uuidv5" }, /property "algorithm" validation failed: matches none of the enum values/);
    assertRefused("request-id", { header_name: "X-A\r\nX-B" }, /invalid field character in header/);
    assertRefused("request-id", { algorithm: "range_id", range_id: { length: 5 } }, /expected 5 to be at least 6/);
    assertRefused("request-id", { algorithm: "range_id", range_id: { length: 1e9 } }, /to be at most 256/);
  });
});
