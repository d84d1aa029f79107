import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { App } from "../../../src/cli/app.ts";
import { up } from "../../e2e/program.ts";
import { createEngine, temporaryFolder } from "../../support/engines.ts";
import { type Freehold, startFreehold } from "../../support/freehold.ts";
import { until } from "../../support/until.ts";

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

  test("a gateway that is there and does not answer is told of, and is not waited for once it is taken for gone", async () => {
    await freehold.sql("insert into freehold.gateway_processes (id, served) values (gen_random_uuid(), 0)");
    await freehold.sql("select freehold.hold_gateway(id) from freehold.gateway_processes where served = 0");
    assert.deepEqual(await write("PUT", "/routes/stalled", route("/stalled")), { status: 201, servedBy: "2/3" });
    assert.equal(await status(other, "/stalled"), 200);
    await freehold.sql("update freehold.gateway_processes set seen_at = now() - interval '1 minute' where served = 0");
    assert.deepEqual(await write("DELETE", "/routes/stalled"), { status: 200, servedBy: "2/2" });
  });

  test("a gateway that has lost its connection counts again when it has another one", async () => {
    await freehold.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'freehold-listen' and datname = current_database()",
    );
    const both = async (): Promise<boolean> => (await write("PUT", "/routes/again", route("/again"))).servedBy === "2/2";
    await until("both gateways to be there again", both);
  });
});

test("a gateway that was killed is not waited for, and one that hangs is told of", async () => {
  const engine = createEngine("PostgreSQL");
  after(() => engine.close());
  const { location } = await engine.place();
  assert.ok(location.kind === "postgres");
  const cwd = temporaryFolder();
  const start = () => up(["--data", cwd, "--database-url", location.url, "--no-demo", "--log-level", "error"], { cwd });
  const kept = await start();
  const killed = await start();
  const headers = { authorization: `Bearer ${kept.platformToken}` };
  const servedBy = async (id: string): Promise<string | null> => {
    const body = JSON.stringify({ uri: `/${id}`, plugins: { ...OPEN, mocking: { response_example: "here" } } });
    const answer = await fetch(`${kept.adminUrl}/apisix/admin/routes/${id}`, { method: "PUT", headers, body });
    assert.equal(answer.status, 201);
    return answer.headers.get("x-freehold-served-by");
  };
  assert.equal(await servedBy("both"), "2/2");
  process.kill(killed.pid, "SIGSTOP");
  assert.equal(await servedBy("hanging"), "1/2");
  await killed.stop("SIGKILL");
  assert.equal(await servedBy("killed"), "1/1");
  await kept.stop();
});
