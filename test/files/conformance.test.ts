import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { Fault, type TenantContext, toFault } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import type { FileStore } from "../../src/stores/files/index.ts";
import type { VaultStore } from "../../src/stores/vault/index.ts";
import { createEngine } from "../support/engines.ts";
import { assertNoCanary, CANARY, contextOf, tenantOf, valueOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";
import { FILE_PLACES, type FilePlace, openFiles, pieces, readAll } from "./files-under-test.ts";

const SEGMENT = 64 * 1024;
const database = createEngine("PostgreSQL");
let data: DataStore;
let vault: VaultStore;

before(async () => {
  data = await database.open();
  vault = await openVault(data.system);
});
after(async () => {
  await vault.close();
  await database.close();
});

let tenants = 0;
/** A tenant that no other test has, with so much storage. */
function freshContext(storageLimit = 100_000_000): TenantContext {
  const name = `files-${++tenants}-${randomBytes(3).toString("hex")}`;
  const tenant = tenantOf(name);
  return contextOf({ ...tenant, quotas: { ...tenant.quotas, storageLimit } });
}

for (const [name, open] of Object.entries(FILE_PLACES)) {
  describe(`files: ${name}`, () => {
    let place: FilePlace;
    let files: FileStore;
    const reports: Fault[] = [];
    before(async () => {
      place = await open();
      files = openFiles({ data, vault, engine: place.engine, reports });
      for (const id of ["a", "b"]) await files.lifecycle.provision(tenantOf(id));
    });
    after(async () => {
      await files.close();
      await place.close();
    });
    /** A tenant of its own that may store. */
    const fresh = async (storageLimit?: number): Promise<TenantContext> => {
      const context = freshContext(storageLimit);
      await files.lifecycle.provision(context.tenant);
      return context;
    };

    test("give back what was stored, with its size, digest and type", async () => {
      const own = files.forTenant(await fresh());
      for (const bytes of [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 9 * 1024 * 1024 + 17]) {
        const content = randomBytes(bytes);
        const stored = await own.put(`size ${bytes}`, pieces(content.subarray(0, bytes / 3), content.subarray(bytes / 3)), {
          contentType: "image/png",
        });
        const sha256 = createHash("sha256").update(content).digest("hex");
        assert.deepEqual([stored.bytes, stored.sha256, stored.contentType], [bytes, sha256, "image/png"]);
        const got = await own.get(`size ${bytes}`);
        assert.ok((await readAll(got.content)).equals(content), String(bytes));
        assert.deepEqual([got.info, await own.stat(`size ${bytes}`)], [stored, stored]);
      }
      await assert.rejects(own.get("none"), { code: "not_found" });
      await assert.rejects(own.stat("none"), { code: "not_found" });
      await assert.rejects(own.delete("none"), { code: "not_found" });
    });

    test("give any range of bytes, and refuse one that is none of the file", async () => {
      const own = files.forTenant(contextOf("a"));
      const content = randomBytes(2 * SEGMENT + 1_000);
      await own.put("ranged", pieces(content));
      const edge = fc.constantFrom(0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, content.length - 1, content.length);
      const offset = fc.oneof(edge, fc.nat(content.length));
      await fc.assert(
        fc.asyncProperty(offset, offset, async (one, other) => {
          const [from, to] = [Math.min(one, other), Math.max(one, other)];
          const got = await own.get("ranged", { from, to });
          assert.deepEqual(got.range, { from, to });
          assert.ok((await readAll(got.content)).equals(content.subarray(from, to)), `${from}-${to}`);
        }),
        { numRuns: 40 },
      );
      assert.equal((await readAll((await own.get("ranged", { from: 10, to: 1e12 })).content)).length, content.length - 10);
      for (const range of [{ from: -1 }, { from: 2, to: 1 }, { from: content.length + 1 }, { from: 0.5 }, { from: Number.NaN }]) {
        await assert.rejects(own.get("ranged", range), { code: "malformed_request" });
      }
    });

    test("keep two tenants apart under one name, and what is kept shows nothing of them", async () => {
      const [a, b] = [files.forTenant(contextOf("a")), files.forTenant(contextOf("b"))];
      await a.put("letters/hello.txt", pieces(valueOf("a", "hello")));
      await b.put("letters/hello.txt", pieces(valueOf("b", "hello")), { contentType: "text/plain" });
      await b.put("only b", pieces(CANARY));
      assertNoCanary(await readAll((await a.get("letters/hello.txt")).content));
      assert.equal((await readAll((await b.get("letters/hello.txt")).content)).toString(), valueOf("b", "hello"));
      const refused = await a.get("only b").then(() => assert.fail("got it"), toFault);
      const missing = await a.get("of nobody").then(() => assert.fail("got it"), toFault);
      assert.deepEqual([refused.code, refused.message, refused.public], [missing.code, missing.message, missing.public]);
      await assert.rejects(a.delete("only b"), { code: "not_found" });
      assertNoCanary(await a.list({ limit: 1_000 }));
      assertNoCanary(await place.everything());
      assert.equal((await b.stat("only b")).bytes, CANARY.length);
    });

    test("replace a file wholly or not at all, and never mix two contents", async () => {
      const context = await fresh();
      const own = files.forTenant(context);
      await own.put("replaced", pieces("first"), { contentType: "text/plain" });
      const failing = (async function* () {
        yield Buffer.alloc(SEGMENT * 3);
        throw new Error("the caller went away");
      })();
      await assert.rejects(own.put("replaced", failing), /the caller went away/);
      assert.equal((await readAll((await own.get("replaced")).content)).toString(), "first");
      const ending = new AbortController();
      const aborted = (async function* () {
        yield Buffer.alloc(SEGMENT);
        ending.abort(new Error("ended"));
        yield Buffer.alloc(SEGMENT);
      })();
      await assert.rejects(own.put("replaced", aborted, { signal: ending.signal }), /ended/);
      await Promise.all(["one", "two", "three"].map((each) => own.put("replaced", pieces(...Array.from({ length: 5 }, () => each)))));
      const now = (await readAll((await own.get("replaced")).content)).toString();
      assert.ok(["one", "two", "three"].map((each) => each.repeat(5)).includes(now), now);
      assert.deepEqual(await own.use(), { items: 1, bytes: now.length });
      assert.equal((await place.engine.count(context.tenant.uuid)).items, 1, "nothing is left of the others");
    });

    test("list in the order of names, page by page, by prefix", async () => {
      const own = files.forTenant(await fresh());
      const names = ["a", "a/1", "a/2", "b", "b c", "é", "x/y/z"];
      for (const each of names.toReversed()) await own.put(each, pieces(each));
      const found: string[] = [];
      let from: string | undefined = "";
      while (from !== undefined) {
        const page: Awaited<ReturnType<typeof own.list>> = await own.list({ after: from, limit: 2 });
        found.push(...page.files.map((each) => each.name));
        from = page.next;
      }
      assert.deepEqual(
        found,
        names.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y))),
      );
      const namesOf = async (prefix: string): Promise<string[]> => (await own.list({ prefix, limit: 10 })).files.map((each) => each.name);
      assert.deepEqual(await namesOf("a/"), ["a/1", "a/2"]);
      assert.deepEqual([await namesOf("%"), await namesOf("a_1"), await namesOf("b")], [[], [], ["b", "b c"]]);
      for (const limit of [0, -1, 1.5, 1_001]) await assert.rejects(own.list({ limit }), { code: "malformed_request" });
      await assert.rejects(own.list({ prefix: "\0", limit: 1 }), { code: "malformed_request" });
    });

    test("count the tenant's quota to the byte: of two uploads at the last byte one is stored", async () => {
      const context = await fresh(1_000);
      const own = files.forTenant(context);
      await own.put("base", pieces(Buffer.alloc(900)));
      for (let round = 0; round < 10; round++) {
        const asked = ["one", "two", "three"].map((each) =>
          own.put(each, pieces(Buffer.alloc(50), Buffer.alloc(50))).then(() => each, toFault),
        );
        const results = await Promise.all(asked);
        const stored = results.filter((each) => typeof each === "string");
        assert.equal(stored.length, 1);
        for (const each of results) if (each instanceof Fault) assert.deepEqual([each.code, each.status], ["storage_full", 507]);
        assert.deepEqual(await own.use(), { items: 2, bytes: 1_000 });
        await assert.rejects(own.put("more", pieces("x")), { code: "storage_full" });
        await own.put("nothing", pieces());
        await own.put("base", pieces(Buffer.alloc(900, 1))); // what takes its own place needs no more
        await assert.rejects(own.put("base", pieces(Buffer.alloc(901))), { code: "storage_full" });
        await own.delete("nothing");
        await own.delete(stored[0] ?? "");
        assert.deepEqual(await own.use(), { items: 1, bytes: 900 });
      }
      assert.equal((await place.engine.count(context.tenant.uuid)).items, 1);
    });

    test("take no more of an upload than there is room for", async () => {
      const own = files.forTenant(await fresh(100_000));
      let sent = 0;
      const endless = (async function* () {
        for (;;) {
          sent += SEGMENT;
          yield Buffer.alloc(SEGMENT);
        }
      })();
      await assert.rejects(own.put("endless", endless), { code: "storage_full" });
      assert.ok(sent <= 3 * SEGMENT, `${sent} bytes were taken`);
    });

    test("give no byte that was changed, left out, doubled, moved, cut off or carried over from another file", async () => {
      const content = randomBytes(3 * SEGMENT + 5);
      const sealed = SEGMENT + 49;
      const changes: Record<string, (object: Buffer) => Buffer | null> = {
        "a bit": (object) => {
          const changed = Buffer.from(object);
          changed[sealed + 100] = (changed[sealed + 100] ?? 0) ^ 1;
          return changed;
        },
        "the first two swapped": (object) =>
          Buffer.concat([object.subarray(sealed, 2 * sealed), object.subarray(0, sealed), object.subarray(2 * sealed)]),
        "one left out": (object) => Buffer.concat([object.subarray(0, sealed), object.subarray(2 * sealed)]),
        "one doubled": (object) => Buffer.concat([object.subarray(0, sealed), object.subarray(0, sealed), object.subarray(2 * sealed)]),
        "the last left out": (object) => object.subarray(0, 3 * sealed),
        "cut off in the middle": (object) => object.subarray(0, 2 * sealed + 7),
        "only zeroes": (object) => Buffer.alloc(object.length),
      };
      for (const [what, change] of Object.entries(changes)) {
        const own = files.forTenant(await fresh());
        await own.put("kept", pieces(content));
        await place.tamper((object) => (object.length > 3 * sealed && object.length < 4 * sealed ? change(object) : object));
        const read: Uint8Array[] = [];
        const error = await (async () => {
          for await (const piece of (await own.get("kept")).content) read.push(piece);
        })().then(() => assert.fail(`${what} was read`), toFault);
        assert.ok(["isolation_violation", "dependency_unavailable"].includes(error.code), `${what}: ${error.code}`);
        const got = Buffer.concat(read);
        assert.ok(content.subarray(0, got.length).equals(got), `${what}: bytes were given that are not the file's`);
        await place.tamper(() => null);
        await assert.rejects(
          own.get("kept").then(({ content: gone }) => readAll(gone)),
          { code: "dependency_unavailable" },
          what,
        );
      }
    });

    test("leave nothing counted and nothing readable of an upload that was killed, and the sweep removes it", async () => {
      const context = await fresh();
      const own = files.forTenant(context);
      const { uuid } = context.tenant;
      // what a killed process leaves: an object that is written, whole or in part, and the row that says so
      const object = "018f0000-0000-7000-8000-0000000000aa";
      await data.system.query(sql`
        insert into freehold.file_leftovers (tenant_id, object, until) values (${uuid}, ${object}, now() - interval '1 second')`);
      await place.engine.write(uuid, object, pieces(randomBytes(1_000)));
      assert.deepEqual([await own.use(), (await own.list({ limit: 10 })).files], [{ items: 0, bytes: 0 }, []]);
      assert.equal((await place.engine.count(uuid)).items, 1);
      await files.sweep();
      assert.deepEqual(await place.engine.count(uuid), { items: 0, bytes: 0 });
      const { rows } = await data.system.query(sql`select from freehold.file_leftovers where tenant_id = ${uuid}`);
      assert.equal(rows.length, 0);
    });

    test("store nothing of an upload that was given up while it stood still", async () => {
      const context = await fresh();
      const own = files.forTenant(context);
      const { uuid } = context.tenant;
      const slow = (async function* () {
        yield Buffer.alloc(SEGMENT);
        await data.system.query(sql`update freehold.file_leftovers set until = now() - interval '1 second' where tenant_id = ${uuid}`);
        await files.sweep();
        yield Buffer.alloc(SEGMENT);
      })();
      await assert.rejects(own.put("slow", slow), { code: "conflict" });
      assert.deepEqual(await own.use(), { items: 0, bytes: 0 });
      await files.sweep();
      assert.deepEqual(await place.engine.count(uuid), { items: 0, bytes: 0 });
    });

    test("are unreadable once the tenant's keys are destroyed", async () => {
      const context = await fresh();
      const own = files.forTenant(context);
      await own.put("secret", pieces("value"));
      await vault.lifecycle.erase(context.tenant);
      await assert.rejects(
        own.get("secret").then(({ content }) => readAll(content)),
        { code: "not_found" },
      );
      await assert.rejects(own.put("secret", pieces("value")), { code: "not_found" });
    });

    test("leave with the tenant whole, come back as another's own, and then nothing remains", async () => {
      const { lifecycle } = files;
      const [from, to] = [await fresh(), await fresh(1)];
      const contents = new Map([
        ["a", Buffer.from("")],
        ["b/c", randomBytes(SEGMENT + 3)],
        ["d", Buffer.from("text")],
      ]);
      for (const [each, content] of contents) await files.forTenant(from).put(each, pieces(content), { contentType: "text/plain" });
      assert.deepEqual(await lifecycle.measure(from.tenant), { items: 3, bytes: SEGMENT + 7 });
      await lifecycle.import(to.tenant, lifecycle.export(from.tenant));
      await lifecycle.import(to.tenant, lifecycle.export(from.tenant)); // again, as after a kill
      for (const [each, content] of contents) {
        const got = await files.forTenant(to).get(each);
        assert.ok((await readAll(got.content)).equals(content));
        assert.equal(got.info.contentType, "text/plain");
      }
      assert.equal((await lifecycle.remains(from.tenant)).length, 3);
      await lifecycle.erase(from.tenant);
      await lifecycle.erase(from.tenant);
      assert.deepEqual(await lifecycle.remains(from.tenant), []);
      assert.deepEqual(await lifecycle.measure(from.tenant), { items: 0, bytes: 0 });
      assert.equal((await files.forTenant(to).list({ limit: 10 })).files.length, 3);
      for (const record of [
        { kind: "user", value: {} },
        { kind: "file", value: { name: "x", contentType: "text/plain", sha256: "0".repeat(64) }, bytes: Buffer.from("y") },
        {
          kind: "file",
          value: { name: "../x", contentType: "text/plain", sha256: createHash("sha256").digest("hex") },
          bytes: Buffer.alloc(0),
        },
      ]) {
        const records = (async function* () {
          yield record;
        })();
        await assert.rejects(lifecycle.import(to.tenant, records), { name: "Fault" }, record.kind);
      }
      assert.equal((await files.forTenant(to).list({ limit: 10 })).files.length, 3);
    });

    test("did nothing that was not as it has to be", () => assert.deepEqual([...place.problems(), ...reports], []));
  });
}
