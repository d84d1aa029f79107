import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deflateSync } from "node:zlib";
import { guard, startFreehold } from "../support/freehold.ts";
import type { Reply } from "../support/freehold-client.ts";
import { pdfOf } from "./pdf.ts";

const freehold = await startFreehold();
const { a, b } = freehold.credentials;

interface Shown {
  readonly title: string;
  readonly text: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly search: { readonly state: string; readonly passages: number; readonly found: number };
}

function upload(id: string, type: string, body: string | Uint8Array, query = ""): Promise<Reply> {
  return freehold.as(a.member).send("PUT", `/documents/${id}${query}`, { headers: { "content-type": type }, body });
}

async function show(id: string): Promise<Shown> {
  return (await freehold.as(a.member).get(`/documents/${id}`)).json();
}

/** The ids and the passages that are found. */
async function find(query: string): Promise<readonly string[]> {
  const reply = await freehold.as(a.member).post("/search", { query, limit: 3, filter: { kind: "document" } });
  return reply.json<{ results: { id: string; text: string }[] }>().results.flatMap(({ id, text }) => [id, text]);
}

describe("an uploaded document", () => {
  guard(freehold);

  for (const [type, id, body, title, text] of [
    ["text/plain", "plain", "Wombats dig burrows.\nThey do so at night.", "Wombats dig burrows.", /^Wombats dig burrows\.\nThey/],
    [
      "text/markdown; charset=utf-8",
      "marked",
      "Intro.\n\n## Quokkas smile ##\n\nThey live on an island.",
      "Quokkas smile",
      /## Quokkas smile/,
    ],
    [
      "TEXT/HTML",
      "page",
      "<title>Numbats &amp; ants</title><nav>Menu</nav><h1>Numbats</h1><p>They eat <b>termites</b>.<script>alert(1)</script>",
      "Numbats & ants",
      /Numbats\s+They eat termites\./,
    ],
    [
      "application/pdf",
      "paper",
      pdfOf(["Bilbies have long ears.", "Their burrows are spirals."], "All about bilbies"),
      "All about bilbies",
      /long ears\.\n\nTheir burrows/,
    ],
  ] as const) {
    test(`as ${type} is read, named after its own title and found at once`, async () => {
      const reply = await upload(id, type, body);
      assert.equal(reply.status, 201, reply.text);
      const shown = await show(id);
      assert.equal(shown.title, title);
      assert.match(shown.text, text);
      assert.ok(!/Menu|alert/.test(shown.text), shown.text);
      assert.deepEqual(shown.search, { state: "ready", passages: 1, found: 1 });
      assert.ok((await find(title)).includes(id));
    });
  }

  test("takes the place of the one before, whose values stay; a title in the query goes before its own", async () => {
    const member = freehold.as(a.member);
    assert.equal(
      (await member.post("/documents", { id: "kept", text: "Old words about dugongs.", metadata: { shelf: "sea" } })).status,
      201,
    );
    assert.equal((await upload("kept", "text/plain", "New words about manatees.", "?title=Sea%20cows")).status, 201);
    const shown = await show("kept");
    assert.deepEqual([shown.title, shown.text, shown.metadata], ["Sea cows", "New words about manatees.", { shelf: "sea" }]);
    assert.ok((await find("dugongs")).every((found) => !found.includes("dugongs")));
  });

  test("in another charset has the same characters", async () => {
    assert.equal((await upload("latin", "text/plain; charset=iso-8859-1", Buffer.from("Über den Känguru-Ständer", "latin1"))).status, 201);
    assert.equal((await show("latin")).text, "Über den Känguru-Ständer");
  });

  test("that is long is found soon, and says how far it is", async () => {
    const text = Array.from({ length: 400 }, (_, at) => `Chapter ${at}. ${"Echidnas walk on and on and on. ".repeat(30)}`).join("\n\n");
    const reply = await upload("long", "text/plain", text);
    assert.equal(reply.status, 202, reply.text);
    const { passages } = reply.json<{ passages: number }>();
    assert.ok(passages > 400);
    await freehold.app.services.worker.drain();
    assert.deepEqual((await show("long")).search, { state: "ready", passages, found: passages });
    assert.ok((await find("Chapter 399 echidnas")).includes("long"));
    // a shorter one leaves nothing of it behind
    assert.equal((await upload("long", "text/plain", "Short.")).status, 201);
    await freehold.app.services.worker.drain();
    assert.deepEqual((await show("long")).search, { state: "ready", passages: 1, found: 1 });
    assert.ok((await find("Chapter 399 echidnas")).every((found) => !found.includes("Echidnas")));
  });

  test("is refused with the reason where it cannot be read, and the one before stays", async () => {
    assert.equal((await upload("firm", "text/plain", "It stays.")).status, 201);
    for (const [type, body, status, code, detail] of [
      ["image/png", "x", 415, "unsupported_media_type", /application\/pdf/],
      ["text/plain; charset=klingon", "x", 415, "unsupported_media_type", /charset/],
      ["text/plain", Buffer.from([0xff, 0xfe, 0xfd]), 400, "malformed_request", /utf-8/],
      ["text/plain", "  \n ", 400, "malformed_request", /no text/],
      ["application/pdf", "%PDF-1.7 and nothing else", 400, "malformed_request", /damaged/],
      ["application/pdf", pdfOf([""]), 400, "malformed_request", /no text/],
      ["text/html", "<script>only()</script>", 400, "malformed_request", /no text/],
      ["text/plain", "word ".repeat(100_001), 413, "body_too_large", /500000 characters/],
    ] as const) {
      const reply = await upload("firm", type, body);
      assert.deepEqual([reply.status, reply.code], [status, code], reply.text);
      assert.match(String(reply.json()["detail"]), detail);
    }
    assert.equal((await show("firm")).text, "It stays.");
    for (const id of ["..", "%2e%2e", "a%20b", "x".repeat(129)]) assert.equal((await upload(id, "text/plain", "x")).status, 400, id);
  });

  test("that was made to exhaust its reader ends it, and nothing else", async () => {
    const bomb = deflateSync(Buffer.alloc(512 * 1024 * 1024, "q 1 0 0 1 0 0 cm Q "));
    const head = pdfOf(["x"]).toString("latin1");
    const packed = head.replace(
      /<< \/Length \d+ >>\nstream\n[^]*?\nendstream/,
      () => `<< /Length ${bomb.length} /Filter /FlateDecode >>\nstream\n${bomb.toString("latin1")}\nendstream`,
    );
    // a million paragraphs need more memory than there is for it
    const reading = [
      upload("bomb", "application/pdf", Buffer.from(packed, "latin1")),
      upload("wide", "text/html", "<p>x ".repeat(1_000_000)),
    ];
    assert.equal((await freehold.trusted(b.member).get("/documents")).status, 200);
    const replies = await Promise.all(reading);
    assert.deepEqual(
      replies.map(({ code }) => code).toSorted(),
      ["concurrency_exceeded", "malformed_request"],
      "one at a time of one tenant",
    );
    assert.equal((await upload("wide", "text/html", "<p>x ".repeat(1_000_000))).code, "malformed_request");
    assert.equal((await upload("after", "text/html", "<p>As ever.</p>")).status, 201);
  });

  test("is the tenant's alone, and is counted against its storage", async () => {
    const before = await freehold.fingerprint("b");
    assert.equal((await upload("doc-1", "text/plain", "Of a alone.")).status, 201);
    assert.deepEqual(await freehold.fingerprint("b"), before);
    const [counted] = await freehold.sql<{ value: string; real: string }>(
      `select (select value from freehold.counters c where c.tenant_id = t.uuid and c.name = 'storageBytes') as value,
        (select sum(octet_length(body)) from freehold.documents d where d.tenant_id = t.uuid) as real from freehold.tenants t where t.id = 'a'`,
    );
    assert.equal(counted?.value, counted?.real);
  });
});
