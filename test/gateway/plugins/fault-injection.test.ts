import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PluginPorts } from "../../../src/gateway/proxy/plugin.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

describe("fault-injection", () => {
  it("answers with status, fields and body of the settings, and the upstream is not called", async (t) => {
    const echo = await startEcho(t);
    const abort = { http_status: 503, body: '{"path":"$uri"}', headers: { "X-Fault": "$arg_a", "X-Number": 2 } };
    const { send } = await startPlane(t, routeWith(echo.node, { "fault-injection": { abort } }));
    const reply = await send("/x?a=b", { as: "acme" });
    assert.equal(reply.status, 503);
    assert.equal(reply.text, '{"path":"/x"}');
    assert.equal(reply.headers["x-fault"], "b");
    assert.equal(reply.headers["x-number"], "2");
    assert.equal(echo.received.length, 0);
  });

  it("only where one of the conditions holds", async (t) => {
    const echo = await startEcho(t);
    const abort = {
      http_status: 403,
      vars: [
        [
          ["arg_a", "==", "1"],
          ["arg_b", "==", "1"],
        ],
        [["http_x_fail", "==", "yes"]],
      ],
    };
    const { send } = await startPlane(t, routeWith(echo.node, { "fault-injection": { abort } }));
    const statusOf = async (path: string, headers = {}): Promise<number> => (await send(path, { as: "acme", headers })).status;
    assert.equal(await statusOf("/x?a=1&b=1"), 403);
    assert.equal(await statusOf("/x?a=1"), 200);
    assert.equal(await statusOf("/x", { "x-fail": "yes" }), 403);
  });

  it("a share of the requests: each of the hundred throws of the dice is on its own side", async (t) => {
    const echo = await startEcho(t);
    let thrown = 0;
    const random: PluginPorts["random"] = {
      bytes(size) {
        const bytes = Buffer.alloc(size);
        if (size === 4) bytes.writeUInt32BE(thrown++ % 100);
        return bytes;
      },
    };
    const abort = { http_status: 500, percentage: 30 };
    const { send } = await startPlane(t, routeWith(echo.node, { "fault-injection": { abort } }), { profile: "apisix", ports: { random } });
    const replies = await Promise.all(Array.from({ length: 100 }, () => send("/x")));
    assert.equal(replies.filter(({ status }) => status === 500).length, 30);
  });

  it("a delay ends with its caller, and the upstream is called after it", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWith(echo.node, { "fault-injection": { delay: { duration: 0.01 } } }));
    assert.equal((await send("/x", { as: "acme" })).echoed().target, "/x");
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("fault-injection", {}, /expect object to have at least 1 properties/);
    assertRefused("fault-injection", { abort: { http_status: 100 } }, /expected 100 to be at least 200/);
    assertRefused("fault-injection", { abort: { http_status: 1000 } }, /to be at most 599/);
    assertRefused("fault-injection", { abort: { http_status: 500, vars: [["a", "=="]] } }, /rule should be wrapped inside brackets/);
    assertRefused("fault-injection", { abort: { http_status: 500, headers: { "X-A": "1\n2" } } }, /invalid value character in header/);
  });
});
