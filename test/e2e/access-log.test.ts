import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";

const freehold = await startFreehold({ settings: { accessLog: { sample: 0 } } });

describe("an access log with no share of what went well", () => {
  guard(freehold);

  test("has the line of a call that was refused, and none of one that was answered", async () => {
    const member = freehold.as(freehold.credentials.a.member);
    const ids: string[] = [];
    for (const path of ["/v1/models", "/v1/no-such-thing"]) ids.push(String((await member.get(path)).headers["x-request-id"]));
    const [answered = "", refused = ""] = ids;
    const lines = (id: string): readonly string[] => freehold.logLines.filter((line) => line.includes(id));
    assert.deepEqual(lines(answered), []);
    assert.equal(lines(refused).length, 1);
    const counted = (await freehold.trusted(freehold.platform.viewer, "admin").get("/metrics")).text;
    assert.match(counted, /freehold_requests_total\{route="\/v1\/models",method="GET",status="200"\} 1/);
    assert.match(counted, /freehold_request_seconds_count\{route="\/v1\/models"\} 1/);
  });
});
