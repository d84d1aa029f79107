import assert from "node:assert/strict";
import { test } from "node:test";
import type { Random } from "../../src/kernel/index.ts";
import { BACKOFF_MS_MAX, backoffMs } from "../../src/stores/events/backoff.ts";

const always = (byte: number): Random => ({ bytes: (size) => Buffer.alloc(size, byte) });

test("the pause after an attempt is anything from 0 to a ceiling that doubles from 200 ms up to 5 minutes", () => {
  const ceilings = [1, 2, 3, 4, 5, 6, 7, 8].map((attempts) => backoffMs(attempts, always(0xff)));
  assert.deepEqual(ceilings, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600]);
  assert.equal(backoffMs(40, always(0xff)), BACKOFF_MS_MAX);
  assert.equal(backoffMs(8, always(0)), 0);
  assert.equal(backoffMs(1, always(0x80)), 100);
});
