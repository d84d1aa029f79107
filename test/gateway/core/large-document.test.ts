import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { startEcho } from "../../support/data-plane.ts";
import { temporaryFolder } from "../../support/engines.ts";
import { type Freehold, startFreehold } from "../../support/freehold.ts";

const TENANTS = 10_000;
/** A document that is read in one go lets some ten through, and one that is read as it should be many hundreds. */
const ANSWERED_MIN = 100;
const echo = await startEcho({ after });
const FILE = path.join(temporaryFolder(), "gateway.yaml");

describe("a document of very many tenants", () => {
  let freehold: Freehold;

  before(async () => {
    writeFileSync(FILE, documentOf("/before", []));
    freehold = await startFreehold({
      settings: { gateway: { file: FILE } },
      variables: { KEY_OF_LAST: keyOf(TENANTS) },
    });
    // as the platform would make them, in one statement
    await freehold.sql(
      `insert into freehold.tenants (uuid, id, plan, status, document)
       select gen_random_uuid(), 'bulk-' || n, 'starter', 'active', jsonb_build_object('name', 'Tenant ' || n) from generate_series(1, $1) n`,
      [TENANTS],
    );
  });
  after(() => freehold.close());

  function documentOf(uri: string, tenants: readonly string[]): string {
    const route = (id: string, at: string, plugins: string): string =>
      `  - { id: ${id}, uri: ${at}, plugins: ${plugins}, upstream: { type: roundrobin, nodes: { "${echo.node}": 1 } } }`;
    const open = "{ tenant-resolver: { required: false } }";
    const routes = ["routes:", route("open", uri, open), route("keyed", "/keyed", "{ key-auth: {} }")];
    return [...routes, ...(tenants.length > 0 ? ["tenants:", ...tenants] : []), ""].join("\n");
  }

  const status = async (target: string, headers: Record<string, string> = {}): Promise<number> => {
    const answer = await fetch(freehold.app.url + target, { headers });
    await answer.arrayBuffer();
    return answer.status;
  };

  /** Reads the file again, and how many requests were answered meanwhile, one after the other. */
  async function reload(probe: string): Promise<{ status: number; text: string; answered: number }> {
    const under = { done: false };
    const reloading = fetch(`${freehold.app.adminUrl}/apisix/admin/configs/reload`, {
      method: "POST",
      headers: freehold.platform.admin,
    }).then(async (answer) => ({ status: answer.status, text: await answer.text() }));
    const ended = reloading.finally(() => (under.done = true));
    let answered = 0;
    while (!under.done) {
      assert.equal(await status(probe), 200);
      answered++;
    }
    return { ...(await ended), answered };
  }

  const lines = Array.from({ length: TENANTS }, (_, at) => {
    const n = at + 1;
    return `  bulk-${n}: { plan: starter, keys: [${n === TENANTS ? "$env://KEY_OF_LAST" : keyOf(n)}] }`;
  });
  const plans = ["plans: { starter: {} }", ""].join("\n");

  test("is taken in while requests are answered, and is then served whole", async () => {
    writeFileSync(FILE, plans + documentOf("/*", lines));
    const { answered, ...said } = await reload("/before");
    assert.equal(said.status, 200, said.text);
    assert.ok(answered >= ANSWERED_MIN, `${answered} requests were answered meanwhile`);
    assert.equal(await status("/after"), 200);
    for (const n of [1, TENANTS / 2, TENANTS]) assert.equal(await status("/keyed", { apikey: keyOf(n) }), 200, `bulk-${n}`);
    assert.equal(await status("/keyed", { apikey: keyOf(TENANTS + 1) }), 401);
    assert.equal(echo.received.at(-1)?.headers["x-tenant-id"], `bulk-${TENANTS}`);
  });

  test("that is wrong in one line is refused with that line while requests are answered, and the last good one is served on", async () => {
    writeFileSync(FILE, plans + documentOf("/elsewhere", [...lines, "  bulk-wrong: { plan: none }"]));
    const { answered, status: refused, text } = await reload("/after");
    assert.equal(refused, 400);
    assert.match(text, /tenants\.bulk-wrong: there is no plan none/);
    assert.ok(answered >= ANSWERED_MIN, `${answered} requests were answered meanwhile`);
    assert.equal(await status("/keyed", { apikey: keyOf(TENANTS) }), 200);
  });

  test("changes by the admin API while requests are answered", async () => {
    const under = { done: false };
    const body = JSON.stringify({
      uri: "/added",
      plugins: { mocking: { response_example: "added" }, "tenant-resolver": { required: false } },
    });
    const change = fetch(`${freehold.app.adminUrl}/apisix/admin/routes/added`, {
      method: "PUT",
      headers: { ...freehold.platform.admin, "content-type": "application/json" },
      body,
    }).then(async (answer) => [answer.status, await answer.text()]);
    const ended = change.finally(() => (under.done = true));
    let answered = 0;
    for (; !under.done; answered++) assert.equal(await status("/after"), 200);
    assert.equal((await ended)[0], 201);
    assert.ok(answered >= ANSWERED_MIN, `${answered} requests were answered meanwhile`);
    assert.equal(await status("/added"), 200);
    const all = await fetch(`${freehold.app.adminUrl}/apisix/admin/configs`, { headers: freehold.platform.admin });
    const source = (await all.json()) as { tenants: Record<string, { keys: string[] }>; routes: { id: string }[] };
    assert.equal(Object.keys(source.tenants).length, TENANTS);
    assert.deepEqual(source.tenants[`bulk-${TENANTS}`]?.keys, ["$env://KEY_OF_LAST"]);
    assert.ok(source.routes.some(({ id }) => id === "added"));
  });
});

function keyOf(n: number): string {
  return `key-of-bulk-${n}-0123456789`;
}
