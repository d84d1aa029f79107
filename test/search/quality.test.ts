import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { DataStore } from "../../src/stores/data/index.ts";
import { createLexicalEmbedder } from "../../src/stores/search/index.ts";
import { createEngine } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";
import { DOCUMENTS, QUESTIONS } from "./small-set.ts";
import { ranking, searchOf, type SearchUnderTest } from "./search-under-test.ts";

interface Recall {
  /** The share of questions whose answer is first, and among the first three. */
  readonly first: number;
  readonly three: number;
}

async function recall(rank: (query: string) => Promise<readonly string[]>): Promise<Recall> {
  let [first, three] = [0, 0];
  for (const [query, ref] of QUESTIONS) {
    const place = (await rank(query)).indexOf(ref);
    if (place === 0) first++;
    if (place >= 0 && place < 3) three++;
  }
  return { first: first / QUESTIONS.length, three: three / QUESTIONS.length };
}

async function recallOfVectors(dimensions: number): Promise<Recall> {
  const embedder = createLexicalEmbedder({ dimensions });
  const vectors = await embedder.embed(DOCUMENTS.map(({ title, text }) => `${title}\n${text}`));
  return await recall(async (query) => {
    const [asked] = await embedder.embed([query]);
    const scored = DOCUMENTS.map(({ ref }, at) => ({
      ref,
      likeness: vectors[at]?.reduce((sum, value, i) => sum + value * (asked?.[i] ?? 0), 0) ?? 0,
    }));
    return scored.toSorted((x, y) => y.likeness - x.likeness).map(({ ref }) => ref);
  });
}

function assertFloor(t: { diagnostic(message: string): void }, what: string, found: Recall, floor: Recall): void {
  t.diagnostic(`${what}: R@1 ${found.first.toFixed(2)}, R@3 ${found.three.toFixed(2)}`);
  assert.ok(found.first >= floor.first && found.three >= floor.three, `${what}: ${JSON.stringify(found)}`);
}

describe("on the small set, a third of it misspelt", () => {
  const engines = [createEngine("PGlite"), createEngine("PostgreSQL")] as const;
  const stores: DataStore[] = [];
  const searches: SearchUnderTest[] = [];

  before(async () => {
    for (const engine of engines) {
      const data = await engine.open();
      const search = searchOf(data, contextOf("a"));
      await search.put(...DOCUMENTS);
      stores.push(data);
      searches.push(search);
    }
  });
  after(() => Promise.all(engines.map((engine) => engine.close())));

  test("lexical vectors alone find the answer", async (t) => {
    assertFloor(t, "512 dimensions", await recallOfVectors(512), { first: 0.85, three: 0.9 });
    assertFloor(t, "1024 dimensions", await recallOfVectors(1_024), { first: 0.85, three: 0.9 });
  });

  test("vectors and full text together find it on every engine", async (t) => {
    for (const [at, { find }] of searches.entries()) {
      const found = await recall(async (query) => (await find(query)).map(({ ref }) => ref));
      assertFloor(t, engines[at]?.name ?? "", found, { first: 0.85, three: 0.9 });
    }
  });

  test("one engine compares with pgvector and one with arrays, and they give the same hits with the same scores", async () => {
    assert.deepEqual(
      stores.map(({ capabilities }) => capabilities.vector),
      [true, false],
    );
    const [one, other] = searches;
    assert.ok(one && other);
    for (const query of [...QUESTIONS.map(([question]) => question), ...DOCUMENTS.map(({ text }) => text)]) {
      const hits = await one.search.query({ query, limit: 50 });
      assert.deepEqual(ranking(hits), ranking(await other.search.query({ query, limit: 50 })), query);
      assert.ok(hits.length > 0);
    }
  });

  test("texts that are alike keep one order on every engine, also where sorting by language would change it", async () => {
    const refs = ["b", "B", "a", "_", "ä", "Z", "-", "0"];
    const orders = await Promise.all(
      searches.map(async ({ put, find }) => {
        await put(...refs.map((ref) => ({ ref, text: "identical wombats" })));
        return (await find("identical wombats")).map(({ ref }) => ref).slice(0, refs.length);
      }),
    );
    assert.deepEqual(orders[0], ["-", "0", "B", "Z", "_", "a", "b", "ä"]);
    assert.deepEqual(orders[1], orders[0]);
  });
});
