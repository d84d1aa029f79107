import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Fault } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import type { Audit } from "../../src/tenancy/audit/index.ts";
import { eachEngine } from "../support/engines.ts";
import { assertNoCanary, CANARY, contextOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { auditOver, event, requestsOf, severable } from "./audit-under-test.ts";

const A = contextOf("a");
const B = contextOf("b");
const OF_B = { id: B.tenant.id, uuid: B.tenant.uuid };
const WAITING_MAX = 10_000;

describe("the audit trail", () => {
  eachEngine((engine) => {
    let store: DataStore;
    let audit: Audit;
    const reports: Fault[] = [];
    let round = 0;

    before(async () => {
      store = await engine.open();
      audit = auditOver(store, reports);
    });

    beforeEach(() => {
      reports.length = 0;
      round++;
    });

    /** So many request ids that no other test has. */
    function requests(count: number): string[] {
      return Array.from({ length: count }, (_, at) => `${round}-${at}`);
    }

    test("has each entry whole, in the trail of the caller's tenant and in the platform's", async () => {
      const written = event({ requestId: `whole-${round}`, detail: { route: "/x", list: [1, "ä", null] } });
      const startedMs = Date.now();
      audit.record(written);
      await audit.flush();
      for (const entries of [await audit.ofTenant(A, 1), await audit.ofPlatform(1)]) {
        const [entry] = entries;
        assert.ok(entry && entry.at.getTime() >= startedMs && entry.at.getTime() <= Date.now());
        const { id: _id, at: _at, ...rest } = entry;
        assert.deepEqual(rest, { ...written, actorTenant: A.tenant.id });
      }
      assert.equal((await audit.ofTenant(A, 1))[0]?.id, (await audit.ofPlatform(1))[0]?.id);
    });

    test("keeps the order in which entries came, also of many in one millisecond", async () => {
      const ids = requests(1_000);
      for (const requestId of ids) audit.record(event({ requestId }));
      await audit.flush();
      assert.deepEqual(requestsOf(await audit.ofTenant(A, ids.length)), ids);
      assert.deepEqual(requestsOf(await audit.ofPlatform(ids.length)), ids);
      assert.deepEqual(requestsOf(await audit.ofPlatform(2)), ids.slice(-2), "the newest come first");
    });

    test("is written without anybody asking for it", async () => {
      const [requestId = ""] = requests(1);
      audit.record(event({ requestId }));
      await until("the entry", async () => requestsOf(await audit.ofTenant(A, 1))[0] === requestId);
    });

    test("of a tenant is readable by that tenant alone", async () => {
      const [ofA = "", ofB = "", ofNobody = ""] = requests(3);
      audit.record(event({ requestId: ofA }));
      audit.record(event({ requestId: ofB, actorTenant: OF_B, actor: CANARY, detail: { note: CANARY }, targetTenant: "a" }));
      audit.record(event({ requestId: ofNobody, actorTenant: null, actor: null, targetTenant: "a" }));
      await audit.flush();
      const readable = await audit.ofTenant(A, 1_000);
      assertNoCanary(readable);
      assert.ok(readable.every(({ actorTenant }) => actorTenant === "a"));
      assert.deepEqual(requestsOf(await audit.ofTenant(B, 1)), [ofB]);
      assert.deepEqual(requestsOf(await audit.ofPlatform(3)), [ofA, ofB, ofNobody]);
    });

    test("cannot be read across, added to, changed or shortened through a tenant's own handle", async () => {
      audit.record(event({ actorTenant: OF_B, actor: CANARY }));
      audit.record(event());
      await audit.flush();
      const data = store.forTenant(A);
      const { rows } = await data.query(sql`select * from freehold.audit_entries`);
      assert.ok(rows.length > 0);
      assertNoCanary(rows);
      const counted = rows.length;
      const forbidden = [
        sql`update freehold.audit_entries set action = 'nothing'`,
        sql`delete from freehold.audit_entries`,
        sql`insert into freehold.audit_entries (tenant_id, id, action, reason, request_id, source)
          values (${A.tenant.uuid}, gen_random_uuid(), 'a', 'b', 'c', 'd')`,
      ];
      for (const statement of forbidden) await assert.rejects(data.query(statement), { code: "forbidden" }, statement.text);
      // nor does the platform's own role change what was written
      for (const statement of forbidden.slice(0, 2))
        await assert.rejects(store.system.query(statement), { code: "forbidden" }, statement.text);
      assert.equal((await data.query(sql`select from freehold.audit_entries`)).count, counted);
    });

    test("takes whatever callers claim: NUL, half characters and endless texts become texts that can be stored", async () => {
      const [hostile = "", next = ""] = requests(2);
      const text = 'a\0b\ud800"\\u0000\\\udfff';
      audit.record(
        event({ requestId: hostile, targetTenant: text, actor: "x".repeat(1_000_000), detail: { [text]: [text, { deep: text }] } }),
      );
      audit.record(event({ requestId: next, detail: { long: "y".repeat(1_000_000) } }));
      await audit.flush();
      assert.deepEqual(reports, []);
      const stored = 'a\ufffdb\ufffd"\\u0000\\\ufffd';
      const [second, first] = await audit.ofTenant(A, 2);
      assert.deepEqual([first?.requestId, first?.targetTenant, first?.detail], [hostile, stored, { [stored]: [stored, { deep: stored }] }]);
      assert.ok((first?.actor?.length ?? 0) <= 256);
      assert.equal(second?.requestId, next);
      assert.ok(JSON.stringify(second?.detail).length <= 3_000);
    });

    test("goes on behind an entry that the database never takes, and says which one it was", async () => {
      const ids = requests(5);
      for (const [at, requestId] of ids.entries()) {
        audit.record(event({ requestId, ...(at === 2 && { actorTenant: { id: "broken", uuid: "not-a-uuid" } }) }));
      }
      await audit.flush();
      assert.deepEqual(
        requestsOf(await audit.ofTenant(A, 4)),
        ids.filter((_, at) => at !== 2),
      );
      assert.equal(reports.length, 1);
      assert.match(reports[0]?.message ?? "", /does not take the entry [0-9a-f-]{36}$/);
    });

    test("loses nothing while the database is away, writes it when it is back without being asked, and reports once", async () => {
      const { data, line } = severable(store);
      const cutOff = auditOver(data, reports);
      const ids = requests(450);
      line.cut = "both";
      for (const requestId of ids.slice(0, 300)) cutOff.record(event({ requestId }));
      await assert.rejects(cutOff.flush());
      await until("more tries", () => line.tries >= 3);
      for (const requestId of ids.slice(300)) cutOff.record(event({ requestId }));
      assert.ok(!requestsOf(await audit.ofPlatform(1)).includes(ids[0] ?? ""));
      line.cut = "none";
      await until("everything", async () => requestsOf(await audit.ofPlatform(1))[0] === ids.at(-1));
      assert.deepEqual(requestsOf(await audit.ofTenant(A, ids.length)), ids);
      assert.equal(reports.length, 1);
      await cutOff.close();
    });

    test("has an entry once although the answer to writing it was lost", async () => {
      const { data, line } = severable(store);
      const cutOff = auditOver(data, reports);
      const ids = requests(20);
      line.cut = "answers";
      for (const requestId of ids) cutOff.record(event({ requestId }));
      await assert.rejects(cutOff.flush());
      line.cut = "none";
      await cutOff.flush();
      const all = requestsOf(await audit.ofTenant(A, 100)).filter((id) => ids.includes(id));
      assert.deepEqual(all, ids);
      await cutOff.close();
    });

    test("holds a bounded number of entries in a flood, keeps those it took, and says how many it did not", async () => {
      const { data, line } = severable(store);
      const cutOff = auditOver(data, reports);
      const ids = requests(WAITING_MAX + 2_345);
      line.cut = "both";
      for (const requestId of ids) cutOff.record(event({ requestId }));
      await assert.rejects(cutOff.flush());
      assert.deepEqual(reports.map(({ code }) => code).toSorted(), ["internal", "overloaded"], "one report each of outage and loss");
      line.cut = "none";
      await cutOff.flush();
      assert.deepEqual(requestsOf(await audit.ofTenant(A, WAITING_MAX)), ids.slice(0, WAITING_MAX));
      const { rows } = await store.system.query<{ lost: number }>(
        sql`select (detail ->> 'entries')::int as lost from freehold.audit_entries where action = 'audit_entries_lost'`,
      );
      assert.deepEqual(rows, [{ lost: 2_345 }]);
      cutOff.record(event({ requestId: `after-${round}` }));
      await cutOff.flush();
      assert.deepEqual(requestsOf(await audit.ofTenant(A, 1)), [`after-${round}`]);
      await cutOff.close();
    });

    test("is written to the end before it closes, and takes nothing afterwards", async () => {
      const closing = auditOver(store, reports);
      const ids = requests(500);
      for (const requestId of ids) closing.record(event({ requestId }));
      await closing.close();
      assert.deepEqual(requestsOf(await audit.ofTenant(A, ids.length)), ids);
      closing.record(event({ requestId: "too-late" }));
      assert.equal(reports.length, 1);
    });

    test("says how many entries were lost when it closes while the database is away", async () => {
      const { data, line } = severable(store);
      const closing = auditOver(data, reports);
      line.cut = "both";
      for (const requestId of requests(7)) closing.record(event({ requestId }));
      await closing.close();
      assert.match(reports.at(-1)?.message ?? "", /7 entries were not written/);
    });
  });
});
