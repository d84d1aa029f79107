import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { routeWith } from "../plugins/content-document.ts";

const CREDENTIAL = "Authorization: Bearer acme:user-1\r\nConnection: close\r\n";

describe("a Host that is more than a host", () => {
  test("decides no route and reaches no upstream", async (t) => {
    const [admin, open] = [await startEcho(t), await startEcho(t)];
    const plane = await startPlane(t, {
      routes: [
        { id: "admin", uri: "/admin/*", plugins: { mocking: { response_status: 403, response_example: "no" } } },
        { id: "open", uri: "/*", upstream: { type: "roundrobin", nodes: { [open.node]: 1 } } },
        { id: "host", uri: "/*", host: "admin.example", upstream: { type: "roundrobin", nodes: { [admin.node]: 1 } } },
      ],
    });
    const hosts = [
      "api/?",
      "api/#",
      "api/open?",
      "admin.example/x",
      "a@admin.example",
      "admin.example, a",
      "admin.example a",
      "a:99999",
      "a:0x50",
    ];
    for (const host of hosts) {
      assert.match(await plane.raw(`GET /admin/x HTTP/1.1\r\nHost: ${host}\r\n${CREDENTIAL}\r\n`), /^HTTP\/1\.1 400 /, host);
    }
    for (const lines of [
      "Host: a\r\nHost: admin.example",
      "Host: admin.example\r\nHost: a",
      "Host: a\r\nhost: a",
      "Host: a\r\nHost : admin.example",
    ]) {
      assert.match(await plane.raw(`GET /x HTTP/1.1\r\n${lines}\r\n${CREDENTIAL}\r\n`), /^HTTP\/1\.1 400 /, lines);
    }
    for (const target of ["http://admin.example/x", "//admin.example/x", "admin.example:80", "http://a/../admin/x"]) {
      assert.match(await plane.raw(`GET ${target} HTTP/1.1\r\nHost: a\r\n${CREDENTIAL}\r\n`), /^HTTP\/1\.1 400 /, target);
    }
    assert.equal(admin.received.length + open.received.length, 0);
    assert.equal((await plane.send("/admin/x", { as: "acme", headers: { host: "a" } })).status, 403);
    for (const name of ["X-Forwarded-Host", "X-Host", "X-Original-Host", "Forwarded"]) {
      const value = name === "Forwarded" ? "host=admin.example" : "admin.example";
      assert.equal((await plane.send("/x", { as: "acme", headers: { host: "a", [name]: value } })).status, 200);
    }
    assert.deepEqual([admin.received.length, open.received.length], [0, 4]);
  });
});

describe("the method of a request", () => {
  test("is the one in its first line, whatever its fields and its query say", async (t) => {
    const echo = await startEcho(t);
    const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    const plane = await startPlane(t, {
      routes: [
        { id: "read", uri: "/x", methods: ["GET", "POST"], upstream },
        { id: "remove", uri: "/x", methods: ["DELETE"], upstream, plugins: { mocking: { response_example: "removed" } } },
      ],
    });
    for (const name of ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override", "x.http.method"]) {
      const { method, rawHeaders } = (await plane.send("/x?_method=DELETE", { as: "acme", headers: { [name]: "DELETE" } })).echoed();
      assert.equal(method, "GET");
      assert.ok(!rawHeaders.some((text) => /method/i.test(text)), rawHeaders.join());
    }
    const form = { method: "POST", body: "_method=DELETE", headers: { "content-type": "application/x-www-form-urlencoded" } };
    assert.equal((await plane.send("/x", { as: "acme", ...form })).echoed().method, "POST");
    assert.equal((await plane.send("/x", { as: "acme", method: "DELETE" })).text.trim(), "removed");
  });

  test("HEAD needs what GET needs, tells no more and is no way around a rule for GET", async (t) => {
    const echo = await startEcho(t);
    const consumers = [{ username: "reader", plugins: { "key-auth": { key: "r" }, "tenant-context": { tenant_id: "acme" } } }];
    const rule = { allowed_by_methods: [{ user: "reader", methods: ["GET"] }] };
    const plane = await startPlane(t, {
      routes: [
        {
          id: "keys",
          uri: "/keys",
          plugins: { "key-auth": {}, "consumer-restriction": rule },
          upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } },
        },
        { id: "all", uri: "/all", upstream: { type: "roundrobin", nodes: { [echo.node]: 1 } } },
      ],
      consumers,
    });
    for (const path of ["/all", "/keys", "/nothing"]) {
      const [get, head] = [await plane.send(path), await plane.send(path, { method: "HEAD" })];
      assert.deepEqual([head.status, head.text], [get.status, ""], path);
    }
    assert.equal((await plane.send("/keys", { headers: { apikey: "r" } })).status, 200);
    assert.equal((await plane.send("/keys", { method: "HEAD", headers: { apikey: "r" } })).status, 403);
    const foreign = { as: "acme", headers: { "x-tenant-id": "globex" } };
    assert.equal((await plane.send("/all", { method: "HEAD", ...foreign })).status, 403);
    assert.deepEqual(
      echo.received.map(({ method }) => method),
      ["GET"],
    );
  });

  test("GET may have a body, which goes with it and not before the next request", async (t) => {
    const echo = await startEcho(t);
    const plane = await startPlane(t, routeWith(echo.node, {}));
    const inner = `GET /smuggled HTTP/1.1\r\nHost: a\r\n${CREDENTIAL}\r\n`;
    for (const method of ["GET", "DELETE", "OPTIONS"]) {
      await plane.raw(`${method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${inner.length}\r\n${CREDENTIAL}\r\n${inner}`);
      assert.equal(echo.received.at(-1)?.body, inner);
    }
    assert.ok(!echo.received.some(({ target }) => target === "/smuggled"));
  });
});

describe("more of a request than anybody needs", () => {
  test("is refused before a plugin looks at it, and the next caller is served", async (t) => {
    const echo = await startEcho(t);
    const plane = await startPlane(t, routeWith(echo.node, { "uri-blocker": { block_rules: ["evil"] } }));
    const get = (target: string, lines = ""): Promise<string> =>
      plane.raw(`GET ${target} HTTP/1.1\r\nHost: a\r\n${lines}${CREDENTIAL}\r\n`);
    const many = Array.from({ length: 1_000 }, (_, i) => `X-${i}: y\r\n`).join("");
    for (const refused of [
      get(`/${"x".repeat(65_536)}`),
      get("/x", `X: ${"y".repeat(65_536)}\r\n`),
      get("/x", many),
      get("/x", "X: y\r\n".repeat(101)),
    ]) {
      assert.match(await refused, /^HTTP\/1\.1 4(00|14|31) /);
    }
    assert.equal(echo.received.length, 0);
    assert.equal(plane.records.length, 0);
    assert.equal((await plane.send("/x", { as: "acme" })).status, 200);
  });

  test("parameters that another reader would take differently choose no route: more than 256 of them, or one name twice", async (t) => {
    const echo = await startEcho(t);
    const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    const vars = [
      ["arg_z", "==", "1"],
      ["cookie_z", "==", "1"],
    ];
    const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", vars, upstream }] });
    const headers = { cookie: `${"a=b; ".repeat(500)}z=1` };
    assert.equal((await plane.send(`/x?${"a&".repeat(255)}z=1`, { as: "acme", headers })).status, 200);
    for (const query of [`${"a&".repeat(256)}z=1`, `${"a&".repeat(3_000)}z=1`, "z=0&z=1", "z=1&%7A=0"])
      assert.equal((await plane.send(`/x?${query}`, { as: "acme", headers })).status, 400);
    assert.equal((await plane.send("/x?z=1", { as: "acme", headers: { cookie: "z=1" } })).status, 200);
  });
});
