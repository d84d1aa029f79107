import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { App } from "../../../src/cli/app.ts";
import { type Freehold, startFreehold } from "../../support/freehold.ts";

const OPEN = { "tenant-resolver": { required: false } };
const ROUTES = 10;

describe("two gateways on one database", () => {
  let freehold: Freehold;
  let other: App;

  before(async () => {
    freehold = await startFreehold();
    other = await freehold.second();
  });
  after(() => freehold.close());

  const write = async (method: string, target: string, body?: unknown, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${freehold.app.adminUrl}/apisix/admin${target}`, {
      method,
      headers: { ...freehold.platform.admin, ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, servedBy: answer.headers.get("x-freehold-served-by") };
  };
  const status = async (app: App, target: string): Promise<number> => (await fetch(app.url + target)).status;
  const route = (uri: string): object => ({ uri, plugins: { ...OPEN, mocking: { response_example: "here" } } });

  test("both serve a change when it is answered, whichever took it", async () => {
    for (let n = 1; n <= ROUTES; n++) {
      assert.deepEqual(await write("PUT", `/routes/r${n}`, route(`/r${n}`)), { status: 201, servedBy: "2/2" });
      assert.equal(await status(other, `/r${n}`), 200);
      assert.deepEqual(await write("DELETE", `/routes/r${n}`), { status: 200, servedBy: "2/2" });
      assert.equal(await status(other, `/r${n}`), 404);
    }
  });

  test("counters begin anew in both when a document is to be served fresh", async () => {
    // after the limit
    const mocking = { response_example: "here", _meta: { priority: 1 } };
    const limit = { count: 1, time_window: 3_600, key: "remote_addr" };
    const document = { routes: [{ id: "limited", uri: "/limited", plugins: { ...OPEN, mocking, "limit-count": limit } }] };
    assert.equal((await write("PUT", "/configs", document, { "x-digest": "1" })).servedBy, "2/2");
    for (const app of [freehold.app, other]) assert.deepEqual([await status(app, "/limited"), await status(app, "/limited")], [200, 429]);
    assert.equal((await write("PUT", "/configs?fresh=true", document, { "x-digest": "1" })).servedBy, "2/2");
    for (const app of [freehold.app, other]) assert.deepEqual([await status(app, "/limited"), await status(app, "/limited")], [200, 429]);
  });

  test("a gateway that does not answer is told of, and is not waited for once it is taken for gone", async () => {
    await freehold.sql("insert into freehold.gateway_processes (id, served) values (gen_random_uuid(), 0)");
    assert.deepEqual(await write("PUT", "/routes/stalled", route("/stalled")), { status: 201, servedBy: "2/3" });
    assert.equal(await status(other, "/stalled"), 200);
    await freehold.sql("update freehold.gateway_processes set seen_at = now() - interval '1 minute' where served = 0");
    assert.deepEqual(await write("DELETE", "/routes/stalled"), { status: 200, servedBy: "2/2" });
  });
});
