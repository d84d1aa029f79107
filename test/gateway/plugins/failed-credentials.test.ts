import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type PlaneReply, startEcho, startPlane } from "../../support/data-plane.ts";
import { documentOf } from "./access-document.ts";

const MAX = 3;
const KEY = "key-of-bob-0123456789";
const CONSUMERS = {
  consumers: [
    { username: "bob", plugins: { "key-auth": { key: KEY }, "tenant-context": { tenant_id: "acme" } } },
    { username: "ann", plugins: { "basic-auth": { username: "ann", password: "secret" }, "tenant-context": { tenant_id: "globex" } } },
    { username: "anybody", plugins: { "tenant-context": { tenant_id: "acme" } } },
  ],
};
const basic = (password: string): string => `Basic ${Buffer.from(`ann:${password}`).toString("base64")}`;

for (const profile of ["strict", "apisix"] as const) {
  describe(`whoever tries one credential of a consumer after the other (${profile})`, () => {
    it("is told to slow down after so many, fills no audit trail and reaches nothing; others are served", async (t) => {
      const echo = await startEcho(t);
      const { send, audits } = await startPlane(t, documentOf(echo.node, { "key-auth": {} }, CONSUMERS), { profile, failuresMax: MAX });
      const guess = (i: number): Promise<PlaneReply> =>
        send("/x", { headers: { apikey: `guess-${i}`, "x-forwarded-for": `192.0.2.${i}` } });
      for (let i = 0; i < MAX; i++) assert.equal((await guess(i)).status, 401);
      for (let i = MAX; i < MAX * 3; i++) {
        const refused = await guess(i);
        assert.equal(refused.status, 429);
        assert.ok(Number(refused.headers["retry-after"]) > 0);
      }
      assert.deepEqual(
        audits.map(({ action, reason }) => [action, reason === "too_many_failures"]),
        [...Array.from({ length: MAX }, () => ["auth_failed", false]), ["auth_failed", true]],
      );
      assert.equal(echo.received.length, 0);
      assert.equal((await send("/x", { headers: { apikey: KEY } })).status, 200);
      assert.equal((await send("/x")).status, 401);
    });

    it("is served when one of several ways proves who it is, and gets no anonymous access by guessing", async (t) => {
      const echo = await startEcho(t);
      const ways = { "multi-auth": { auth_plugins: [{ "basic-auth": {} }, { "key-auth": {} }] } };
      const several = await startPlane(t, documentOf(echo.node, ways, CONSUMERS), { profile, failuresMax: 1 });
      const status = async (headers: Record<string, string>): Promise<number> => (await several.send("/x", { headers })).status;
      assert.equal(await status({ authorization: basic("wrong") }), 401);
      assert.equal(await status({ authorization: basic("wrong") }), 429);
      assert.equal(await status({ authorization: basic("wrong"), apikey: "wrong" }), 429);
      assert.equal(await status({ authorization: basic("wrong"), apikey: KEY }), 200);
      assert.equal(await status({ authorization: basic("secret") }), 200);
      const open = documentOf(echo.node, { "key-auth": { anonymous_consumer: "anybody" } }, CONSUMERS);
      const anonymous = await startPlane(t, open, { profile, failuresMax: 1 });
      const answers: number[] = [];
      for (const headers of [{ apikey: "wrong" }, { apikey: "wrong" }, {}, { apikey: KEY }] as Record<string, string>[])
        answers.push((await anonymous.send("/x", { headers })).status);
      assert.deepEqual(answers, [200, 429, 200, 200]);
    });
  });
}
