import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, describe, test } from "node:test";
import { systemClock } from "../../src/kernel/index.ts";
import { BudgetBook } from "../../src/models/index.ts";
import { sql, type SystemData } from "../../src/stores/data/index.ts";
import { createEngine } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";

const engine = createEngine("PGlite");
after(() => engine.close());
const store = await engine.open();
const ONE = { need: 1, want: () => 1 };

/** A budget that nobody reaches, at a gateway of its own. */
function open(system: Pick<SystemData, "query"> = store.system) {
  const book = new BudgetBook({ system, clock: systemClock, gateway: randomUUID() });
  const budget = {
    name: randomUUID(),
    unit: "requests",
    per: "month",
    limit: 1_000_000_000,
    for: "tenant",
    strict: false,
    owner: "platform",
  } as const;
  const [due] = book.due([budget], contextOf("a"), ["a-model"]);
  assert.ok(due);
  const leases = async (): Promise<number> =>
    (await store.system.query(sql`select from freehold.model_leases where budget = ${budget.name}`)).count;
  const expire = async (): Promise<void> =>
    void (await store.system.query(
      sql`update freehold.model_leases set expires_at = now() - interval '1 second' where budget = ${budget.name}`,
    ));
  /** Tells the ledger what there is to tell; gives what has to follow. */
  const write = async (): Promise<() => void> => {
    const settlements = book.collect(true);
    const known = await store.system.transaction(async (tx) => await book.write(tx, settlements));
    return () => book.confirm(settlements, known, systemClock.monotonic());
  };
  return { book, account: due.account, leases, expire, write };
}

describe("a budget with nearly everything left", () => {
  test("is asked for seldom, however many requests use it", async () => {
    let asked = 0;
    const { account } = open({
      query: (statement) => {
        asked++;
        return store.system.query(statement);
      },
    });
    for (let at = 0; at < 5_000; at++) account.settle(await account.take(ONE), 1);
    assert.ok(asked < 20, `${asked} questions for 5000 requests`);
  });

  test("refuses nobody when the ledger is asked between taking a settlement and saying so", async () => {
    const { book, account } = open();
    const many = await Promise.all(Array.from({ length: 200 }, async () => await account.take(ONE)));
    assert.ok(many.every((units) => units === 1));
    for (const units of many) account.settle(units, 1);
    const settlements = book.collect(true);
    const known = await store.system.transaction(async (tx) => await book.write(tx, settlements));
    assert.equal(await account.take(ONE), 1);
    book.confirm(settlements, known, systemClock.monotonic());
    for (let at = 0; at < 10; at++) assert.equal(await account.take(ONE), 1);
  });

  test("gives all back of a lease that began when the one before was over, whatever was on its way then", async () => {
    for (const isOnItsWay of [true, false]) {
      const { account, leases, expire, write } = open();
      account.settle(await account.take(ONE), 1);
      await expire();
      const confirm = await write();
      if (!isOnItsWay) confirm();
      const units = await account.take(ONE);
      if (isOnItsWay) confirm();
      account.settle(units, 1);
      assert.equal(await leases(), 1);
      (await write())();
      assert.equal(await leases(), 0);
    }
  });

  test("gives all back of a lease that began after more was used than the one before had", async () => {
    for (const isOnItsWay of [true, false]) {
      const { account, leases, write } = open();
      account.settle(await account.take(ONE), 1_000);
      const confirm = await write();
      if (!isOnItsWay) confirm();
      const units = await account.take(ONE);
      if (isOnItsWay) confirm();
      account.settle(units, 1);
      (await write())();
      assert.equal(await leases(), 0);
    }
  });

  test("refuses nobody after a request that has used much more than was held for it", async () => {
    const { account } = open();
    account.settle(await account.take(ONE), 1_000);
    for (let at = 0; at < 10; at++) assert.equal(await account.take(ONE), 1);
  });
});
