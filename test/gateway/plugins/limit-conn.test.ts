import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { type Echo, startEcho, startPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";
import { assertProblem, documentOf } from "./access-document.ts";

/** An upstream that keeps every answer back until it is asked for them. */
async function startHolding(t: TestContext): Promise<{ readonly echo: Echo; readonly held: ServerResponse[]; free(): void }> {
  const echo = await startEcho(t);
  const held: ServerResponse[] = [];
  echo.answer = (_received, response) => void held.push(response);
  return {
    echo,
    held,
    free: () => {
      for (const response of held.splice(0)) response.end("done");
    },
  };
}

describe("limit-conn", () => {
  it("one tenant's requests under way never take another's places, and a place is free when the answer is over", async (t) => {
    const { echo, held, free } = await startHolding(t);
    const plugins = { "limit-conn": { conn: 2, burst: 0, default_conn_delay: 0.01, key: "remote_addr" } };
    const { send } = await startPlane(t, documentOf(echo.node, plugins));
    const under = [send("/x", { as: "acme" }), send("/x", { as: "acme" })];
    await until("both are under way", () => held.length === 2);
    const refused = await send("/x", { as: "acme" });
    assertProblem(refused, 429, "concurrency_exceeded");
    assert.equal(refused.headers["retry-after"], "1");
    const other = send("/x", { as: "globex" });
    await until("the other tenant's is under way", () => held.length === 3);
    free();
    assert.deepEqual(await Promise.all([...under, other].map(async (reply) => (await reply).status)), [200, 200, 200]);
    const again = send("/x", { as: "acme" });
    await until("a place is free again", () => held.length === 1);
    free();
    assert.equal((await again).status, 200);
  });

  it("10,000 callers who go away in the middle leave no place taken", { timeout: 120_000 }, async (t) => {
    const { echo, held, free } = await startHolding(t);
    const AT_ONCE = 100;
    const plugins = { "limit-conn": { conn: AT_ONCE, burst: 0, default_conn_delay: 0.01, key: "remote_addr" } };
    const { port, records, send } = await startPlane(t, documentOf(echo.node, plugins));
    const head = "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer acme:user-1\r\n\r\n";
    for (let round = 1; round <= 100; round++) {
      const sockets = Array.from({ length: AT_ONCE }, () => connect({ host: "127.0.0.1", port }));
      for (const socket of sockets) socket.on("error", () => undefined).write(head);
      // some go before, some while the upstream works
      await until("most of a round are under way", () => held.length >= AT_ONCE / 2);
      for (const socket of sockets) socket.resetAndDestroy();
      await Promise.all(sockets.filter(({ closed }) => !closed).map((socket) => once(socket, "close")));
      await until(
        "the round is over",
        () => records.length >= round * AT_ONCE || records.filter(({ status }) => status === 429).length > 0,
      );
      held.splice(0);
    }
    assert.equal(records.filter(({ status }) => status === 429).length, 0);
    echo.answer = (_received, response) => void held.push(response);
    const all = Array.from({ length: AT_ONCE }, () => send("/x", { as: "acme" }));
    await until("every place can be taken", () => held.length === AT_ONCE);
    assert.equal((await send("/x", { as: "acme" })).status, 429);
    free();
    assert.ok((await Promise.all(all)).every(({ status }) => status === 200));
  });

  it("requests over conn and within the burst wait for one delay more each time conn is full", async (t) => {
    const { echo, held, free } = await startHolding(t);
    const plugins = { "limit-conn": { conn: 1, burst: 2, default_conn_delay: 0.02, key: "remote_addr" } };
    const { send } = await startPlane(t, documentOf(echo.node, plugins));
    const all = [send("/x", { as: "acme" }), send("/x", { as: "acme" }), send("/x", { as: "acme" })];
    await until("all three have waited long enough", () => held.length === 3);
    assert.equal((await send("/x", { as: "acme" })).status, 429);
    free();
    assert.ok((await Promise.all(all)).every(({ status }) => status === 200));
  });

  it("apisix: 503 with the page or the text; rules each take a place, and one that refuses gives the others back", async (t) => {
    const { echo, held, free } = await startHolding(t);
    const rules = [
      { conn: 9, burst: 0, key: "$remote_addr" },
      { conn: 1, burst: 0, key: "$http_user" },
    ];
    const settings = { default_conn_delay: 0.01, rules, rejected_msg: "busy" };
    const { send } = await startPlane(t, documentOf(echo.node, { "limit-conn": settings }), { profile: "apisix" });
    const user = "a";
    const first = send("/x", { headers: { user } });
    await until("it is under way", () => held.length === 1);
    for (let i = 0; i < 20; i++) {
      const refused = await send("/x", { headers: { user } });
      assert.deepEqual([refused.status, refused.text], [503, '{"error_msg":"busy"}\n']);
    }
    const other = send("/x", { headers: { user: "b" } });
    await until("the other is under way", () => held.length === 2);
    free();
    assert.deepEqual([(await first).status, (await other).status], [200, 200]);
  });

  it("wrong settings are refused", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const base = { burst: 0, default_conn_delay: 1, key: "remote_addr" };
    await assert.rejects(apply(documentOf("127.0.0.1:1", { "limit-conn": base })), /value should match only one schema/);
    await assert.rejects(apply(documentOf("127.0.0.1:1", { "limit-conn": { ...base, conn: "$arg_n" } })), /arg_n, which callers choose/);
  });
});
