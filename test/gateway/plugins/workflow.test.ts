import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { documentOf, statusesOf } from "./access-document.ts";

describe("workflow", () => {
  it("the first rule that fits ends the request or limits it, in place of the route's own limit", async (t) => {
    const echo = await startEcho(t);
    const limit = (count: number): unknown[] => ["limit-count", { count, time_window: 60, key: "tenant_id" }];
    const rules = [
      { case: [["uri", "==", "/closed"]], actions: [["return", { code: 403 }]] },
      { case: [["uri", "==", "/a"]], actions: [limit(2)] },
      { case: [["uri", "==", "/b"]], actions: [limit(2)] },
    ];
    const plugins = { workflow: { rules }, "limit-count": { count: 1, time_window: 60, key: "tenant_id" } };
    const { send } = await startPlane(t, documentOf(echo.node, plugins));
    const as = "acme";
    const closed = await send("/closed", { as });
    assert.deepEqual([closed.status, closed.text], [403, '{"error_msg":"rejected by workflow"}\n']);
    assert.equal(echo.received.length, 0);
    assert.deepEqual(await statusesOf(3, () => send("/a", { as })), [200, 200, 429]);
    assert.deepEqual(await statusesOf(3, () => send("/b", { as })), [200, 200, 429]);
    assert.deepEqual(await statusesOf(2, () => send("/other", { as })), [200, 429]);
    assert.deepEqual(await statusesOf(3, () => send("/a", { as: "globex" })), [200, 200, 429]);
    assert.equal((await send("/a", { as })).headers["x-ratelimit-limit"], "2");
  });

  it("wrong settings are refused with the dialect's words", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const wrong = (rule: unknown): Promise<unknown> => apply(documentOf("127.0.0.1:1", { workflow: { rules: [rule] } }));
    await assert.rejects(wrong({ actions: [["fly", {}]] }), /unsupported action: fly/);
    await assert.rejects(wrong({ actions: [["return", {}]] }), /failed to validate the 'return' action: property "code" is required/);
    await assert.rejects(wrong({ actions: [["limit-count", { count: 1 }]] }), /failed to validate the 'limit-count' action/);
    const grouped = { count: 1, time_window: 1, group: "g" };
    await assert.rejects(wrong({ actions: [["limit-count", grouped]] }), /group is not supported/);
  });
});
