import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { DataStore } from "../../src/stores/data/index.ts";
import { createLexicalEmbedder, type SearchHit } from "../../src/stores/search/index.ts";
import { eachEngine } from "../support/engines.ts";
import { contextOf, tenantOf } from "../support/tenants.ts";
import { itemOf, searchOf } from "./search-under-test.ts";

const OTHER_EMBEDDER = createLexicalEmbedder({ dimensions: 256 });

function refs(hits: readonly SearchHit[]): string[] {
  return hits.map(({ ref }) => ref);
}

function paragraphs(count: number, word: string): string {
  return Array.from({ length: count }, (_, at) => `${word} paragraph ${at} ${"with some filling words ".repeat(35)}`).join("\n\n");
}

eachEngine((engine) => {
  let data: DataStore;
  before(async () => {
    data = await engine.open();
  });

  test("what was put is found by its words, misspelt words and title, with its own payload", async () => {
    const { put, find } = searchOf(data, contextOf("finding"));
    await put(
      {
        ref: "warranty",
        title: "Warranty",
        text: "Devices carry a guarantee against defects.",
        payload: { userId: "u-1", tags: ["x"], size: 3 },
      },
      { ref: "parking", title: "Parking", text: "Bicycles belong into the racks behind the canteen." },
    );
    for (const query of [
      "defects of devices",
      "waranty",
      "garantee against defekts",
      "WARRANTY",
      "is there a warranty for this thing at all?",
    ]) {
      const [first] = await find(query);
      assert.equal(first?.ref, "warranty", query);
    }
    const [hit] = await find("guarantee");
    assert.deepEqual(hit, {
      kind: "document",
      ref: "warranty",
      part: 0,
      title: "Warranty",
      text: "Devices carry a guarantee against defects.",
      score: hit?.score,
      payload: { userId: "u-1", tags: ["x"], size: 3, tenantId: "finding" },
    });
  });

  test("the score is 1 for what is first in both lists, and never more", async () => {
    const { put, find } = searchOf(data, contextOf("scores"));
    await put(
      { ref: "one", text: "alpha beta gamma" },
      { ref: "two", text: "delta epsilon alpha" },
      { ref: "three", text: "unrelated text" },
    );
    const hits = await find("alpha beta gamma");
    assert.deepEqual([hits[0]?.ref, hits[0]?.score], ["one", 1]);
    assert.ok(hits.every(({ score }) => score > 0 && score <= 1));
    assert.deepEqual(
      hits.map(({ score }) => score),
      hits.map(({ score }) => score).toSorted((a, b) => b - a),
    );
  });

  test("a second put takes the place of the first, with more passages or fewer", async () => {
    const { put, find } = searchOf(data, contextOf("replacing"));
    await put({ ref: "doc", text: paragraphs(250, "zebra") }, { ref: "other", text: "giraffe" });
    assert.equal((await find("zebra")).length, 10);
    await put({ ref: "doc", text: paragraphs(3, "lion") });
    assert.deepEqual(
      (await find("zebra")).filter(({ text }) => text.includes("zebra")),
      [],
    );
    assert.deepEqual(
      (await find("lion", { kind: "document" }))
        .filter(({ ref }) => ref === "doc")
        .map(({ part }) => part)
        .toSorted((x, y) => x - y),
      [0, 1, 2],
    );
    assert.equal((await find("giraffe"))[0]?.ref, "other");
  });

  test("of two puts at once one is left, whole", async () => {
    const { put, find } = searchOf(data, contextOf("racing"));
    for (let round = 0; round < 5; round++) {
      await Promise.all([put({ ref: "doc", text: paragraphs(6, "lion") }), put({ ref: "doc", text: paragraphs(2, "zebra") })]);
      const texts = (await find("lion zebra paragraph")).map(({ text }) => text);
      const [lions, zebras] = [texts.filter((text) => text.includes("lion")).length, texts.filter((text) => text.includes("zebra")).length];
      assert.ok((lions === 6 && zebras === 0) || (lions === 0 && zebras === 2), `${lions} and ${zebras}`);
    }
  });

  test("what was removed is not found, and what has its ref but another kind stays", async () => {
    const { put, remove, find } = searchOf(data, contextOf("removing"));
    await put({ ref: "same", text: "hippopotamus document" }, { ref: "same", kind: "user", text: "hippopotamus user" });
    await remove("same");
    assert.deepEqual(
      (await find("hippopotamus")).map(({ kind }) => kind),
      ["user"],
    );
    await remove("same");
    await remove("never there");
  });

  test("a transaction that fails leaves what was there", async () => {
    const context = contextOf("failing");
    const { put, find, search } = searchOf(data, context);
    await put({ ref: "doc", text: "the old rhinoceros" });
    const prepared = await search.prepare(itemOf("failing", { ref: "doc", text: "the new antelope" }));
    const work = data.forTenant(context).transaction(async (tx) => {
      await search.put(tx, prepared);
      throw new Error("no");
    });
    await assert.rejects(work);
    assert.deepEqual(
      (await find("rhinoceros antelope")).map(({ text }) => text),
      ["the old rhinoceros"],
    );
  });

  test("a filter leaves exactly what has its values", async () => {
    const { put, find } = searchOf(data, contextOf("filtering"));
    await put(
      { ref: "1", text: "quarterly report", payload: { userId: "u-1", final: true, year: 2026, "a.b-c_d": "x" } },
      { ref: "2", text: "quarterly report", payload: { userId: "u-2", final: false, year: 2026, tags: ["u-1"] } },
      { ref: "3", text: "quarterly report", payload: { userId: ["u-1"] } },
      { ref: "4", kind: "user", text: "quarterly report", payload: { userId: "u-1" } },
    );
    const found = async (filter: Record<string, string | number | boolean>): Promise<string[]> =>
      refs(await find("quarterly report", filter)).toSorted();
    assert.deepEqual(await found({ userId: "u-1" }), ["1", "4"]);
    assert.deepEqual(await found({ userId: "u-1", kind: "document" }), ["1"]);
    assert.deepEqual(await found({ kind: "user" }), ["4"]);
    assert.deepEqual(await found({ year: 2026 }), ["1", "2"]);
    assert.deepEqual(await found({ final: false }), ["2"]);
    assert.deepEqual(await found({ "a.b-c_d": "x" }), ["1"]);
    assert.deepEqual(await found({ year: "2026" }), []);
    assert.deepEqual(await found({ constructor: "x" }), []);
    assert.deepEqual(await found({ tenantId: "filtering" }), ["1", "2", "3", "4"]);
  });

  test("words are matched in the language of the tenant's locale", async () => {
    const text = "Die Häuser am Fluss wurden verkauft.";
    const scoreFor = async (name: string, locale: string): Promise<number | undefined> => {
      const { put, find } = searchOf(data, contextOf(tenantOf(name, { locale })));
      await put({ ref: "doc", text });
      return (await find("Haus verkaufen"))[0]?.score;
    };
    assert.equal(await scoreFor("german", "de-CH"), 1);
    assert.equal(await scoreFor("english", "en"), 0.5);
    assert.equal(await scoreFor("japanese", "ja"), 0.5);
  });

  test("vectors of another embedder are not compared; the text is still found", async () => {
    const context = contextOf("changing");
    const [old, current] = [searchOf(data, context, OTHER_EMBEDDER), searchOf(data, context)];
    await old.put({ ref: "doc", text: "The authentication server" });
    assert.deepEqual(refs(await current.find("autentication")), []);
    assert.deepEqual(refs(await current.find("authentication")), ["doc"]);
    await current.put({ ref: "doc", text: "The authentication server" });
    assert.deepEqual(refs(await current.find("autentication")), ["doc"]);
    assert.deepEqual(refs(await old.find("autentication")), []);
  });

  test("an item without text is found by its title, and one without both does no harm", async () => {
    const { put, find } = searchOf(data, contextOf("empty"));
    await put({ ref: "titled", title: "Ada Lovelace", kind: "user" }, { ref: "nothing" });
    assert.deepEqual(refs(await find("lovelase")), ["titled"]);
    assert.deepEqual(await find("??? !!!"), []);
  });

  test("no more than the limit comes back, of any number of passages", async () => {
    const { put, search } = searchOf(data, contextOf("limits"));
    await put({ ref: "doc", text: paragraphs(120, "zebra") });
    for (const limit of [1, 7, 50]) assert.equal((await search.query({ query: "zebra", limit })).length, limit);
  });

  test("a prepared item is put as often as it takes, and only where it was prepared", async () => {
    const context = contextOf("preparing");
    const { search, find } = searchOf(data, context);
    const prepared = await search.prepare(itemOf("preparing", { ref: "doc", text: "okapi" }));
    assert.deepEqual({ ...prepared }, { kind: "document", ref: "doc", passages: 1 });
    for (let times = 0; times < 2; times++) await data.forTenant(context).transaction((tx) => search.put(tx, prepared));
    assert.deepEqual(refs(await find("okapi")), ["doc"]);
    await assert.rejects(
      data.forTenant(context).transaction((tx) => search.put(tx, { ...prepared })),
      { code: "internal" },
    );
  });

  test("what cannot be a query, a filter or an item is refused as such, and says what is wrong", async () => {
    const { search } = searchOf(data, contextOf("refusing"));
    const item = itemOf("refusing", { ref: "doc", text: "text" });
    const refusals: readonly (() => Promise<unknown>)[] = [
      ...["", " \n ", "x".repeat(2_001), "a\0b", "\ud800"].map((query) => () => search.query({ query, limit: 5 })),
      ...[0, 51, 1.5, Number.NaN].map((limit) => () => search.query({ query: "x", limit })),
      ...["", "a b", "1a", "__proto__", "a'b", "$.x", "x".repeat(65), "naïve"].map(
        (name) => () => search.query({ query: "x", limit: 5, filter: Object.fromEntries([[name, "x"]]) }),
      ),
      ...["x".repeat(513), "a\0b", Number.NaN, Infinity].map(
        (value) => () => search.query({ query: "x", limit: 5, filter: { name: value } }),
      ),
      () => search.query({ query: "x", limit: 5, filter: { kind: "session" } }),
      () => search.query({ query: "x", limit: 5, filter: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`n${at}`, at])) }),
      ...["", "x".repeat(513), "a\0b"].map((ref) => () => search.prepare({ ...item, ref })),
      () => search.prepare({ ...item, title: "x".repeat(1_001) }),
      () => search.prepare({ ...item, title: "a\0b" }),
      () => search.prepare({ ...item, text: "\udfff" }),
      () => search.prepare({ ...item, payload: { note: "a\0b" } }),
      () => search.prepare({ ...item, payload: { deep: [{ "a\0b": 1 }] } }),
      () => search.prepare({ ...item, payload: { note: ["\ud800"] } }),
    ];
    for (const refusal of refusals) {
      await assert.rejects(refusal(), (error: { code?: string; public?: { detail?: string } }) => {
        assert.equal(error.code, "malformed_request", refusal.toString());
        assert.ok(error.public?.detail);
        return true;
      });
    }
    await assert.rejects(search.prepare({ ...item, payload: { note: "x".repeat(20_000) } }), { code: "body_too_large" });
    await assert.rejects(search.prepare({ ...item, text: "x".repeat(1024 * 1024 + 1) }), { code: "body_too_large" });
  });

  test("a long question finds what its telling words are in, however it is written", async () => {
    const { put, find } = searchOf(data, contextOf("asking"));
    await put(
      { ref: "doc", title: "Hippopotamuses", text: "They live in rivers." },
      { ref: "other", text: "It is as it was, or so they say." },
    );
    const short = Array.from({ length: 120 }, (_, at) => `w${at}`);
    for (const joint of [" ", " or ", '" "', " -"]) {
      const [first] = await find(`${short.join(joint)}${joint}hippopotamuses`);
      assert.deepEqual([first?.ref, first?.part], ["doc", 0], joint);
    }
  });

  test("words written together count for more than the same words apart", async () => {
    const { put, find } = searchOf(data, contextOf("phrases"));
    await put(
      { ref: "apart", text: "red cars and old houses, old cars and red doors" },
      { ref: "together", text: "cars, doors and one red house, old" },
    );
    assert.equal((await find('"red house"'))[0]?.ref, "together");
  });

  test("no character of a query is an operator of the engine", async () => {
    const { put, find } = searchOf(data, contextOf("operators"));
    await put({ ref: "doc", text: "It's at https://example.com/a&b?c=d|e or C:\\temp\\o'neill, cat & dog" });
    for (const query of [
      "'",
      "''",
      "\\",
      "\\'",
      "a & b | !c",
      "!!",
      ":*",
      "cat:*",
      "<->",
      "(",
      '"',
      '"cat',
      "o'neill",
      "'; drop table points --",
      "$1",
      "%",
    ]) {
      await find(query);
    }
    assert.deepEqual(refs(await find("https://example.com/a&b?c=d|e")), ["doc"]);
    assert.equal((await find("C:\\temp\\o'neill"))[0]?.score, 1);
  });
});
