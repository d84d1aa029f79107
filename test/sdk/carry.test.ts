import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { before, describe, test } from "node:test";
import { createFreehold, type RequestTenant } from "freehold";
import type { TestFreehold } from "freehold/testing";
import { systemClock } from "../../src/kernel/index.ts";
import { createContextSigner, createSigningKey, createTokenIssuer } from "../../src/tenancy/identity/index.ts";
import { templateFolder } from "../support/databases.ts";
import { copyTemplate } from "../support/embedded-template.ts";
import { freePort } from "../support/ports.ts";
import { contextOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { listen, startTestFreehold } from "./service.ts";

/** A server that keeps the fields of what it received, and answers with a redirect where the path says so. */
async function startListener(redirectTo?: () => string): Promise<{ readonly url: string; readonly received: IncomingHttpHeaders[] }> {
  const received: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    received.push(request.headers);
    if (request.url === "/moved" && redirectTo) response.writeHead(302, { location: redirectTo() }).end();
    else response.end("ok");
  });
  return { url: await listen(server), received };
}

const VOUCHING = ["x-tenant-context", "x-tenant-id", "x-request-id", "traceparent", "baggage"] as const;

describe("calls on behalf of a tenant", () => {
  let testing: TestFreehold;
  let acme: RequestTenant;
  let inside: Awaited<ReturnType<typeof startListener>>;
  let outside: Awaited<ReturnType<typeof startListener>>;
  before(async () => {
    outside = await startListener();
    inside = await startListener(() => outside.url);
    testing = await startTestFreehold({ internalOrigins: [{ origin: inside.url, audience: "service-under-test" }] });
    acme = await testing.tenant("acme");
  });

  test("an internal service is told who for, and can prove it", async () => {
    const response = await testing.freehold.tenantFetch(acme.context)(`${inside.url}/x?y=1`, { method: "POST", body: "hello" });
    assert.equal(await response.text(), "ok");
    const { "x-tenant-id": id, baggage, traceparent = "", "x-request-id": requestId } = inside.received.at(-1) ?? {};
    assert.deepEqual([id, baggage, requestId], ["acme", "tenant.id=acme", acme.context.requestId]);
    assert.equal(String(traceparent).split("-")[1], acme.context.trace.traceId);
    assert.notEqual(String(traceparent).split("-")[2], acme.context.trace.spanId, "a span of its own");
    const fields = Object.entries(inside.received.at(-1) ?? {}).map(([name, value]) => [name, String(value)] as const);
    const proved = await testing.freehold.authenticate({ method: "GET", target: "/", fields, remoteAddress: "" });
    assert.equal(proved.context.tenant.uuid, acme.context.tenant.uuid);
  });

  test("nobody else is told, also when the fields of a request are passed on by hand", async () => {
    const passedOn = {
      ...testing.headers("acme"),
      traceparent: "00-1",
      baggage: "tenant.id=acme",
      X_Tenant_Context: "a",
      accept: "text/plain",
    };
    const call = testing.freehold.tenantFetch(acme.context);
    const other = new URL(outside.url);
    other.hostname = "localhost";
    await call(outside.url, { headers: passedOn });
    await call(new Request(outside.url, { headers: passedOn }));
    await call(new URL(outside.url), { headers: new Headers(passedOn) });
    assert.equal(outside.received.length, 3);
    for (const fields of outside.received) {
      for (const name of [...VOUCHING, "x_tenant_context"]) assert.equal(fields[name], undefined, name);
      assert.equal(fields.accept, "text/plain");
    }
  });

  test("an address that only looks like an internal one is told nothing", async () => {
    const call = testing.freehold.tenantFetch(acme.context);
    const { host, port } = new URL(inside.url);
    const earlier = inside.received.length;
    // the same server by another name is another origin
    await call(`http://localhost:${port}/`).catch(() => undefined);
    await call(`http://${host}@${new URL(outside.url).host}/`).catch(() => undefined);
    for (const fields of [...inside.received.slice(earlier), ...outside.received]) assert.equal(fields["x-tenant-context"], undefined);
  });

  test("a redirect of an internal service is answered and not followed", async () => {
    const earlier = outside.received.length;
    const response = await testing.freehold.tenantFetch(acme.context)(`${inside.url}/moved`);
    assert.equal(response.status, 302);
    assert.equal(outside.received.length, earlier);
  });

  test("work without a context of the gateway, and without a key to sign one, calls nobody", async () => {
    const scope = await testing.freehold.forTenant("acme", "nightly");
    const earlier = inside.received.length;
    await assert.rejects(testing.freehold.tenantFetch(scope.context)(inside.url), { code: "forbidden" });
    assert.equal(inside.received.length, earlier);
  });
});

test("a service that starts before its gateway says that it cannot prove anybody yet, and can moments later", async (t) => {
  const port = await freePort();
  const key = createSigningKey();
  const freehold = await createFreehold({
    audience: "orders",
    database: { folder: copyTemplate(await templateFolder()) },
    gatewayUrl: `http://127.0.0.1:${port}`,
    report: () => undefined,
  });
  t.after(() => freehold.close());
  const text = createContextSigner(key, systemClock)(contextOf("acme"), "orders");
  const prove = (): Promise<RequestTenant> =>
    freehold.authenticate({ method: "GET", target: "/", fields: [["X-Tenant-Context", text]], remoteAddress: "" });
  await assert.rejects(prove(), (error: { code: string; public: { retryAfterMs: number } }) => {
    assert.deepEqual([error.code, error.public.retryAfterMs], ["dependency_unavailable", 1_000]);
    return true;
  });
  const asked: (string | undefined)[] = [];
  const gateway = createServer((request, response) => {
    asked.push(request.url);
    response.end(JSON.stringify(createTokenIssuer(key, systemClock).jwks()));
  }).listen(port, "127.0.0.1");
  t.after(() => {
    gateway.closeAllConnections();
    gateway.close();
  });
  const proved = await until("the gateway's keys are there", () => prove().catch(() => undefined));
  assert.equal(proved.context.tenant.id, "acme");
  for (let i = 0; i < 50; i++) await prove();
  assert.deepEqual(asked, ["/.well-known/freehold/jwks.json"], "asked once, however many requests come");
});
