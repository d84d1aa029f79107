import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Json } from "../../../src/kernel/index.ts";
import { startEcho } from "../../support/data-plane.ts";
import { type Freehold, startFreehold } from "../../support/freehold.ts";

const echo = await startEcho({ after });

/** The status of an answer that is the upstream's own. */
async function get(url: string, path: string): Promise<number> {
  const answer = await fetch(url + path);
  await answer.arrayBuffer();
  return answer.status;
}

describe("a stored object that no longer fits when the gateway starts", () => {
  let freehold: Freehold;

  before(async () => {
    freehold = await startFreehold();
    const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    const open = { "tenant-resolver": { required: false } };
    const put = (kind: string, value: Readonly<Record<string, Json>> & { readonly id?: string; readonly username?: string }) => ({
      kind,
      id: value.id ?? value.username ?? "",
      value,
    });
    // as a version of before, or one with other rules, has written them
    await freehold.app.services.registry.gateway.write({
      put: [
        put("upstreams", { id: "good", ...upstream }),
        put("upstreams", { id: "old", ...upstream, scheme: "grpc" }),
        put("services", { id: "on-old", upstream_id: "old" }),
        put("routes", { id: "served", uri: "/served", upstream_id: "good", plugins: open }),
        put("routes", { id: "via-service", uri: "/via-service", service_id: "on-old", plugins: open }),
        put("routes", { id: "unheard", uri: "/unheard", upstream_id: "good", plugins: { "unheard-of": {} } }),
        put("routes", {
          id: "split",
          uri: "/split",
          upstream_id: "good",
          plugins: { ...open, "traffic-split": { rules: [{ weighted_upstreams: [{ upstream_id: "gone" }] }] } },
        }),
        put("routes", { id: "damaged", uri: "/damaged", upstream_id: "good", plugins: open }),
        put("consumers", { username: "jack", plugins: { "key-auth": { key: "the key of jack" } } }),
        put("consumers", { username: "jill", plugins: { "key-auth": { key: "the key of jack" } } }),
        { kind: "tenants", id: "nobody", value: { plan: "none" } },
      ],
      remove: [],
    });
    await freehold.sql("update freehold.gateway_objects set sealed = sealed || '\\x00' where id = 'damaged'");
  });
  after(() => freehold.close());

  test("is left out with what refers to it, each is named, and all others are served", async () => {
    const logged = freehold.logLines.length;
    const { url } = await freehold.second();
    assert.equal(await get(url, "/served"), 200);
    for (const path of ["/via-service", "/unheard", "/split", "/damaged"]) assert.equal(await get(url, path), 404, path);
    const lines = freehold.logLines.slice(logged).join("\n");
    const gone = ["upstreams old", "services on-old", "routes via-service", "routes unheard", "routes split", "routes damaged"];
    for (const name of [...gone, "consumers jill", "tenants nobody"])
      assert.match(lines, new RegExp(`${name}, which is stored: .*left out`));
    for (const name of ["routes served", "consumers jack", "upstreams good"]) assert.ok(!lines.includes(`${name}, which is stored`), name);
  });

  test("hinders no change of others, and is served again once it is mended", async () => {
    const { url, adminUrl } = await freehold.second();
    const admin = async (method: string, path: string, json?: unknown): Promise<number> => {
      const sent = { method, headers: freehold.platform.admin, ...(json !== undefined && { body: JSON.stringify(json) }) };
      const answer = await fetch(`${adminUrl}/apisix/admin${path}`, sent);
      await answer.arrayBuffer();
      return answer.status;
    };
    const route = { uri: "/second", upstream_id: "good", plugins: { "tenant-resolver": { required: false } } };
    assert.equal(await admin("PUT", "/routes/second", route), 201);
    assert.equal(await get(url, "/second"), 200);
    assert.equal(await admin("PUT", "/routes/third", { ...route, upstream_id: "old" }), 400, "what is left out is not there for others");
    assert.equal(await admin("DELETE", "/upstreams/good"), 400, "what is served may not be left out by a change");
    const mended = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    assert.equal(await admin("PUT", "/upstreams/old", mended), 200);
    assert.equal(await get(url, "/via-service"), 200);
    assert.equal(await admin("DELETE", "/routes/damaged"), 200);
  });
});
