import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, utimesSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { Fault, type Tenant } from "../../src/kernel/index.ts";
import { sql } from "../../src/stores/data/index.ts";
import { createLexicalEmbedder, createSearchStore } from "../../src/stores/search/index.ts";
import { eachEngine, type Place, temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";
import {
  exportOf,
  FILLED,
  filledTenant,
  freshId,
  importInto,
  install,
  type Installed,
  recordsIn,
  rowsOf,
  SECRET,
} from "./lifecycle-under-test.ts";
import { archiveOf, badRecords, entriesOf, type Made, tarOf, userRecord, withSize } from "./made-archive.ts";

eachEngine((engine) => {
  describe("the archive of a tenant", () => {
    let place: Place;
    let here: Installed;
    let there: Installed;
    let tenant: Tenant;
    let archive: Buffer;

    before(async () => {
      place = await engine.place();
      here = await install(await place.open(), temporaryFolder());
      // another installation: another database and another root key
      there = await install(await engine.open(), temporaryFolder(), { rootKey: Buffer.alloc(32, 9) });
      tenant = await filledTenant(here, freshId("acme"), "a");
      await filledTenant(here, freshId("globex"), "b");
      archive = await exportOf(here, tenant);
    });
    after(async () => {
      await here.close();
      await there.close();
    });

    test("holds all of the tenant, nothing of another and no secret", async () => {
      const text = gunzipSync(archive).toString("utf8");
      assertNoCanary(text);
      for (const secret of [SECRET, tenant.uuid, "hash", "sealed"]) assert.ok(!text.includes(secret), `the archive has ${secret}`);
      const records = await recordsIn(here, archive);
      const counts: Record<string, Record<string, number>> = {};
      for (const [store, all] of Object.entries(records)) {
        for (const { kind } of all) (counts[store] ??= {})[kind] = (counts[store]?.[kind] ?? 0) + 1;
      }
      assert.deepEqual(counts["data"], FILLED);
      assert.deepEqual(counts["events"], { event: 1, dead_letter: 1 });
      assert.ok((counts["search"]?.["passage"] ?? 0) > FILLED.documents, "no document has two passages");
      assert.deepEqual(counts["registry"], { settings: 1 });
    });

    test("is taken by another installation, and the archive of what was made there is the same", async () => {
      const imported = await importInto(there, archive, "acme-again");
      assert.deepEqual([imported.status, imported.plan, imported.locale, imported.name], ["active", "professional", "de-CH", tenant.name]);
      assert.equal(imported.agentConfig.timeout, 12_345);
      assert.notEqual(imported.uuid, tenant.uuid);
      assert.deepEqual(await recordsIn(there, await exportOf(there, imported)), await recordsIn(here, archive));
      const { rows } = await there.store.forTenant(contextOf(imported)).query(sql`select name, value from freehold.counters order by name`);
      assert.deepEqual(rows, [
        { name: "storageBytes", value: FILLED.documents * Buffer.byteLength("body äöü 漢") },
        { name: "users", value: FILLED.users },
      ]);
      const search = createSearchStore({ data: there.store, embedder: createLexicalEmbedder() });
      const hits = await search.forTenant(contextOf(imported)).query({ query: "body", limit: 5, filter: { kind: "document" } });
      assert.deepEqual(
        hits.map(({ payload }) => payload["tenantId"]),
        Array.from({ length: 5 }, () => "acme-again"),
      );
    });

    test("can be taken a second time beside the first tenant, and changes neither it nor others", async () => {
      const first = await recordsIn(here, archive);
      const second = await importInto(here, archive, freshId("copy"));
      assert.deepEqual(await recordsIn(here, await exportOf(here, second)), first);
      assert.deepEqual(await recordsIn(here, await exportOf(here, tenant)), first);
    });

    test("of a name that is taken is refused and changes nothing", async () => {
      await assert.rejects(importInto(here, archive, tenant.id), { code: "conflict" });
      assert.deepEqual(await recordsIn(here, await exportOf(here, tenant)), await recordsIn(here, archive));
    });

    describe("that is damaged or hostile", () => {
      let parts: readonly Made[];

      before(async () => {
        parts = await entriesOf(archive);
      });

      /** Refused as an archive, and nothing of it is anywhere: no tenant, no row, no file. */
      async function assertRefused(bytes: Uint8Array, what: string, code = "invalid_archive", detail = /./): Promise<void> {
        const id = freshId("refused");
        const was = await totals();
        await assert.rejects(importInto(there, bytes, id), (error) => {
          assert.ok(error instanceof Fault, what);
          assert.equal(error.code, code, what);
          assert.match(error.public.detail ?? "", detail, what);
          return true;
        });
        assert.equal(await there.registry.find(id), undefined, `${what}: the tenant stays`);
        assert.deepEqual(await totals(), was, `${what}: rows stay`);
        assert.deepEqual(readdirSync(path.join(there.folder, "imports")), [], `${what}: the upload stays`);
      }

      async function totals(): Promise<unknown> {
        const { rows } = await there.store.system.query(sql`
          select (select count(*) from freehold.tenants) as tenants, (select count(*) from freehold.outbox) as outbox,
            (select count(*) from freehold.dead_letters) as letters, (select count(*) from freehold.tenant_domains) as domains`);
        return rows;
      }

      test("is refused when any byte of it is changed, or it is cut off, or goes on", async (t) => {
        const seed = Math.floor(Math.random() * 2 ** 31);
        t.diagnostic(`seed ${seed}`);
        const raw = gunzipSync(archive);
        await fc.assert(
          fc.asyncProperty(fc.nat(raw.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
            const changed = Buffer.from(raw);
            changed[at] = (changed[at] ?? 0) ^ flip;
            // bytes that say nothing: padding, dates, and who owns a file
            if (JSON.stringify(await entriesOf(gzipSync(changed)).catch(() => [])) === JSON.stringify(parts)) return;
            await assertRefused(gzipSync(changed), `byte ${at} changed by ${flip}`);
          }),
          { seed, numRuns: 25 },
        );
        await assertRefused(archive.subarray(0, archive.length - 200), "cut off");
        await assertRefused(archive.subarray(0, 20), "nearly nothing");
        await assertRefused(new Uint8Array(0), "nothing");
        await assertRefused(gzipSync("no tar at all"), "no tar");
      });

      test("is refused when it holds what is no file of an archive: paths that lead away, links, devices", async () => {
        const [head, ...rest] = parts;
        assert.ok(head);
        for (const name of ["../../escape", "/etc/cron.d/x", "data/../../escape.jsonl", "data/99999999.jsonl", "data\\00000000.jsonl"]) {
          await assertRefused(await tarOf([head, { name, content: "{}\n" }, ...rest]), name);
        }
        for (const type of ["symlink", "link", "directory", "fifo", "character-device"] as const) {
          const entry = { name: "data/00000000.jsonl", content: "", header: { type, linkname: "/etc/passwd" } };
          await assertRefused(await tarOf([head, entry, ...rest]), type);
        }
      });

      test("is refused when parts are missing, doubled, in another order, or not what the manifest says", async () => {
        const [head, first, second, ...rest] = parts;
        assert.ok(head && first && second);
        await assertRefused(await tarOf([head, second, ...rest]), "one is missing");
        await assertRefused(await tarOf([head, first, first, second, ...rest]), "one is doubled");
        await assertRefused(await tarOf([head, second, first, ...rest]), "another order");
        await assertRefused(await tarOf([first, second, ...rest]), "no head");
        await assertRefused(await tarOf(parts.slice(0, -1)), "no manifest");
        await assertRefused(await tarOf([...parts, { name: "data/00000009.jsonl", content: "{}\n" }]), "something after the manifest");
        await assertRefused(
          await tarOf([head, { ...first, content: first.content.replace("Ann", "Eve") }, second, ...rest]),
          "another digest",
        );
        await assertRefused(
          await tarOf([{ ...head, content: head.content.replace('"format":1', '"format":2') }, first, second, ...rest]),
          "format",
        );
      });

      test("is refused when it is much larger inside than outside, before it is read", async () => {
        const [head] = parts;
        assert.ok(head);
        const line = (n: number): Made => ({
          name: `data/0000000${n}.jsonl`,
          content: `{"kind":"users","value":{"id":"${"0".repeat(15 * 1024 * 1024)}"}}\n`,
        });
        const bomb = await tarOf([head, ...Array.from({ length: 9 }, (_, n) => line(n))]);
        assert.ok(bomb.length < 300_000, "no bomb");
        await assertRefused(bomb, "bomb", "invalid_archive", /too large/);
        const claimed = withSize(gunzipSync(await tarOf([head, { name: "data/00000000.jsonl", content: "{}\n" }])), 1, 10 * 1024 ** 3);
        await assertRefused(gzipSync(claimed), "an entry of 10 GiB", "invalid_archive", /larger than it may be/);
      });

      test("is refused whole when a single record does not fit, with all digests right", async () => {
        const other = (await filledTenant(there, freshId("victim"), "a")).uuid;
        const was = await rowsIn(other);
        for (const [what, [store, record]] of Object.entries(badRecords(other))) {
          // what comes before it has been stored already when it is met
          const good = { store: "data", line: JSON.stringify(userRecord({ id: "good" })) };
          await assertRefused(await archiveOf([good, { store, line: JSON.stringify(record) }]), what);
        }
        await assertRefused(await archiveOf([{ store: "data", line: '{"kind":"users","kind":"plans","value":{}}' }]), "a name twice");
        await assertRefused(
          await archiveOf([{ store: "data", line: `{"kind":"users","value":${"[".repeat(200)}${"]".repeat(200)}}` }]),
          "too deep",
        );
        await assertRefused(
          await archiveOf([{ store: "data", line: '{"kind":"users","value":{},"file":"/etc/passwd"}' }]),
          "a file elsewhere",
        );
        assert.deepEqual(await rowsIn(other), was);
      });

      test("leaves out a row whose parent is not there, and takes the rest", async () => {
        const message = {
          kind: "messages",
          value: {
            session_id: "gone",
            seq: 1,
            id: "0198c0de-0000-7000-8000-000000000001",
            role: "user",
            body: "x",
            citations: [],
            created_at: "2026-01-01T00:00:00Z",
          },
        };
        const imported = await importInto(there, await archiveOf([{ store: "data", line: JSON.stringify(message) }]), freshId("orphan"));
        const run = await there.lifecycle.newest(imported);
        const { vault: _keys, ...stored } = run?.notes.stored ?? {};
        assert.deepEqual(stored, { data: 0, search: 0, events: 0, models: 0 });
      });

      async function rowsIn(uuid: string): Promise<unknown> {
        return await there.store.rows.count({ uuid, id: tenant.id });
      }
    });

    test("that nobody reads to its end holds nothing up", async () => {
      for await (const piece of here.lifecycle.export(tenant)) {
        assert.ok(piece.length > 0);
        break;
      }
      assert.deepEqual(await recordsIn(here, await exportOf(here, tenant)), await recordsIn(here, archive));
    });

    test("that was brought and never imported is taken away after a day", async () => {
      const [old, recent] = [randomUUID(), randomUUID()];
      for (const upload of [old, recent]) await here.lifecycle.upload(upload, 0, archive);
      const lying = (): readonly string[] => readdirSync(path.join(here.folder, "imports"));
      assert.equal(lying().length, 2);
      const twoDaysAgo = new Date(Date.now() - 2 * 86_400_000);
      utimesSync(path.join(here.folder, "imports", `${old}.tar.gz`), twoDaysAgo, twoDaysAgo);
      here.lifecycle.start();
      await until("the old one to be gone", () => lying().length === 1);
      assert.deepEqual(lying(), [`${recent}.tar.gz`]);
    });

    test("breaks off where a store fails, and is then refused", async () => {
      const broken = await install(here.store, temporaryFolder(), {
        change: (stores) => [
          ...stores,
          {
            ...must(stores[0]),
            name: "broken",
            async *export() {
              yield { kind: "x", value: {} };
              throw new Error("the disk is gone");
            },
          },
        ],
      });
      const pieces: Uint8Array[] = [];
      await assert.rejects(async () => {
        for await (const piece of broken.lifecycle.export(tenant)) pieces.push(piece);
      }, /the disk is gone/);
      await assert.rejects(importInto(there, Buffer.concat(pieces), freshId("half")), { code: "invalid_archive" });
      await broken.close();
    });

    test("of everything else in the database: the test's own look at the catalogue finds what was filled", async () => {
      if (engine.name !== "PostgreSQL") return; // no second connection while the embedded store is open
      const rows = await rowsOf((text) => place.administer(text), tenant.uuid);
      assert.deepEqual(Object.keys(rows).toSorted(), [
        "freehold.api_keys",
        "freehold.audit_entries",
        "freehold.dead_letters",
        "freehold.documents",
        "freehold.messages",
        "freehold.outbox",
        "freehold.points",
        "freehold.sessions",
        "freehold.tenant_domains",
        "freehold.tenant_secrets",
        "freehold.users",
        "freehold.vault_keys",
      ]);
    });
  });
});

function must<T>(value: T | undefined): T {
  assert.ok(value);
  return value;
}
