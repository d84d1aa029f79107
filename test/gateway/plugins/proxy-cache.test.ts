import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheStore, type StoredAnswer } from "../../../src/gateway/plugins/proxy-cache/cache-store.ts";
import { createManualClock, type ManualClock } from "../../support/clock.ts";
import { type Echo, type Ending, type PlaneReply, startEcho, startPlane, type TestPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

interface Setting extends TestPlane {
  readonly echo: Echo;
  readonly clock: ManualClock;
}

/** An upstream whose answers say how often it was called and for whom, and allow shared caches to keep them. */
async function start(
  t: Ending,
  settings: object = {},
  fields: Readonly<Record<string, string>> = {},
  profile: "strict" | "apisix" = "strict",
): Promise<Setting> {
  const echo = await startEcho(t);
  const clock = createManualClock();
  echo.answer = (received, response) => {
    const own = { "cache-control": "public, max-age=60", ...fields };
    const kept = Object.entries(own).filter(([, value]) => value !== "");
    const body = `${echo.received.length} for ${String(received.headers["x-tenant-id"] ?? "nobody")}`;
    response.writeHead(200, Object.fromEntries(kept)).end(received.method === "HEAD" ? undefined : body);
  };
  const plane = await startPlane(t, routeWith(echo.node, { "proxy-cache": settings }), { profile, ports: { clock } });
  return { ...plane, echo, clock };
}

function stateOf({ headers }: PlaneReply): unknown {
  return headers["apisix-cache-status"];
}

describe("proxy-cache", () => {
  it("answers from memory until the answer is too old, and says so", async (t) => {
    const { send, clock, echo } = await start(t, { cache_ttl: 30 });
    const first = await send("/x?a=1", { as: "acme" });
    assert.equal(stateOf(first), "MISS");
    clock.advance(20_000);
    const second = await send("/x?a=1", { as: "acme" });
    assert.equal(stateOf(second), "HIT");
    assert.equal(second.text, first.text);
    assert.equal(second.headers["age"], "20");
    assert.equal(stateOf(await send("/x?a=2", { as: "acme" })), "MISS");
    clock.advance(11_000);
    assert.equal(stateOf(await send("/x?a=1", { as: "acme" })), "EXPIRED");
    assert.equal(stateOf(await send("/x?a=1", { as: "acme" })), "HIT");
    assert.equal(echo.received.length, 3);
  });

  it("a strict gateway keeps nothing longer than the upstream allows", async (t) => {
    const { send, clock } = await start(t, { cache_ttl: 3000 });
    await send("/x", { as: "acme" });
    clock.advance(61_000);
    assert.equal(stateOf(await send("/x", { as: "acme" })), "EXPIRED");
  });

  it("no tenant is ever answered with what another made the gateway keep, whatever the key says", async (t) => {
    for (const cache_key of [["$host", "$request_uri"], ["same for all"], ["$tenant_id"], ["$http_x_tenant_id"]]) {
      const { send } = await start(t, { cache_key, consumer_isolation: false });
      const own = await send("/x", { as: "acme" });
      assert.equal(own.text, "1 for acme");
      const other = await send("/x", { as: "globex", headers: { "x-tenant-id": "globex" } });
      assert.equal(stateOf(other), "MISS");
      assert.equal(other.text, "2 for globex");
      assert.equal((await send("/x", { as: "acme" })).text, "1 for acme");
    }
  });

  it("one tenant purges its own answers only", async (t) => {
    const { send } = await start(t);
    await send("/x", { as: "acme" });
    assert.equal((await send("/x", { as: "globex", method: "PURGE" })).status, 404);
    assert.equal(stateOf(await send("/x", { as: "acme" })), "HIT");
    assert.equal((await send("/x", { as: "acme", method: "PURGE" })).status, 200);
    assert.equal(stateOf(await send("/x", { as: "acme" })), "MISS");
  });

  it("callers of one tenant do not see each other's answers", async (t) => {
    const { send } = await start(t, {}, {});
    await send("/x", { headers: { authorization: "Bearer acme:alice" } });
    assert.equal(stateOf(await send("/x", { headers: { authorization: "Bearer acme:bob" } })), "MISS");
    assert.equal(stateOf(await send("/x", { headers: { authorization: "Bearer acme:alice" } })), "HIT");
  });

  it("they do where the settings say so, unless the upstream says that it depends on the credential", async (t) => {
    const shared = await start(t, { consumer_isolation: false });
    const own = await start(t, { consumer_isolation: false }, { vary: "Authorization" });
    for (const { send } of [shared, own]) await send("/x", { headers: { authorization: "Bearer acme:alice" } });
    const bob = { headers: { authorization: "Bearer acme:bob" } };
    assert.equal(stateOf(await shared.send("/x", bob)), "HIT");
    assert.equal(stateOf(await own.send("/x", bob)), "MISS");
    assert.equal((await shared.send("/x", { as: "globex" })).text, "2 for globex");
  });

  it("keeps no answer that is somebody's own", async (t) => {
    const fields: readonly Readonly<Record<string, string>>[] = [
      { "cache-control": "private, max-age=60" },
      { "cache-control": "no-store" },
      { "cache-control": "public, no-cache" },
      { "cache-control": "max-age=60" }, // the request has Authorization
      { "cache-control": "" },
      { "set-cookie": "session=1" },
      { vary: "*" },
      { "content-type": "text/event-stream" },
    ];
    for (const each of fields) {
      const { send } = await start(t, {}, each);
      await send("/x", { as: "acme" });
      assert.equal(stateOf(await send("/x", { as: "acme" })), "MISS", JSON.stringify(each));
    }
  });

  it("an answer that depends on a field is for the same value only", async (t) => {
    const { send } = await start(t, {}, { vary: "Accept-Language" });
    const ask = (language: string): Promise<PlaneReply> => send("/x", { as: "acme", headers: { "accept-language": language } });
    await ask("de");
    assert.equal(stateOf(await ask("en")), "MISS");
    assert.equal((await ask("de")).text, "1 for acme");
    assert.equal((await ask("en")).text, "2 for acme");
  });

  it("HEAD is answered from a kept GET and keeps nothing itself", async (t) => {
    const { send, echo } = await start(t);
    await send("/x", { as: "acme", method: "HEAD" });
    assert.equal(stateOf(await send("/x", { as: "acme" })), "MISS");
    const head = await send("/x", { as: "acme", method: "HEAD" });
    assert.equal(stateOf(head), "HIT");
    assert.equal(head.text, "");
    assert.equal(echo.received.length, 2);
  });

  it("bypass, no_cache and other methods go to the upstream; hidden fields do not come back", async (t) => {
    const { send } = await start(t, {
      cache_bypass: ["$arg_fresh"],
      no_cache: ["$arg_never"],
      hide_cache_headers: true,
      cache_key: ["$uri"],
    });
    const first = await send("/x", { as: "acme" });
    // the upstream's word is hidden, and without one no cache between may keep the answer
    assert.equal(first.headers["cache-control"], "private, no-store");
    assert.equal(stateOf(await send("/x?fresh=0", { as: "acme" })), "HIT");
    assert.equal(stateOf(await send("/x?fresh=1", { as: "acme" })), "BYPASS");
    assert.equal(stateOf(await send("/x", { as: "acme", method: "POST" })), "MISS");
    await send("/y?never=1", { as: "acme" });
    assert.equal(stateOf(await send("/y", { as: "acme" })), "MISS");
  });

  it("with cache_control the caller's wishes count", async (t) => {
    const { send, clock, echo } = await start(t, { cache_control: true }, {}, "apisix");
    const ask = (wish: string): Promise<PlaneReply> => send("/x", { headers: { "cache-control": wish } });
    assert.equal((await ask("only-if-cached")).status, 504);
    assert.equal(echo.received.length, 0);
    await ask("max-age=100");
    clock.advance(10_000);
    assert.equal(stateOf(await ask("max-age=20")), "HIT");
    assert.equal(stateOf(await ask("max-age=5")), "STALE");
    assert.equal(stateOf(await ask("no-cache")), "BYPASS");
    assert.equal(stateOf(await ask("min-fresh=59")), "HIT"); // STALE renewed it
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("proxy-cache", { cache_key: ["$request_method"] }, /cache_key variable \$request_method unsupported/);
    assertRefused("proxy-cache", { cache_set_cookie: true }, /cookies of one caller to another/);
    assertRefused("proxy-cache", { cache_method: ["POST"] }, /depend on a body/);
    assertRefused("proxy-cache", { cache_ttl: 0 }, /expected 0 to be at least 1/);
  });
});

function answerOf(bytes: number, vary: StoredAnswer["vary"] = []): StoredAnswer {
  return { status: 200, headers: {}, body: new Uint8Array(bytes), vary, storedAt: 0, ttlMs: 1000 };
}

describe("the store of proxy-cache", () => {
  it("a tenant that fills its part makes room from its own, the longest unused first", () => {
    const store = new CacheStore({ bytesMax: 100_000, tenantBytesMax: 10_000 });
    store.put("b", "kept", answerOf(1000));
    for (let i = 0; i < 100; i++) {
      store.put("a", `key ${i}`, answerOf(1000));
      store.find("a", "key 0");
    }
    assert.equal(store.find("b", "kept").length, 1);
    assert.equal(store.find("a", "key 0").length, 1);
    assert.equal(store.find("a", "key 50").length, 0);
    assert.ok(store.bytes <= 12_000);
  });

  it("is never larger than its bound, and counts to nothing when all is gone", () => {
    const store = new CacheStore({ bytesMax: 20_000, tenantBytesMax: 10_000 });
    for (let i = 0; i < 500; i++) {
      store.put(`tenant ${i % 7}`, `key ${i % 31}`, answerOf((i * 37) % 4000, [["accept", String(i % 3)]]));
      assert.ok(store.bytes <= 20_000);
    }
    store.put("a", "too large", answerOf(20_000));
    assert.equal(store.find("a", "too large").length, 0);
    store.removeAll("key ");
    assert.equal(store.bytes, 0);
  });

  it("keeps so many answers of one key, the newest", () => {
    const store = new CacheStore({ bytesMax: 1_000_000, tenantBytesMax: 1_000_000 });
    for (let i = 0; i < 40; i++) store.put("a", "key", answerOf(1, [["accept", String(i)]]));
    const found = store.find("a", "key");
    assert.equal(found.length, 16);
    assert.deepEqual(found.at(-1)?.vary, [["accept", "39"]]);
  });
});
