import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import { CANARY } from "../support/tenants.ts";
import { until } from "../support/until.ts";

const NUMBER_DIGITS = 8;
const freehold = await startFreehold();
const { a, b } = freehold.credentials;
const operator = freehold.trusted(freehold.platform.admin);
const at = (name: string): string => `/files/content?name=${encodeURIComponent(name)}`;

interface Listed {
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string; readonly contentType: string }[];
  readonly next?: string;
}

async function list(query = ""): Promise<Listed> {
  return (await freehold.as(a.member).get(`/files${query}`)).json<Listed>();
}

/** An upload whose end has not been sent. */
function beginUpload(name: string, bytes: number) {
  const url = new URL(freehold.as(a.member).url);
  const headers = { ...a.member, "content-length": String(bytes) };
  const outgoing = request({ host: url.hostname, port: url.port, method: "PUT", path: at(name), headers });
  const answer = new Promise<number>((resolve) => {
    outgoing.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    outgoing.on("error", () => resolve(0));
  });
  return { outgoing, answer };
}

async function uploads(): Promise<number> {
  const [row] = await freehold.sql<{ count: number }>(
    "select count(*)::integer as count from freehold.file_leftovers where until is not null",
  );
  return row?.count ?? 0;
}

describe("files over HTTP", () => {
  guard(freehold);

  test("are stored as they come, read, listed and deleted", async () => {
    const client = freehold.as(a.member);
    const content = numbers(3_000_000);
    const sha256 = createHash("sha256").update(content).digest("hex");
    const stored = await client.send("PUT", at("reports/2026/may 1.pdf"), {
      body: content,
      headers: { "content-type": "application/pdf" },
    });
    assert.deepEqual([stored.status, stored.json()["sha256"], stored.json()["bytes"]], [200, sha256, content.length]);
    const read = await client.get(at("reports/2026/may 1.pdf"));
    assert.ok(read.body.equals(content));
    assert.deepEqual(
      [read.status, read.headers["content-type"], read.headers["content-length"], read.headers["etag"], read.headers["accept-ranges"]],
      [200, "application/pdf", "3000000", `"${sha256}"`, "bytes"],
    );
    assert.equal(read.headers["content-disposition"], "attachment; filename*=UTF-8''may%201.pdf");
    const head = await client.send("HEAD", at("reports/2026/may 1.pdf"));
    assert.deepEqual([head.status, head.headers["content-length"], head.body.length], [200, "3000000", 0]);
    const same = await client.get(at("reports/2026/may 1.pdf"), { headers: { "if-none-match": `"x", "${sha256}"` } });
    assert.deepEqual([same.status, same.body.length], [304, 0]);
    for (const name of ["b", "c", "reports/x"]) await client.send("PUT", at(name), { body: name });
    const page = await list("?limit=2");
    assert.deepEqual([page.files.map(({ name }) => name), page.next], [["b", "c"], "c"]);
    assert.deepEqual(
      (await list("?prefix=reports/")).files.map(({ name, bytes }) => [name, bytes]),
      [
        ["reports/2026/may 1.pdf", 3_000_000],
        ["reports/x", 9],
      ],
    );
    assert.equal((await client.send("DELETE", at("b"))).status, 204);
    for (const method of ["GET", "DELETE"]) assert.equal((await client.send(method, at("b"))).code, "not_found");
  });

  test("are given in any one range, and not in one that is none", async () => {
    const client = freehold.as(a.member);
    const content = numbers(200_000);
    const tag = String((await client.send("PUT", at("range"), { body: content })).json()["sha256"]);
    const get = async (range: string, condition?: string) =>
      await client.get(at("range"), { headers: { range, ...(condition !== undefined && { "if-range": condition }) } });
    for (const [range, from, to] of [
      ["bytes=0-0", 0, 1],
      ["bytes=65535-65536", 65_535, 65_537],
      ["bytes=199999-", 199_999, 200_000],
      ["bytes=100-9999999", 100, 200_000],
      ["bytes=-1", 199_999, 200_000],
    ] as const) {
      const part = await get(range, `"${tag}"`);
      assert.deepEqual(
        [part.status, part.headers["content-range"], part.headers["content-length"]],
        [206, `bytes ${from}-${to - 1}/200000`, String(to - from)],
      );
      assert.ok(part.body.equals(content.subarray(from, to)), range);
    }
    for (const range of ["bytes=200000-", "bytes=-0"]) {
      const none = await get(range);
      assert.deepEqual([none.status, none.code, none.headers["content-range"]], [416, "range_not_satisfiable", "bytes */200000"]);
    }
    for (const range of ["bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=-"])
      assert.equal((await get(range)).status, 200, range);
    assert.equal((await get("bytes=0-0", '"of another content"')).body.length, 200_000);
  });

  test("of another tenant are like those that never were, and names lead nowhere else", async () => {
    await freehold.trusted(b.member).send("PUT", at("of-b"), { body: CANARY });
    await freehold.trusted(b.member).send("PUT", at("c"), { body: CANARY });
    const client = freehold.as(a.member);
    const before = await freehold.fingerprint("b");
    for (const method of ["GET", "DELETE"]) {
      const [foreign, nobodys] = [await client.send(method, at("of-b")), await client.send(method, at("of-nobody"))];
      assert.deepEqual([foreign.status, foreign.code], [404, "not_found"]);
      assert.equal(nobodys.status, 404);
    }
    await client.send("PUT", at("c"), { body: "a's own" });
    assert.equal((await client.get(at("c"))).text, "a's own");
    for (const name of ["../of-b", "x/../../of-b", "/etc/passwd", "a//b", "a\\b", "con", "a\u0000b", "a\u202Eb", ""]) {
      assert.equal((await client.send("PUT", at(name), { body: "x" })).status, 400, JSON.stringify(name));
      assert.equal((await client.get(at(name))).status, 400, JSON.stringify(name));
    }
    assert.deepEqual(await freehold.fingerprint("b"), before);
    assert.equal((await freehold.trusted(b.member).get(at("c"))).text, CANARY);
  });

  test("keep to the quota, and leave a file as it was when they do not fit, break off or are compressed", async () => {
    const client = freehold.as(a.member);
    await client.send("PUT", at("kept"), { body: "as it was" });
    const { bytes } = (await list("?prefix=kept")).files[0] ?? assert.fail();
    assert.equal(bytes, 9);
    const refused = await client.send("PUT", at("kept"), { body: "x", headers: { "content-encoding": "gzip" } });
    assert.equal(refused.status, 415);
    assert.equal((await client.send("PUT", at("kept"), { body: "x", headers: { "content-type": "not a type" } })).status, 400);
    const { outgoing, answer } = beginUpload("kept", 1_000_000);
    outgoing.write(randomBytes(300_000));
    await until("the upload is under way", async () => (await uploads()) === 1);
    outgoing.destroy();
    await answer;
    await until("nothing is left of it", async () => (await uploads()) === 0);
    const used = (await list("?limit=200")).files.reduce((sum, file) => sum + file.bytes, 0);
    await operator.send("PATCH", "/admin/v1/tenants/a", { json: { quotas: { storageLimit: used + 100 } } });
    const full = await client.send("PUT", at("more"), { body: randomBytes(101) });
    assert.deepEqual([full.status, full.code], [507, "storage_full"]);
    assert.equal((await client.send("PUT", at("more"), { body: randomBytes(100) })).status, 200);
    await operator.send("PATCH", "/admin/v1/tenants/a", { json: { quotas: { storageLimit: 1_000_000_000 } } });
    assert.equal((await client.get(at("kept"))).text, "as it was");
  });

  test("that cannot be opened are refused, and not promised and broken off", async () => {
    const client = freehold.as(a.member);
    for (const name of ["one", "other"]) assert.equal((await client.send("PUT", at(name), { body: `content of ${name}` })).status, 200);
    // the one segment that there is was sealed as the last one, and is not
    await freehold.sql("update freehold.files set bytes = 70000 where name = 'other'");
    const reply = await client.get(at("other"));
    assert.ok(reply.status >= 500 && reply.code !== undefined, `${reply.status} ${reply.text}`);
    assert.ok(!reply.text.includes("content of"));
    assert.equal((await client.send("HEAD", at("other"))).status, 200);
    assert.equal((await client.get(at("one"))).text, "content of one");
    await client.send("DELETE", at("other"));
  });

  test("under way end when their tenant is suspended, also where nothing more comes", async () => {
    const { outgoing, answer } = beginUpload("late", 1_000_000);
    outgoing.write(randomBytes(100_000));
    await until("the upload is under way", async () => (await uploads()) === 1);
    await operator.send("POST", "/admin/v1/tenants/a/suspend");
    assert.ok([0, 403].includes(await answer));
    outgoing.destroy();
    await until("nothing is left of it", async () => (await uploads()) === 0);
    await operator.send("POST", "/admin/v1/tenants/a/resume");
    await until("it is served", async () => (await freehold.as(a.member).get(at("late"))).status === 404);
  });

  test("are in the document of the API", async () => {
    const { paths } = (await freehold.as({}).get("/openapi.json")).json<{
      paths: Record<string, Record<string, { parameters: unknown[] }>>;
    }>();
    assert.deepEqual(Object.keys(paths["/files/content"] ?? {}).toSorted(), ["delete", "get", "put"]);
    assert.ok(paths["/files"]?.["get"]);
    assert.deepEqual(paths["/files/content"]?.["put"]?.parameters, [
      { name: "name", in: "query", required: true, schema: { type: "string", minLength: 1 } },
    ]);
  });
});

/** Text that is another at each place. Random bytes can spell what no answer may show. */
function numbers(bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes / NUMBER_DIGITS }, (_, n) => String(n).padStart(NUMBER_DIGITS, "0")).join(""));
}
