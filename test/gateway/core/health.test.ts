import assert from "node:assert/strict";
import { test } from "node:test";
import { startEcho, startPlane, type TestPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";

const ACTIVE = {
  http_path: "/status",
  healthy: { interval: 1, successes: 1 },
  unhealthy: { interval: 1, http_failures: 1, tcp_failures: 1 },
};
const APISIX = { profile: "apisix" } as const;

function healthOf(plane: TestPlane, port: number): string | undefined {
  const nodes = plane.plane.health().flatMap((upstream) => upstream.nodes);
  return nodes.find(({ address }) => address.endsWith(`:${port}`))?.health;
}

test("a node that fails its checks gets no requests until it passes them again", async (t) => {
  const [a, b] = [await startEcho(t), await startEcho(t)];
  let sick = true;
  a.answer = ({ target }, response) =>
    void response.writeHead(sick && target === "/status" ? 500 : 200, { "x-echo": String(a.port) }).end();
  const upstream = { type: "roundrobin", nodes: { [a.node]: 1, [b.node]: 1 }, checks: { active: ACTIVE } };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream }] }, APISIX);
  assert.equal(healthOf(plane, a.port), "healthy", "nothing is checked before the first request");
  await plane.send("/x");
  await until("the sick node is found", () => healthOf(plane, a.port) === "unhealthy");
  for (let i = 0; i < 4; i++) assert.equal((await plane.send("/x")).headers["x-echo"], String(b.port));
  sick = false;
  await until("the node is well again", () => healthOf(plane, a.port) === "healthy");
  const ports = new Set([(await plane.send("/x")).headers["x-echo"], (await plane.send("/x")).headers["x-echo"]]);
  assert.equal(ports.size, 2);
});

test("what requests come to counts too, and when every node is bad all are tried", async (t) => {
  const [a, b] = [await startEcho(t), await startEcho(t)];
  const passive = { unhealthy: { http_statuses: [500], http_failures: 2 }, healthy: { http_statuses: [200], successes: 1 } };
  // active checks that say nothing of their own: they ask once an hour
  const active = { healthy: { interval: 3600 }, unhealthy: { interval: 3600 } };
  const upstream = { type: "roundrobin", nodes: { [a.node]: 1, [b.node]: 1 }, checks: { active, passive } };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream }] }, APISIX);
  const failing = new Set([a.port]);
  for (const echo of [a, b]) {
    echo.answer = (_received, response) =>
      void response.writeHead(failing.has(echo.port) ? 500 : 200, { "x-echo": String(echo.port) }).end();
  }
  const answers = async (times: number): Promise<(string | string[] | undefined)[]> => {
    const ports = [];
    for (let i = 0; i < times; i++) ports.push((await plane.send("/x")).headers["x-echo"]);
    return ports;
  };
  await answers(4);
  assert.equal(healthOf(plane, a.port), "unhealthy");
  assert.deepEqual(new Set(await answers(4)), new Set([String(b.port)]));
  failing.add(b.port);
  await answers(2);
  assert.equal(healthOf(plane, b.port), "unhealthy");
  assert.equal(new Set(await answers(4)).size, 2, "all of them are tried");
  failing.clear();
  await answers(4);
  const recovered = [a, b].filter(({ port }) => healthOf(plane, port) === "healthy");
  assert.ok(recovered.length > 0, "a node that answers well is back; from then on the other is left alone");
});

test("a node that refuses connections is found by its requests, and checks end with the document", async (t) => {
  const [a, b] = [await startEcho(t), await startEcho(t)];
  await a.close();
  const passive = { unhealthy: { tcp_failures: 1 } };
  const upstream = { type: "roundrobin", nodes: { [a.node]: 1, [b.node]: 1 }, checks: { active: { ...ACTIVE, type: "tcp" }, passive } };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream }] }, APISIX);
  for (let i = 0; i < 2; i++) assert.equal((await plane.send("/x")).status, 200);
  assert.equal(healthOf(plane, a.port), "unhealthy");
  await plane.apply({ routes: [] });
  assert.deepEqual(plane.plane.health(), []);
});

test("what the requests of one tenant come to takes no node from another, nor do those of nobody", async (t) => {
  const [a, b] = [await startEcho(t), await startEcho(t)];
  const passive = {
    unhealthy: { http_statuses: [500], http_failures: 1, tcp_failures: 1 },
    healthy: { http_statuses: [200], successes: 1 },
  };
  const active = { http_path: "/status", healthy: { interval: 3600 }, unhealthy: { interval: 1, http_statuses: [500] } };
  let well = false;
  for (const echo of [a, b]) {
    echo.answer = ({ target }, response) => {
      const isBad = target === "/status" ? !well : echo === a && target.startsWith("/provoke");
      response.writeHead(isBad ? 500 : 200, { "x-echo": String(echo.port) }).end();
    };
  }
  const upstream = { type: "roundrobin", nodes: { [a.node]: 1, [b.node]: 1 }, checks: { active, passive } };
  for (const profile of ["strict", "apisix"] as const) {
    well = false;
    const open = { "tenant-resolver": { required: false } };
    const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", plugins: open, upstream }] }, { profile });
    const nodesOf = async (as: string | undefined): Promise<number> => {
      const ports = new Set();
      for (let i = 0; i < 4; i++) ports.add((await plane.send("/x", as === undefined ? {} : { as })).headers["x-echo"]);
      return ports.size;
    };
    const provoke = async (as: string | undefined): Promise<void> => {
      for (let i = 0; i < 2; i++) await plane.send("/provoke", as === undefined ? {} : { as });
    };
    await provoke("globex");
    assert.equal(await nodesOf("globex"), 1, `${profile}: it keeps away from what fails for it`);
    assert.equal(await nodesOf("acme"), 2, `${profile}: another tenant has both`);
    assert.equal(healthOf(plane, a.port), "healthy");
    if (profile === "strict") {
      await provoke(undefined);
      assert.equal(await nodesOf(undefined), 1);
      assert.equal(await nodesOf("acme"), 2, "nobody in particular takes nothing from a tenant");
    }
    well = true;
    await until(`${profile}: the checks give it back`, async () => (await nodesOf("globex")) === 2);
  }
});
