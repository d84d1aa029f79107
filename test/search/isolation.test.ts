import assert from "node:assert/strict";
import { before, test } from "node:test";
import fc from "fast-check";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { createLexicalEmbedder, createSearchStore, type SearchHit, type SearchQuery } from "../../src/stores/search/index.ts";
import { eachEngine } from "../support/engines.ts";
import { assertNoCanary, CANARY, contextOf, tenantOf } from "../support/tenants.ts";
import { DOCUMENTS, QUESTIONS } from "./small-set.ts";
import { itemOf, searchOf, type SearchUnderTest } from "./search-under-test.ts";

const SEED = Date.now() & 0x7fffffff;

/** Words of both tenants' texts, what a filter could be told, and what an engine might read as more than text. */
const WORDS = [
  CANARY,
  "CANARY",
  "tenant",
  "b",
  "note",
  "password",
  "invoice",
  "pasword",
  "'",
  '"',
  "|",
  "&",
  "!",
  ":*",
  "\\",
  "tenantId",
  "%",
];
const queries = fc
  .array(fc.oneof(fc.constantFrom(...WORDS), fc.constantFrom(...QUESTIONS.map(([query]) => query)), fc.string({ unit: "grapheme" })), {
    minLength: 1,
    maxLength: 8,
  })
  .map((words) => words.join(" "));
const filters: fc.Arbitrary<SearchQuery["filter"]> = fc.option(
  fc.dictionary(
    fc.constantFrom("kind", "userId", "note", "tenantId", "constructor", "a"),
    fc.oneof(fc.constantFrom("document", "user", "u-1", "a", "b", CANARY), fc.integer(), fc.boolean()),
    { maxKeys: 2 },
  ),
  { nil: undefined },
);

eachEngine((engine) => {
  let data: DataStore;
  let a: SearchUnderTest;
  let b: SearchUnderTest;

  /** All that tenant a gets for the questions of the small set. */
  const answers = async (): Promise<(readonly SearchHit[])[]> => {
    const all: (readonly SearchHit[])[] = [];
    for (const [query] of QUESTIONS) all.push(await a.find(query));
    return all;
  };

  before(async () => {
    data = await engine.open();
    a = searchOf(data, contextOf("a"));
    b = searchOf(data, contextOf("b"));
    await a.put(...DOCUMENTS.map((document) => ({ ...document, payload: { userId: "u-1" } })));
  });

  test("nothing that tenant b puts moves a hit or a score of tenant a: 500 documents, all ids and texts of a among them", async () => {
    const alone = await answers();
    for (let round = 0; round < 20; round++) {
      await b.put(
        ...DOCUMENTS.map(({ ref, title, text }) => ({
          ref: round === 0 ? ref : `${ref}-${round}`,
          title,
          text,
          payload: { userId: "u-1" },
        })),
      );
    }
    assert.deepEqual(await answers(), alone);
    assert.equal((await b.find("password")).length, 10);
  });

  test("no query and no filter of tenant a brings anything of tenant b", async (t) => {
    t.diagnostic(`seed ${SEED}`);
    const property = fc.asyncProperty(queries, filters, fc.integer({ min: 1, max: 50 }), async (query, filter, limit) => {
      try {
        const hits = await a.search.query({ query, limit, ...(filter ? { filter } : {}) });
        assertNoCanary(hits);
        assert.ok(hits.every(({ payload }) => payload["tenantId"] === "a"));
      } catch (error) {
        assertNoCanary(error);
        assert.ok(["malformed_request", "tenant_mismatch"].includes((error as { code?: string }).code ?? ""), String(error));
      }
    });
    await fc.assert(property, { seed: SEED, numRuns: 60 });
  });

  test("a put or remove under an id that tenant b has too changes nothing of b", async () => {
    await b.put({ ref: "doc-1", text: "the original wolverine" });
    const own = await b.find("wolverine");
    await a.put({ ref: "doc-1", text: "another wolverine" });
    assert.deepEqual(await b.find("wolverine"), own);
    await a.remove("doc-1");
    await a.remove("reset-password");
    assert.deepEqual(await b.find("wolverine"), own);
    assert.equal((await b.find("password", { kind: "document" }))[0]?.text.includes(CANARY), true);
    await a.put({ ...DOCUMENTS.find(({ ref }) => ref === "reset-password"), ref: "reset-password", payload: { userId: "u-1" } });
  });

  test("a tenantId in the payload is overwritten, also one of another tenant", async () => {
    await a.put({ ref: "forged", text: "forged platypus", payload: { tenantId: "b", nested: { tenantId: "b" } } });
    const [hit] = await a.find("platypus");
    assert.deepEqual(hit?.payload, { tenantId: "a", nested: { tenantId: "b" } });
    assert.ok((await b.find("platypus")).every(({ ref }) => ref !== "forged"));
    await a.remove("forged");
  });

  test("a filter that names another tenant is refused, one that names the own is nothing new", async () => {
    for (const tenantId of ["b", contextOf("a").tenant.uuid, "A", "", 1, true]) {
      await assert.rejects(a.find("password", { tenantId }), { code: "tenant_mismatch" });
    }
    assert.deepEqual(await a.find("password", { tenantId: "a" }), await a.find("password"));
  });

  test("what was prepared for tenant a cannot be put for b, and not in a transaction of b", async () => {
    const store = createSearchStore({ data, embedder: createLexicalEmbedder() });
    const [searchA, searchB] = [store.forTenant(contextOf("a")), store.forTenant(contextOf("b"))];
    const prepared = await searchA.prepare(itemOf("a", { ref: "stray", text: "stray quagga" }));
    const rowsOfB = data.forTenant(contextOf("b"));
    await assert.rejects(
      rowsOfB.transaction((tx) => searchB.put(tx, prepared)),
      { code: "isolation_violation" },
    );
    await assert.rejects(
      rowsOfB.transaction((tx) => searchA.put(tx, prepared)),
      { code: "forbidden" },
    );
    for (const { find } of [a, b]) assert.ok((await find("quagga")).every(({ ref }) => ref !== "stray"));
  });

  test("a remove in a transaction of tenant b removes nothing, of a or of b", async () => {
    await data.forTenant(contextOf("b")).transaction((tx) => a.search.remove(tx, "document", "invoices"));
    for (const { find } of [a, b]) assert.ok((await find("invoices and receipts")).some(({ ref }) => ref === "invoices"));
  });

  test("a row that says it is another tenant's ends the query", async () => {
    const context = contextOf(tenantOf("damaged"));
    const { put, find } = searchOf(data, context);
    await put({ ref: "doc", text: "quokka" });
    await data.forTenant(context).query(sql`update points set payload = payload || '{"tenantId": "b"}'`);
    await assert.rejects(find("quokka"), { code: "isolation_violation" });
    await data.forTenant(context).query(sql`update points set payload = payload - 'tenantId'`);
    await assert.rejects(find("quokka"), { code: "isolation_violation" });
  });
});
