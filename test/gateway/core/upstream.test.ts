import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { type Echo, type Ending, startEcho, startPlane, type TestPlane } from "../../support/data-plane.ts";
import { tenantOf } from "../../support/tenants.ts";

const APISIX = { profile: "apisix" } as const;

async function echoes(t: Ending, count: number): Promise<readonly Echo[]> {
  return await Promise.all(Array.from({ length: count }, () => startEcho(t)));
}

/** The ports that answered, in order. */
async function answeredBy(plane: TestPlane, requests: number, path = "/x", headers: Record<string, string> = {}): Promise<number[]> {
  const ports: number[] = [];
  for (let i = 0; i < requests; i++) ports.push(Number((await plane.send(path, { headers })).headers["x-echo"]));
  return ports;
}

function times<T>(values: readonly T[], value: T): number {
  return values.filter((each) => each === value).length;
}

/** An address that takes connections and never says anything. */
async function startSilent(t: Ending): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address);
  return `127.0.0.1:${address.port}`;
}

test("roundrobin keeps to the weights exactly, and a node of weight 0 gets nothing", async (t) => {
  const [a, b, c] = await echoes(t, 3);
  assert.ok(a && b && c);
  const nodes = { [a.node]: 3, [b.node]: 1, [c.node]: 0 };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes } }] }, APISIX);
  const ports = await answeredBy(plane, 12);
  assert.deepEqual([times(ports, a.port), times(ports, b.port), times(ports, c.port)], [9, 3, 0]);
});

test("chash gives one key one node, whatever it is made of, and takes the next on the ring when that is gone", async (t) => {
  const all = await echoes(t, 4);
  const nodes = Object.fromEntries(all.map(({ node }) => [node, 1]));
  const chash = (settings: object): object => ({ type: "chash", nodes, ...settings });
  const plane = await startPlane(
    t,
    {
      routes: [
        { id: "var", uri: "/var", upstream: chash({ key: "arg_u" }) },
        { id: "header", uri: "/header", upstream: chash({ hash_on: "header", key: "x-user" }) },
        { id: "cookie", uri: "/cookie", upstream: chash({ hash_on: "cookie", key: "user" }) },
        { id: "both", uri: "/both", upstream: chash({ hash_on: "vars_combinations", key: "$arg_u-$http_x_user" }) },
      ],
    },
    APISIX,
  );
  const places = new Set<number>();
  for (let user = 0; user < 20; user++) {
    const headers = { "x-user": `u${user}`, cookie: `a=1; user=u${user}` };
    for (const path of ["/header", "/cookie", `/var?u=${user}`, `/both?u=${user}`]) {
      const ports = new Set(await answeredBy(plane, 3, path, headers));
      assert.equal(ports.size, 1, path);
      for (const port of ports) places.add(port);
    }
  }
  assert.equal(places.size, 4, "20 users are spread over all nodes");
  // without a value the caller's address is the key
  assert.equal(new Set(await answeredBy(plane, 5, "/header")).size, 1);
  const [before] = await answeredBy(plane, 1, "/var?u=7");
  await all.find(({ port }) => port === before)?.close();
  const after = new Set(await answeredBy(plane, 3, "/var?u=7"));
  assert.equal(after.size, 1);
  assert.ok(before !== undefined && !after.has(before));
});

test("least_conn goes where less is under way", async (t) => {
  const [a, b] = await echoes(t, 2);
  assert.ok(a && b);
  const nodes = { [a.node]: 1, [b.node]: 1 };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "least_conn", nodes } }] }, APISIX);
  const held: (() => void)[] = [];
  const arrived = Promise.withResolvers<void>();
  a.answer = (_received, response) => {
    held.push(() => response.end());
    arrived.resolve();
  };
  const first = plane.send("/held");
  await arrived.promise;
  assert.deepEqual(await answeredBy(plane, 4), [b.port, b.port, b.port, b.port]);
  for (const answer of held) answer();
  assert.equal((await first).status, 200);
});

test("nodes of a lower priority get nothing as long as one of a higher is there", async (t) => {
  const [high, low] = await echoes(t, 2);
  assert.ok(high && low);
  const nodes = [
    { host: "127.0.0.1", port: high.port, weight: 1, priority: 1 },
    { host: "127.0.0.1", port: low.port, weight: 1, priority: 0 },
  ];
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes } }] }, APISIX);
  assert.deepEqual(await answeredBy(plane, 3), [high.port, high.port, high.port]);
  await high.close();
  assert.deepEqual(await answeredBy(plane, 3), [low.port, low.port, low.port]);
});

test("a try that failed goes to another node, never the same; an answered status is an answer", async (t) => {
  const [alive, ...dead] = await echoes(t, 3);
  assert.ok(alive);
  for (const echo of dead) await echo.close();
  const nodes = Object.fromEntries([alive, ...dead].map(({ node }) => [node, 1]));
  const plane = await startPlane(
    t,
    {
      routes: [
        { id: "1", uri: "/all", upstream: { type: "roundrobin", nodes } },
        { id: "2", uri: "/dead", upstream: { type: "roundrobin", nodes: Object.fromEntries(dead.map(({ node }) => [node, 1])) } },
        {
          id: "3",
          uri: "/once",
          upstream: { type: "roundrobin", retries: 0, nodes: Object.fromEntries(dead.map(({ node }) => [node, 1])) },
        },
      ],
    },
    APISIX,
  );
  for (let i = 0; i < 6; i++) assert.equal((await plane.send("/all", { method: "POST", body: "kept" })).echoed().body, "kept");
  const failed = await plane.send("/dead");
  assert.deepEqual([failed.status, failed.headers["x-apisix-upstream-status"]], [502, "502, 502"]);
  assert.match(failed.text, /<h1>502 Bad Gateway<\/h1>/);
  assert.equal((await plane.send("/once")).headers["x-apisix-upstream-status"], "502");
  let asked = 0;
  alive.answer = (_received, response) => {
    asked++;
    response.writeHead(503).end("busy");
  };
  const busy = await plane.send("/all");
  assert.deepEqual([busy.status, busy.text, asked], [503, "busy", 1]);
});

test("a request that an upstream may have acted on is not sent again unless that changes nothing", async (t) => {
  const [a, b] = await echoes(t, 2);
  assert.ok(a && b);
  for (const echo of [a, b]) echo.answer = (_received, response) => void response.destroy();
  const nodes = { [a.node]: 1, [b.node]: 1 };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes } }] }, APISIX);
  assert.equal((await plane.send("/x", { method: "POST", body: "pay" })).status, 502);
  assert.equal(a.received.length + b.received.length, 1);
  assert.equal((await plane.send("/x")).status, 502);
  assert.equal(a.received.length + b.received.length, 3);
});

test("retries are a part of what a tenant asks for, and one tenant's do not use up another's", async (t) => {
  const [a, b] = await echoes(t, 2);
  assert.ok(a && b);
  for (const echo of [a, b]) echo.answer = (_received, response) => void response.destroy();
  const nodes = { [a.node]: 1, [b.node]: 1 };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes } }] });
  const requests = 100;
  for (let i = 0; i < requests; i++) assert.equal((await plane.send("/x", { as: "acme" })).status, 502);
  const tries = a.received.length + b.received.length;
  assert.ok(tries > requests, "there are retries");
  assert.ok(tries <= requests * 1.2 + 5, `${tries} tries for ${requests} requests`);
  await plane.send("/x", { as: "globex" });
  assert.equal(a.received.length + b.received.length, tries + 2, "globex still has its own");
});

test("time is bounded by the route over the upstream, and running out of it is 504", async (t) => {
  const silent = await startSilent(t);
  const timeout = { connect: 5, send: 5, read: 0.2 };
  const plane = await startPlane(t, {
    routes: [
      { id: "1", uri: "/upstream", upstream: { type: "roundrobin", nodes: { [silent]: 1 }, timeout } },
      { id: "2", uri: "/route", timeout, upstream: { type: "roundrobin", nodes: { [silent]: 1 }, timeout: { ...timeout, read: 60 } } },
    ],
  });
  for (const path of ["/upstream", "/route"]) {
    const reply = await plane.send(path, { as: "acme", method: "POST", body: "x" });
    assert.deepEqual([reply.status, reply.json()["code"]], [504, "upstream_timeout"]);
  }
});

test("a route without anything to forward to says so", async (t) => {
  const echo = await startEcho(t);
  const routes = [
    { id: "none", uri: "/none", plugins: {} },
    { id: "empty", uri: "/empty", upstream: { type: "roundrobin", nodes: { [echo.node]: 0 } } },
    { id: "name", uri: "/name", upstream: { type: "roundrobin", nodes: { "nowhere.invalid:80": 1 } } },
  ];
  const plane = await startPlane(t, { routes }, APISIX);
  // a single node is taken there whatever its weight
  for (const { uri } of routes) assert.equal((await plane.send(uri)).status, uri === "/empty" ? 200 : 503, uri);
  const strict = await startPlane(t, { routes });
  for (const { uri } of routes) {
    const reply = await strict.send(uri, { as: "acme" });
    assert.deepEqual([reply.status, reply.json()["code"]], [503, "dependency_unavailable"]);
  }
});

test("the upstream hears the host that its settings say, and who called from where", async (t) => {
  const echo = await startEcho(t);
  const nodes = { [echo.node]: 1 };
  const routes = [
    { id: "pass", uri: "/pass", upstream: { type: "roundrobin", nodes } },
    { id: "node", uri: "/node", upstream: { type: "roundrobin", nodes, pass_host: "node" } },
    { id: "rewrite", uri: "/rewrite", upstream: { type: "roundrobin", nodes, pass_host: "rewrite", upstream_host: "inner.test" } },
    { id: "name", uri: "/name", upstream: { type: "roundrobin", nodes: { [`localhost:${echo.port}`]: 1 }, pass_host: "node" } },
  ];
  const plane = await startPlane(t, { routes }, { trustedAddresses: ["127.0.0.2"] });
  const host = "api.example.com:8443";
  for (const [path, expected] of [
    ["/pass", host],
    ["/node", echo.node],
    ["/rewrite", "inner.test"],
    ["/name", `localhost:${echo.port}`],
  ]) {
    assert.equal((await plane.send(path ?? "", { as: "acme", headers: { host } })).echoed().headers.host, expected);
  }
  const spoofed = { "x-forwarded-for": "9.9.9.9", "x-forwarded-proto": "https", "x-real-ip": "9.9.9.9", forwarded: "for=9.9.9.9" };
  const plain = (await plane.send("/pass", { as: "acme", headers: { ...spoofed, host } })).echoed().headers;
  assert.equal(plain["x-forwarded-for"], "127.0.0.1");
  assert.equal(plain["x-real-ip"], "127.0.0.1");
  assert.equal(plain["x-forwarded-proto"], "http");
  assert.equal(plain["x-forwarded-host"], "api.example.com");
  assert.equal(plain["x-forwarded-port"], String(plane.port));
  assert.equal(plain["forwarded"], undefined);
  const proxied = (await plane.send("/pass", { as: "acme", headers: { ...spoofed, host }, localAddress: "127.0.0.2" })).echoed().headers;
  assert.equal(proxied["x-forwarded-for"], "9.9.9.9, 127.0.0.2");
  assert.equal(proxied["x-real-ip"], "9.9.9.9");
  assert.equal(proxied["x-forwarded-proto"], "https");
});

test("the nodes are those of where the tenant lives", async (t) => {
  const [shared, own] = await echoes(t, 2);
  assert.ok(shared && own);
  const nodes_by_placement = { isolated: [{ host: "127.0.0.1", port: own.port, weight: 1 }] };
  const plane = await startPlane(
    t,
    { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [shared.node]: 1 }, nodes_by_placement } }] },
    { tenants: ["acme", tenantOf("globex", { isolationLevel: "isolated" })] },
  );
  assert.equal((await plane.send("/x", { as: "acme" })).headers["x-echo"], String(shared.port));
  assert.equal((await plane.send("/x", { as: "globex" })).headers["x-echo"], String(own.port));
});

test("connections to an upstream are never shared between tenants", async (t) => {
  const echo = await startEcho(t);
  const seen = new Map<Socket | null, Set<string>>();
  echo.answer = ({ headers }, response) => {
    const tenants = seen.get(response.socket) ?? new Set();
    seen.set(response.socket, tenants.add(String(headers["x-tenant-id"])));
    response.end("ok");
  };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } }] });
  for (let i = 0; i < 10; i++) await plane.send("/x", { as: i % 2 === 0 ? "acme" : "globex" });
  assert.ok(seen.size >= 2);
  for (const tenants of seen.values()) assert.equal(tenants.size, 1);
  assert.ok(seen.size < 10, "they are kept alive");
});

test("what became of a call is recorded once, whatever became of it", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(t, { routes: [{ id: "r", uri: "/x", upstream }] });
  await plane.send("/x", { as: "acme", method: "POST", body: "12345" });
  await plane.send("/x");
  await plane.send("/y", { as: "acme" });
  const facts = plane.records.map(({ tenantId, routeId, status, upstreamStatuses, bytesIn, fault }) => [
    tenantId,
    routeId,
    status,
    upstreamStatuses.join(),
    bytesIn,
    fault?.code,
  ]);
  assert.deepEqual(facts, [
    ["acme", "r", 200, "200", 5, undefined],
    [undefined, "r", 401, "", 0, "unauthenticated"],
    [undefined, undefined, 404, "", 0, "not_found"],
  ]);
  assert.equal(plane.records[0]?.upstreamAddress, echo.node);
});
