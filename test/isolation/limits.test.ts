import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";

const freehold = await startFreehold();
const operator = freehold.trusted(freehold.platform.admin);

/** Brings tenant a to exactly one request in use, whatever was before, under a rate that gives nothing back while the test runs. */
async function limitA(burst: number): Promise<void> {
  await setRate("a", 1_000_000, 1_000_000);
  assert.equal((await freehold.as(freehold.credentials.a.member).get("/users")).status, 200);
  await setRate("a", 0.001, burst);
}

async function setRate(tenant: "a" | "b", requestsPerSecond: number, burst: number): Promise<void> {
  const reply = await operator.send("PATCH", `/admin/v1/tenants/${tenant}`, { json: { rate: { requestsPerSecond, burst } } });
  assert.equal(reply.status, 200, reply.text);
}

describe("the rate of one tenant", () => {
  guard(freehold);

  test("is spent by that tenant alone: its flood is refused, its neighbour never", async () => {
    await limitA(6);
    await setRate("b", 1_000, 1_000);
    const a = freehold.as(freehold.credentials.a.member);
    const b = freehold.trusted(freehold.credentials.b.member);
    const [ofA, ofB] = await Promise.all([
      Promise.all(Array.from({ length: 100 }, () => a.get("/users"))),
      Promise.all(Array.from({ length: 100 }, () => b.get("/users"))),
    ]);
    assert.equal(ofA.filter(({ status }) => status === 200).length, 5);
    assert.equal(ofA.filter(({ status }) => status === 429).length, 95);
    assert.ok(ofB.every(({ status }) => status === 200));
  });

  test("holds for all of its principals together, and a refusal says when to come back", async () => {
    await limitA(3);
    const { member, otherMember, admin, key } = freehold.credentials.a;
    const replies = [];
    for (const credential of [member, otherMember, admin, key]) replies.push(await freehold.as(credential).get("/users"));
    const refused = replies.at(-1);
    assert.equal(refused?.code, "rate_limited");
    const retryMs = Number(refused?.headers["retry-after-ms"]);
    assert.ok(retryMs > 0 && retryMs <= 2_000_000, `retry-after-ms ${retryMs}`);
    assert.equal(Number(refused?.headers["retry-after"]), Math.ceil(retryMs / 1000));
    assert.match(String(refused?.headers["ratelimit-policy"]), /^"requests";q=3;w=\d+$/);
    assert.match(String(refused?.headers["ratelimit"]), /^"requests";r=0;t=\d+$/);
    assert.equal(refused?.json()["policy"], "requests");
  });

  test("counts refused calls and each message of a socket too", async () => {
    await limitA(4);
    const a = freehold.as(freehold.credentials.a.member);
    assert.equal((await a.get("/nothing/here")).status, 404);
    const socket = await a.socket();
    assert.ok("next" in socket);
    socket.send({ message: "first, paid for by the upgrade" });
    await socket.next("done");
    socket.send({ message: "second" });
    await socket.next("done");
    socket.send({ message: "third" });
    assert.equal((await socket.next("error"))["code"], "rate_limited");
    socket.close();
  });

  test("that is raised holds from the next request on", async () => {
    await limitA(1);
    const a = freehold.as(freehold.credentials.a.member);
    assert.equal((await a.get("/users")).status, 429);
    await setRate("a", 1_000, 1_000);
    assert.equal((await a.get("/users")).status, 200);
  });
});
