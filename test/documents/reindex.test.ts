import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Client } from "../support/freehold-client.ts";
import { startFreehold } from "../support/freehold.ts";
import { startStub } from "../support/stub-server.ts";
import { until } from "../support/until.ts";

const DIMENSIONS = 8;

/** Gives every text a vector that depends on its first letter, and refuses when it is told to. */
const state = { refuses: false, texts: 0 };
const models = await startStub((_, body, response) => {
  const { input } = JSON.parse(body.toString()) as { input: string[] }; // what an embedder sends
  if (state.refuses) return void response.writeHead(503).end();
  state.texts += input.length;
  const data = input.map((text, index) => ({
    index,
    embedding: Array.from({ length: DIMENSIONS }, (__, at) => (text.charCodeAt(0) % DIMENSIONS === at ? 1 : 0.1)),
  }));
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ object: "list", model: "m", data, usage: { prompt_tokens: 1, total_tokens: 1 } }));
});

describe("after the embedder was changed", () => {
  after(() => models.close());

  test("everything is seen by the new one once its tenant asks something, and is found by its words meanwhile", async () => {
    const freehold = await startFreehold();
    const second = await freehold.second({
      search: { embedder: { kind: "openai", url: models.url, model: "new", dimensions: DIMENSIONS } },
    });
    const stale = async (tenant: string): Promise<number> => {
      const [row] = await freehold.sql<{ count: string }>(
        `select count(*) from freehold.points p join freehold.tenants t on t.uuid = p.tenant_id where t.id = $1 and p.embedder not like '%new%'`,
        [tenant],
      );
      return Number(row?.count);
    };
    try {
      await freehold.app.services.worker.close(); // from here on the process with the new embedder works
      const [ofA, ofB] = [await stale("a"), await stale("b")];
      assert.ok(ofA > 3 && ofB > 3);
      const asker = new Client(second.url, freehold.credentials.a.member);
      state.refuses = true;
      assert.equal((await asker.get("/documents/doc-1")).json<{ search: { state: string } }>().search.state, "pending");
      state.refuses = false;
      const found = (await asker.post("/search", { query: "refunds", limit: 5 })).json<{ results: unknown[] }>().results;
      assert.ok(found.length > 0, "by its words");
      await until("the tenant that asked has nothing left", async () => (await stale("a")) === 0);
      assert.equal(await stale("b"), ofB, "and no other was touched");
      assert.equal((await asker.get("/documents/doc-1")).json<{ search: { state: string } }>().search.state, "ready");
      assert.ok(state.texts >= ofA);
    } finally {
      await freehold.close();
    }
  });
});
