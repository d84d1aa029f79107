import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { documentOf } from "./access-document.ts";

describe("traffic-split", () => {
  it("calls that fit a rule go to its upstreams by weight, the others to the route's own", async (t) => {
    const [own, b, c] = [await startEcho(t), await startEcho(t), await startEcho(t)];
    const shares = [
      { upstream_id: "b", weight: 3 },
      { upstream: { nodes: { [c.node]: 1 } }, weight: 2 },
      { weight: 1 },
      { upstream_id: "b", weight: 0 },
    ];
    const rules = [{ match: [{ vars: [["http_x", "==", "1"]] }, { vars: [["arg_y", "~~", "^a"]] }], weighted_upstreams: shares }];
    const document = documentOf(own.node, { "traffic-split": { rules } }, { upstreams: [{ id: "b", nodes: { [b.node]: 1 } }] });
    const { send } = await startPlane(t, document);
    const count = async (path: string, headers: Record<string, string>): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (let i = 0; i < 12; i++) {
        const port = String((await send(path, { as: "acme", headers })).headers["x-echo"]);
        counts[port] = (counts[port] ?? 0) + 1;
      }
      return counts;
    };
    const split = { [own.port]: 2, [b.port]: 6, [c.port]: 4 };
    assert.deepEqual(await count("/x", { x: "1" }), split);
    assert.deepEqual(await count("/x?y=abc", {}), split);
    assert.deepEqual(await count("/x", { x: "2" }), { [own.port]: 12 });
  });

  it("an upstream that there is not is never another one", async (t) => {
    const own = await startEcho(t);
    const rules = [{ weighted_upstreams: [{ upstream_id: "missing" }, { weight: 1 }] }];
    const document = documentOf(own.node, { "traffic-split": { rules } });
    const { send } = await startPlane(t, document, { profile: "apisix" });
    for (let i = 0; i < 3; i++) {
      const reply = await send("/x");
      assert.deepEqual([reply.status, reply.text], [500, "failed to fetch upstream info by upstream id: missing"]);
    }
    assert.equal(own.received.length, 0);
    await assert.rejects(startPlane(t, document), /upstream_id missing leads to nothing/);
  });

  it("wrong settings are refused with the dialect's words", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const rules = [{ match: [{ vars: [["arg_name", 123, "jack"]] }], weighted_upstreams: [{ weight: 1 }] }];
    const wrong = apply(documentOf("127.0.0.1:1", { "traffic-split": { rules } }));
    await assert.rejects(wrong, /failed to validate the 'vars' expression: invalid operator '123'/);
  });
});
