import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@redis/client";
import { systemClock } from "../../src/kernel/index.ts";
import { createLimits, createRedisLedger, type LimitKey, type OpenLimits, type WindowLimit } from "../../src/tenancy/limits/index.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { until } from "../support/until.ts";

/** So long that a busy machine does not make an answer late. */
const PATIENT_MS = 10_000;
const WINDOW_MS = 600_000;

let redis: TestRedis;

before(async () => {
  redis = await startRedis();
});
after(async () => {
  await redis.kill();
});

function of(kind: WindowLimit["kind"], count: number): WindowLimit {
  return { kind, count, windowMs: WINDOW_MS, scope: "shared" };
}

interface Gateway {
  readonly limits: OpenLimits;
  readonly isReached: () => boolean;
  readonly known: () => number;
}

function openGateway(ledgerWaitMs: number): Gateway {
  let reached = false;
  const ledger = createRedisLedger({ url: redis.url, onChange: (now) => void (reached = now) });
  return {
    limits: createLimits({ clock: systemClock, ledger, ledgerWaitMs }),
    isReached: () => reached,
    known: () => ledger.gateways,
  };
}

/** Gateways that all know of each other; closed with the test. */
async function openGateways(ends: AsyncDisposableStack, count: number, ledgerWaitMs = PATIENT_MS): Promise<readonly Gateway[]> {
  const gateways = Array.from({ length: count }, () => openGateway(ledgerWaitMs));
  for (const { limits } of gateways) ends.defer(() => limits.close());
  await until("the gateways know of each other", () => gateways.every(({ known, isReached }) => isReached() && known() === count));
  return gateways;
}

let keys = 0;
/** A counter of its own for each test. */
function newKey(): LimitKey {
  return ["0198c0de-0000-7000-8000-000000000001", "route:1", `caller {${keys++}}`];
}

async function hits(gateways: readonly Gateway[], key: LimitKey, limit: WindowLimit, count: number): Promise<number> {
  const decisions = await Promise.all(
    Array.from({ length: count }, async (_, at) => await gateways[at % gateways.length]?.limits.exact.window(key, limit)),
  );
  return decisions.filter((decision) => decision?.allow).length;
}

describe("limits that gateways share through Redis", () => {
  for (const count of [1, 2, 3, 4]) {
    test(`are exact with ${count} gateway(s), in floods and one after another`, async () => {
      await using ends = new AsyncDisposableStack();
      const gateways = await openGateways(ends, count);
      for (const kind of ["fixed", "sliding"] as const) {
        for (const most of [1, 2, 10, 1_000]) {
          assert.equal(await hits(gateways, newKey(), of(kind, most), 3 * most), most);
          const key = newKey();
          let admitted = 0;
          for (let at = 0; at < 2 * most; at++)
            admitted += await hits(gateways.slice(at % count, (at % count) + 1), key, of(kind, most), 1);
          assert.ok(admitted <= most, `${admitted} of ${most}`);
          // what the others have leased and not used comes back by itself
          const rest = await until("all of it is given", async () => {
            admitted += await hits(gateways.slice(0, 1), key, of(kind, most), 5);
            return admitted >= most ? admitted : undefined;
          });
          assert.equal(rest, most);
        }
      }
    });
  }

  test("let one of 500 requests at once through when one unit is left", async () => {
    await using ends = new AsyncDisposableStack();
    const gateways = await openGateways(ends, 4);
    const key = newKey();
    assert.equal(await hits(gateways, key, of("fixed", 100), 99), 99);
    assert.equal(await hits(gateways, key, of("fixed", 100), 500), 1);
  });

  test("keep places and buckets to their measure", async () => {
    await using ends = new AsyncDisposableStack();
    const gateways = await openGateways(ends, 3);
    const key = newKey();
    const all = await Promise.all(
      Array.from({ length: 60 }, async (_, at) => await gateways[at % 3]?.limits.exact.slot(key, 10, "shared")),
    );
    assert.equal(all.filter((slot) => slot !== undefined).length, 10);
    for (const slot of all) slot?.release();
    await until("the places are free at one gateway", async () => {
      const slots = await Promise.all(Array.from({ length: 10 }, async () => await gateways[0]?.limits.exact.slot(key, 10, "shared")));
      for (const slot of slots) slot?.release();
      return slots.every((slot) => slot !== undefined);
    });
    const limit = { perSecond: 0.001, burst: 20, scope: "shared" } as const;
    const drops = await Promise.all(Array.from({ length: 90 }, async (_, at) => await gateways[at % 3]?.limits.exact.bucket(key, limit)));
    assert.equal(drops.filter((drop) => drop?.allow).length, 21);
  });

  test("show nothing of tenants and callers in Redis, and take what is not theirs for nothing", async () => {
    await using ends = new AsyncDisposableStack();
    const gateways = await openGateways(ends, 1);
    const client = await createClient({ url: redis.url }).connect();
    ends.defer(() => client.close());
    await client.flushAll();
    const [gateway] = gateways;
    assert.ok(gateway);
    const key = newKey();
    assert.equal(await hits(gateways, key, of("fixed", 5), 1), 1);
    assert.ok(await gateway.limits.exact.slot(key, 5, "shared"));
    const names = await until("both counters are there", async () => {
      const found: readonly string[] = await client.keys("*");
      return found.filter((name) => !name.endsWith(":gateways")).length === 2 ? found : undefined;
    });
    for (const name of names) assert.match(name, /^freehold:limits:(?:gateways|[\w-]{43})$/);
    for (const name of names.filter((each) => !each.endsWith(":gateways"))) assert.ok((await client.pTTL(name)) > 0, "it is kept for ever");
    for (const name of names) await client.set(name, "garbage");
    assert.ok((await hits(gateways, newKey(), of("fixed", 5), 10)) === 5);
    assert.ok((await hits(gateways, key, of("fixed", 5), 10)) <= 4);
    assert.ok(await gateway.limits.exact.slot(key, 5, "shared"));
  });

  test("count the places of gateways that live, not of those that are gone", async () => {
    await using ends = new AsyncDisposableStack();
    const [gateway] = await openGateways(ends, 1);
    assert.ok(gateway);
    const client = await createClient({ url: redis.url }).connect();
    ends.defer(() => client.close());
    await client.flushAll();
    const key = newKey();
    assert.ok(await gateway.limits.exact.slot(key, 10, "shared"));
    const [name] = (await client.keys("*")).filter((each) => !each.endsWith(":gateways"));
    assert.ok(name);
    await client.hSet(name, { gone: `9:${Date.now() - 1}`, alive: `7:${Date.now() + 60_000}`, garbage: "nine" });
    const slots = await Promise.all(Array.from({ length: 10 }, async () => await gateway.limits.exact.slot(key, 10, "shared")));
    assert.equal(slots.filter((slot) => slot !== undefined).length, 2);
    assert.deepEqual(Object.keys(await client.hGetAll(name)).includes("gone"), false);
  });
});

describe("limits while Redis is away", () => {
  const MOST = 100;

  test("hold without it by parts, never wide open and never an error, and count on in the same window when it is back empty", async () => {
    await using ends = new AsyncDisposableStack();
    const gateways = await openGateways(ends, 4);
    const key = newKey();
    let admitted = await hits(gateways, key, of("fixed", MOST), 40);
    assert.equal(admitted, 40);
    await redis.kill();
    await until("the loss is known", () => gateways.every(({ isReached }) => !isReached()));
    const without = await hits(gateways, key, of("fixed", MOST), 1_000);
    assert.ok(without > 0 && without <= MOST, `${without} let through without Redis`);
    admitted += without;
    const fresh = await hits(gateways, newKey(), of("fixed", MOST), 1_000);
    assert.equal(fresh, MOST, "each gateway has its even part");
    await redis.start();
    await until("it is found again", () => gateways.every(({ isReached, known }) => isReached() && known() === 4));
    for (let round = 0; round < 5; round++) admitted += await hits(gateways, key, of("fixed", MOST), 200);
    assert.ok(admitted <= MOST * (2 - 1 / 4), `${admitted} let through in one window`);
    for (const gateway of gateways) {
      await until("limits are shared again", async () => (await hits([gateway], newKey(), of("fixed", MOST), 150)) === MOST);
    }
    assert.equal(await hits(gateways, newKey(), of("fixed", MOST), 400), MOST);
  });

  test("are exact again in the same window when Redis has come back empty: gateways tell it what they had", async () => {
    await using ends = new AsyncDisposableStack();
    const gateways = await openGateways(ends, 2);
    const [first, second] = [gateways.slice(0, 1), gateways.slice(1)];
    const key = newKey();
    assert.equal(await hits(first, key, of("fixed", MOST), 70), 70);
    await redis.kill();
    await redis.start();
    for (const gateway of [first, second]) {
      await until("limits are shared again", async () => (await hits(gateway, newKey(), of("fixed", MOST), 150)) === MOST);
    }
    assert.equal(await hits(first, key, of("fixed", MOST), 1), 1);
    assert.equal((await hits(second, key, of("fixed", MOST), 100)) + (await hits(first, key, of("fixed", MOST), 100)), 29);
  });

  test("do not wait for one that stands still", async () => {
    await using ends = new AsyncDisposableStack();
    const gateways = await openGateways(ends, 2, 20);
    redis.pause();
    try {
      const key = newKey();
      assert.equal(await hits(gateways, key, of("fixed", MOST), 400), MOST);
      const decision = gateways[0]?.limits.exact.window(key, of("fixed", MOST));
      assert.ok(!(decision instanceof Promise), "it waited although the last answer did not come");
    } finally {
      redis.resume();
    }
    await until("limits are shared again", async () => (await hits(gateways.slice(0, 1), newKey(), of("fixed", MOST), 150)) === MOST);
  });

  test("of which nothing was known yet are divided by the gateways there are said to be", async () => {
    const ledger = createRedisLedger({ url: "redis://127.0.0.1:1", gatewaysMin: 4 });
    const limits = createLimits({ clock: systemClock, ledger });
    const key = newKey();
    const decisions = await Promise.all(Array.from({ length: 200 }, async () => await limits.exact.window(key, of("fixed", MOST))));
    assert.equal(decisions.filter(({ allow }) => allow).length, MOST / 4);
    await limits.close();
  });
});
