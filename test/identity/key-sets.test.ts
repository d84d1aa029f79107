import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { Fault } from "../../src/kernel/index.ts";
import { AGE_MAX_MS, COOL_DOWN_MS, createKeySets, type KeySets, STALE_MAX_MS } from "../../src/tenancy/identity/jwks.ts";
import { createTokenVerifier, type TokenVerifier } from "../../src/tenancy/identity/jwt.ts";
import { identitySettings } from "../../src/tenancy/identity/settings.ts";
import { createManualClock, type ManualClock } from "../support/clock.ts";
import { createIssuerKey, type IssuerKey } from "./issuer-keys.ts";
import { fetchBytes, type KeyServer, startKeyServer } from "./key-server.ts";

const first = createIssuerKey("ES256", "1");
const second = createIssuerKey("EdDSA", "2");

interface Setting {
  readonly clock: ManualClock;
  readonly servers: Readonly<Record<string, KeyServer>>;
  readonly keySets: KeySets;
  readonly verifier: TokenVerifier;
  /** Addresses asked for, from the moment of asking. */
  readonly asked: string[];
  readonly failures: [issuer: string, fault: Fault][];
}

/** Issuers of these names, each with a server of its own that publishes `first`, each for the tenant of its name. */
async function start(t: TestContext, ...names: readonly string[]): Promise<Setting> {
  const clock = createManualClock();
  const servers: Record<string, KeyServer> = {};
  for (const name of names) servers[name] = await startKeyServer(t, [first.jwk]);
  const { issuers } = identitySettings.parse({
    profile: "development",
    issuers: names.map((name) => ({ issuer: name, audience: "freehold", tenants: [name], jwksUrl: servers[name]?.url })),
  });
  const failures: Setting["failures"] = [];
  const asked: string[] = [];
  const keySets = createKeySets(issuers, {
    clock,
    fetchBytes: (url) => {
      asked.push(url);
      return fetchBytes(url);
    },
    keySetFailed: (issuer, fault) => void failures.push([issuer, fault]),
  });
  return { clock, servers, keySets, verifier: createTokenVerifier(issuers, keySets, clock), asked, failures };
}

function tokenOf(key: IssuerKey, name: string, clock: ManualClock, kid = key.kid): string {
  const iat = Math.floor(clock.seconds);
  const claims = { iss: name, aud: "freehold", sub: "user", tenant_id: name, iat, exp: iat + 24 * 3600 };
  return key.sign(claims, { alg: key.alg, kid });
}

async function accepts({ verifier }: Setting, token: string): Promise<boolean> {
  return (await verifier.verifyToken(token)).ok;
}

function serverOf({ servers }: Setting, name: string): KeyServer {
  const server = servers[name];
  assert.ok(server);
  return server;
}

test("two issuers that name different keys alike never stand in for each other", async (t) => {
  const house = await start(t, "a", "b");
  const other = createIssuerKey("ES256", "1");
  serverOf(house, "b").publish([other.jwk]);
  assert.equal(await accepts(house, tokenOf(first, "a", house.clock)), true);
  assert.equal(await accepts(house, tokenOf(other, "b", house.clock)), true);
  assert.equal(await accepts(house, tokenOf(other, "a", house.clock)), false);
  assert.equal(await accepts(house, tokenOf(first, "b", house.clock)), false);
});

test("a flood of unknown key names makes one fetch per cool-down, of its own issuer only", async (t) => {
  const house = await start(t, "a", "b");
  await house.keySets.warm();
  const flood = (): Promise<boolean[]> =>
    Promise.all(Array.from({ length: 200 }, () => accepts(house, tokenOf(first, "a", house.clock, randomUUID()))));
  assert.ok((await flood()).every((accepted) => !accepted));
  assert.equal(serverOf(house, "a").fetches, 1);
  house.clock.advance(COOL_DOWN_MS);
  await flood();
  await flood();
  assert.equal(serverOf(house, "a").fetches, 2);
  house.clock.advance(COOL_DOWN_MS - 1);
  await flood();
  assert.equal(serverOf(house, "a").fetches, 2);
  assert.equal(serverOf(house, "b").fetches, 1);
  assert.equal(await accepts(house, tokenOf(first, "a", house.clock)), true);
});

test("the first requests share one fetch", async (t) => {
  const house = await start(t, "a");
  const accepted = await Promise.all(Array.from({ length: 50 }, () => accepts(house, tokenOf(first, "a", house.clock))));
  assert.ok(accepted.every(Boolean));
  assert.equal(serverOf(house, "a").fetches, 1);
});

test("a server that fails is asked once per cool-down, and what it signed is refused", async (t) => {
  const house = await start(t, "a");
  serverOf(house, "a").answer(500, "");
  for (let i = 0; i < 20; i++) assert.equal(await accepts(house, tokenOf(first, "a", house.clock)), false);
  assert.equal(serverOf(house, "a").fetches, 1);
  assert.equal(house.failures.length, 1);
  serverOf(house, "a").publish([first.jwk]);
  house.clock.advance(COOL_DOWN_MS);
  assert.equal(await accepts(house, tokenOf(first, "a", house.clock)), true);
  assert.equal(serverOf(house, "a").fetches, 2);
});

test("the last good set survives an outage until it is 24 hours old, and not a moment longer", async (t) => {
  const house = await start(t, "a");
  await house.keySets.warm();
  serverOf(house, "a").answer(503, "");
  house.clock.advance(STALE_MAX_MS);
  assert.equal(await accepts(house, tokenOf(first, "a", house.clock)), true);
  await house.keySets.renewed("a"); // waits for the refresh behind the request
  const remembered = tokenOf(first, "a", house.clock);
  assert.equal(await accepts(house, remembered), true);
  house.clock.advance(1);
  assert.equal(await accepts(house, remembered), false);
  house.clock.advance(COOL_DOWN_MS);
  serverOf(house, "a").publish([first.jwk]);
  assert.equal(await accepts(house, remembered), true);
});

test("a set that is too large, malformed or has a weak key never replaces the last good one", async (t) => {
  const house = await start(t, "a");
  await house.keySets.warm();
  const good = JSON.stringify({ keys: [first.jwk] });
  const many = Array.from({ length: 33 }, (_, i) => ({ ...second.jwk, kid: `k${i}` }));
  const bad = [
    good + " ".repeat(64 * 1024),
    JSON.stringify({ keys: many }),
    good.replace('"keys"', '"keys":[],"keys"'),
    JSON.stringify({ keys: [first.jwk, { kty: "oct", k: "c2VjcmV0", kid: "3" }] }),
    JSON.stringify({ keys: [] }),
    "<html>",
    "",
  ];
  for (const body of bad) {
    serverOf(house, "a").answer(200, body);
    house.clock.advance(COOL_DOWN_MS);
    const told = house.failures.length;
    await house.keySets.renewed("a");
    assert.equal(house.failures.length, told + 1, body.slice(0, 50));
    assert.equal(await accepts(house, tokenOf(first, "a", house.clock)), true);
  }
});

test("an old set goes on serving while a new one is on its way", async (t) => {
  const house = await start(t, "a");
  await house.keySets.warm();
  const release = serverOf(house, "a").hold();
  serverOf(house, "a").publish([second.jwk]);
  house.clock.advance(AGE_MAX_MS + 1);
  const old = tokenOf(first, "a", house.clock);
  assert.equal(await accepts(house, old), true); // the server does not answer yet
  assert.equal(await accepts(house, old), true);
  assert.equal(house.asked.length, 2);
  release();
  await house.keySets.renewed("a");
  assert.equal(serverOf(house, "a").fetches, 2);
  assert.equal(await accepts(house, old), false, "a verified token does not outlive its key");
  assert.equal(await accepts(house, tokenOf(second, "a", house.clock)), true);
});

test("a new key is found on its first use", async (t) => {
  const house = await start(t, "a");
  await house.keySets.warm();
  serverOf(house, "a").publish([first.jwk, second.jwk]);
  house.clock.advance(COOL_DOWN_MS);
  assert.equal(await accepts(house, tokenOf(second, "a", house.clock)), true);
  assert.equal(serverOf(house, "a").fetches, 2);
});

test("a fetched set that has not changed stays the same, so that verified tokens stay remembered", async (t) => {
  const house = await start(t, "a");
  const set = await house.keySets.renewed("a");
  house.clock.advance(COOL_DOWN_MS);
  assert.equal(await house.keySets.renewed("a"), set);
  assert.equal(serverOf(house, "a").fetches, 2);
});

test("an issuer that does not answer holds up nobody else", async (t) => {
  const house = await start(t, "a", "b");
  const release = serverOf(house, "a").hold();
  const waiting = accepts(house, tokenOf(first, "a", house.clock));
  assert.equal(await accepts(house, tokenOf(first, "b", house.clock)), true);
  release();
  assert.equal(await waiting, true);
});
