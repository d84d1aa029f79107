import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BASE_DOMAIN, guard, startFreehold } from "../support/freehold.ts";

const MAX = 5;
const failedCredentials = { max: MAX, windowSeconds: 3_600 };
const freehold = await startFreehold({ settings: { identity: { baseDomains: [BASE_DOMAIN], failedCredentials } } });
const { a } = freehold.credentials;

describe("whoever tries credential after credential", () => {
  guard(freehold);

  test("is told to slow down after so many failures, whatever its fields say, and fills no audit trail", async () => {
    const guess = async (i: number) =>
      await freehold
        .as({ authorization: `Bearer guess-${i}`, "x-forwarded-for": `198.51.100.${i}`, forwarded: `for=198.51.100.${i}` })
        .get("/users");
    for (let i = 0; i < MAX; i++) assert.equal((await guess(i)).status, 401);
    for (let i = MAX; i < MAX * 4; i++) {
      const reply = await guess(i);
      assert.deepEqual([reply.status, reply.code], [429, "rate_limited"]);
      const retryAfter = Number(reply.headers["retry-after"]);
      assert.ok(retryAfter > 0 && retryAfter <= failedCredentials.windowSeconds, String(retryAfter));
    }
    await freehold.app.services.audit.flush();
    const rows = await freehold.sql<{ entry: string }>(
      "select e::text as entry from freehold.audit_entries e where e::text like '%auth_failed%'",
    );
    assert.equal(rows.length, MAX + 1);
    assert.equal(rows.filter(({ entry }) => entry.includes("too_many_failures")).length, 1);
  });

  test("takes nothing from those who prove themselves at the same address, nor from those who try nothing", async () => {
    for (const credential of [a.member, a.key]) assert.equal((await freehold.as(credential).get("/users")).status, 200);
    assert.equal((await freehold.as({}).get("/users")).status, 401);
    assert.equal((await freehold.as(a.revokedKey).get("/users")).status, 429);
    assert.equal((await freehold.as(a.member).get("/users")).status, 200);
  });
});
