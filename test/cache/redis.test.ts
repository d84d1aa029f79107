import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@redis/client";
import type { Fault, Json } from "../../src/kernel/index.ts";
import type { CacheStore } from "../../src/stores/cache/index.ts";
import { startRedis } from "../support/redis.ts";
import { assertNoCanary, CANARY, contextOf, valueOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { openRedisCache, redisForCaches } from "./cache-under-test.ts";
import { type Meddle, startReplyProxy } from "./reply-proxy.ts";

const MINUTE_MS = 60_000;
const A = contextOf("a");
const B = contextOf("b");
const KEY = ["preferences", "user-1"] as const;

/** What another program with access to the same Redis can do. */
async function outsider() {
  const client = createClient({ url: (await redisForCaches()).url });
  client.on("error", () => {});
  await client.connect();
  const keyOf = async (tenant: typeof A): Promise<string> => {
    const keys = await client.keys(`freehold:cache:{${tenant.tenant.uuid}}:*`);
    return keys.find((key) => !key.endsWith(":generation")) ?? assert.fail("nothing is stored");
  };
  return { client, keyOf };
}

describe("values in Redis", () => {
  let cache: CacheStore;
  const reports: Fault[] = [];
  let other: Awaited<ReturnType<typeof outsider>>;
  before(async () => {
    cache = await openRedisCache({ reports });
    other = await outsider();
  });
  after(() => other.client.close());

  test("show nothing of themselves, of their keys or of another tenant", async () => {
    await cache.forTenant(B).set(KEY, valueOf("b", "theme"), MINUTE_MS);
    const keys = await other.client.keys("*");
    assert.ok(keys.length >= 2);
    for (const key of keys) {
      assert.ok(!/preferences|user-1/.test(key), key);
      assertNoCanary(await other.client.get(key));
      assert.ok((await other.client.pTTL(key)) > 0, `${key} has no end`);
    }
  });

  test("of another tenant, of another key, older, or of anything else are misses and reported", async () => {
    await cache.forTenant(A).set(KEY, "of a", MINUTE_MS);
    await cache.forTenant(B).set(KEY, valueOf("b", "of b"), MINUTE_MS);
    const [ofA, ofB] = [await other.keyOf(A), await other.keyOf(B)];
    const read = async (): Promise<Json | undefined> => {
      // the connection before was given up with the value before
      await until("the cache is reached", async () => {
        await cache.forTenant(A).set(["there"], 1, MINUTE_MS);
        return (await cache.forTenant(A).get(["there"])) === 1;
      });
      return await cache.forTenant(A).get(KEY);
    };
    const good = Buffer.from((await other.client.get(ofA)) ?? "", "utf8");
    assert.equal(await read(), "of a");
    await other.client.copy(ofA, "mine");
    const plants: [string, () => Promise<unknown>][] = [
      ["b's value", () => other.client.copy(ofB, ofA, { REPLACE: true })],
      ["nothing", () => other.client.set(ofA, "")],
      ["garbage", () => other.client.set(ofA, '{"theme":"dark"}')],
      ["a cut value", () => other.client.set(ofA, good.subarray(0, 110).toString("latin1"))],
      [
        "a bit of it",
        async () => {
          await other.client.copy("mine", ofA, { REPLACE: true });
          const length = await other.client.strLen(ofA);
          return await other.client.setRange(ofA, length - 1, "\u0001");
        },
      ],
      [
        "the value of another key of a that says it is this key's",
        async () => {
          await cache.forTenant(A).set(["other"], "other", MINUTE_MS);
          const keys = await other.client.keys(`freehold:cache:{${A.tenant.uuid}}:*`);
          await other.client.copy(await findNot(keys, ofA), ofA, { REPLACE: true });
          // tenant, digest and generation stand in front, divided by spaces
          return await other.client.setRange(ofA, A.tenant.uuid.length + 1, ofA.slice(ofA.lastIndexOf(":") + 1));
        },
      ],
      [
        "the value of another key of a",
        async () => {
          await cache.forTenant(A).set(["other"], "other", MINUTE_MS);
          const keys = await other.client.keys(`freehold:cache:{${A.tenant.uuid}}:*`);
          const from = await findNot(keys, ofA);
          return await other.client.copy(from, ofA, { REPLACE: true });
        },
      ],
    ];
    for (const [what, plant] of plants) {
      await read();
      await plant();
      reports.length = 0;
      const got = await read();
      assert.equal(got, undefined, what);
      assertNoCanary(got);
      assert.ok(reports.length > 0 && reports.every(({ code }) => code === "isolation_violation"), what);
      assertNoCanary(reports);
    }
    // another type in its place, and one for the generation: misses, and the cache heals
    await other.client.del(ofA);
    await other.client.lPush(ofA, "x");
    assert.equal(await read(), undefined);
    await cache.forTenant(A).set(KEY, "again", MINUTE_MS);
    assert.equal(await read(), "again");
    await other.client.set(`freehold:cache:{${A.tenant.uuid}}:generation`, "not one");
    assert.equal(await cache.forTenant(A).get(KEY), undefined);
    await cache.forTenant(A).clear();
    await cache.forTenant(A).set(KEY, "healed", MINUTE_MS);
    assert.equal(await read(), "healed");
  });

  test("that were cleared do not come back when Redis forgets that they were", async () => {
    await cache.forTenant(A).set(["cleared"], "old", MINUTE_MS);
    const generation = `freehold:cache:{${A.tenant.uuid}}:generation`;
    await cache.forTenant(A).clear();
    await other.client.del(generation);
    assert.equal(await cache.forTenant(A).get(["cleared"]), undefined);
    await cache.forTenant(A).set(["new"], "new", MINUTE_MS);
    assert.equal(await cache.forTenant(A).get(["cleared"]), undefined);
  });

  test("whose end Redis has lost still end", async () => {
    const end = Date.now() + 60_000;
    let nowMs = end - 60_000;
    const clock = { now: () => nowMs, monotonic: () => performance.now() };
    const timed = await openRedisCache({ clock });
    await timed.forTenant(A).set(["timed"], "value", 60_000);
    for (const key of await other.client.keys(`freehold:cache:{${A.tenant.uuid}}:*`)) await other.client.persist(key);
    assert.equal(await timed.forTenant(A).get(["timed"]), "value");
    nowMs = end;
    assert.equal(await timed.forTenant(A).get(["timed"]), undefined);
  });

  test("are cleared for every process at once", async () => {
    const elsewhere = await openRedisCache();
    await cache.forTenant(A).set(["shared"], "value", MINUTE_MS);
    assert.equal(await elsewhere.forTenant(A).get(["shared"]), "value");
    await elsewhere.forTenant(A).clear();
    assert.equal(await cache.forTenant(A).get(["shared"]), undefined);
  });

  async function findNot(keys: readonly string[], not: string): Promise<string> {
    const found = keys.find((key) => key !== not && !key.endsWith(":generation"));
    return found ?? assert.fail("no other value");
  }
});

describe("a connection whose answers are one off", () => {
  const PIECES: Readonly<Record<string, () => Meddle>> = {
    "an answer comes twice": () => {
      let done = false;
      return (piece) => (done ? [piece] : ((done = true), [piece, piece]));
    },
    "an answer is swallowed": () => {
      let done = false;
      return (piece) => (done ? [piece] : ((done = true), []));
    },
    "every answer comes one late": () => {
      let held: Buffer | undefined;
      return (piece) => {
        const last = held;
        held = piece;
        return last ? [last] : [];
      };
    },
    "an answer comes byte by byte and breaks off": () => {
      let left = 17;
      return (piece) => {
        const bytes = [...piece.subarray(0, left)].map((byte) => Buffer.from([byte]));
        left -= bytes.length;
        return bytes;
      };
    },
    "a foreign answer is slipped in": () => {
      let done = false;
      const foreign = Buffer.from(`*2\r\n$22\r\n${"g".repeat(22)}\r\n$${CANARY.length}\r\n${CANARY}\r\n`);
      return (piece) => (done ? [piece] : ((done = true), [foreign, piece]));
    },
  };

  for (const [what, meddle] of Object.entries(PIECES)) {
    test(`never gives one tenant another's value: ${what}`, async (t) => {
      const proxy = await startReplyProxy((await redisForCaches()).url);
      t.after(() => proxy.close());
      const cache = await openRedisCache({ url: proxy.url, timeoutMs: 150 });
      const tenants = [A, B];
      const fill = async (): Promise<void> => {
        for (const [at, each] of tenants.entries()) {
          for (let n = 0; n < 5; n++)
            await cache.forTenant(each).set(["n", String(n)], valueOf(at === 0 ? "a" : "b", `value ${n}`), MINUTE_MS);
        }
      };
      await fill();
      const { connections } = proxy;
      proxy.meddle(meddle());
      for (let round = 0; round < 12; round++) {
        const asked = tenants.flatMap((each, at) =>
          Array.from({ length: 5 }, async (_, n) => {
            const expected = valueOf(at === 0 ? "a" : "b", `value ${n}`);
            const got = await cache.forTenant(each).get(["n", String(n)]);
            assert.ok(got === undefined || got === expected, `${what}: ${JSON.stringify(got)} for ${expected}`);
          }),
        );
        await Promise.all(asked);
        if (round === 6) proxy.meddle();
      }
      proxy.meddle();
      await until("it works again over a connection of its own", async () => {
        await fill();
        return (await cache.forTenant(A).get(["n", "1"])) === "value 1";
      });
      assert.ok(proxy.connections > connections, "the connection was kept");
    });
  }
});

describe("a Redis that is away", () => {
  test("means that everything is made anew, that nobody gets an error, and that nothing deleted meanwhile comes back", async (t) => {
    const redis = await startRedis();
    t.after(() => redis.kill());
    const cache = await openRedisCache({ url: redis.url, timeoutMs: 100 });
    const own = cache.forTenant(A);
    await own.set(["kept"], "old", MINUTE_MS);
    await cache.forTenant(B).set(["kept"], "of b", MINUTE_MS);
    redis.pause(); // half a connection: nothing says that it is gone
    assert.equal(await own.get(["kept"]), undefined);
    assert.equal(await own.getOrSet(["kept"], MINUTE_MS, async () => "made"), "made");
    await own.set(["other"], 1, MINUTE_MS);
    await own.delete(["kept"]);
    redis.resume();
    await until("Redis is reached again", () => cache.changes.at(-1) === true && cache.changes.length >= 3);
    assert.equal(await own.get(["kept"]), undefined, "it was deleted");
    assert.equal(await cache.forTenant(B).get(["kept"]), "of b");
    await own.set(["kept"], "new", MINUTE_MS);
    assert.equal(await own.get(["kept"]), "new");
    await redis.kill();
    await until("it is told that Redis is gone", () => cache.changes.at(-1) === false);
    assert.equal(await own.get(["kept"]), undefined);
    await own.clear();
    assert.equal(await own.getOrSet(["kept"], MINUTE_MS, async () => "made again"), "made again");
    await assert.rejects(cache.lifecycle.erase(A.tenant), { code: "dependency_unavailable" }); // an erasure may not pretend
    await redis.start();
    await until("Redis is reached again", async () => {
      await own.set(["kept"], "back", MINUTE_MS);
      return (await own.get(["kept"])) === "back";
    });
    await cache.close();
  });
});
