import assert from "node:assert/strict";
import { test } from "node:test";
import { createFailureLimit } from "../../src/tenancy/identity/failure-limit.ts";
import { createFailureCounter } from "../../src/cli/open-identity.ts";
import { createLimits } from "../../src/tenancy/limits/index.ts";
import { createManualClock } from "../support/clock.ts";

test("an address is one however it is written, an IPv6 network is one, and others are others", () => {
  const clock = createManualClock();
  const same = [
    ["192.0.2.1", "::ffff:192.0.2.1"],
    ["2001:db8::1", "2001:db8:0:0:ffff:1:2:3", "2001:DB8::FFFF"],
    ["2001:db8:0:1::1", "2001:db8:0:1:2::"],
    ["::1", "0:0:0:0:0:0:0:1"],
  ];
  const limit = createFailureLimit({ max: 1, windowSeconds: 60 }, clock, createFailureCounter(createLimits({ clock })));
  for (const addresses of same) {
    const kinds = addresses.map((address) => limit.note(address).kind);
    assert.deepEqual(kinds, ["counted", "crossed", "over"].slice(0, addresses.length), addresses.join(" "));
  }
});
