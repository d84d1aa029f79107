import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Fault, type FaultCode, FAULTS, toFault } from "../../src/kernel/index.ts";
import { faultReference } from "./fault-reference.ts";

const CODES = Object.keys(FAULTS) as FaultCode[]; // its own keys

/** Status and whether a retry helps, per code. Clients rely on it: a change here is a change of the API. */
const PINNED: Readonly<Record<FaultCode, string>> = {
  malformed_request: "400",
  invalid_tenant_id: "400",
  ambiguous_credentials: "400",
  invalid_json: "400",
  unknown_field: "400",
  unauthenticated: "401",
  tenant_mismatch: "403",
  forbidden: "403",
  tenant_suspended: "403",
  egress_denied: "403",
  not_found: "404",
  method_not_allowed: "405",
  conflict: "409",
  in_progress: "409 retry",
  body_too_large: "413",
  body_too_deep: "413",
  unsupported_media_type: "415",
  range_not_satisfiable: "416",
  idempotency_mismatch: "422",
  invalid_settings: "422",
  invalid_archive: "422",
  content_refused: "422",
  weak_key: "422",
  rate_limited: "429 retry",
  insufficient_quota: "429",
  concurrency_exceeded: "429 retry",
  internal: "500 retry",
  upstream_invalid: "502 retry",
  upstream_unreachable: "502 retry",
  circuit_open: "503 retry",
  overloaded: "503 retry",
  dependency_unavailable: "503 retry",
  tenant_moving: "503 retry",
  tenant_not_ready: "503 retry",
  upstream_timeout: "504 retry",
  storage_full: "507",
  store_locked: "503",
  isolation_violation: "500",
};

describe("the table of faults", () => {
  test("gives each code the status and the retry that clients rely on", () => {
    const table = Object.fromEntries(CODES.map((code) => [code, `${FAULTS[code].status}${FAULTS[code].retry ? " retry" : ""}`]));
    assert.deepEqual(table, PINNED);
  });

  test("gives each code a title of its own: one public sentence", () => {
    const titles = CODES.map((code) => FAULTS[code].title);
    assert.equal(new Set(titles).size, CODES.length);
    for (const title of titles) assert.match(title, /^[A-Z][^\n|]{5,90}\.$/);
    for (const code of CODES) assert.match(code, /^[a-z]+(?:_[a-z]+)*$/);
  });

  test("is what the reference says", () => {
    const written = readFileSync(new URL("../../docs/reference/errors.md", import.meta.url), "utf8");
    assert.equal(written, faultReference(), "docs/reference/errors.md differs from the table: put the expected text there");
  });
});

describe("a fault", () => {
  test("shows the caller its code's status and title and its public part, and keeps its message for the log", () => {
    const fault = new Fault("rate_limited", "internal words", { public: { policy: "requests", retryAfterMs: 5 } });
    assert.deepEqual([fault.status, fault.code, fault.public], [429, "rate_limited", { policy: "requests", retryAfterMs: 5 }]);
    assert.ok(!JSON.stringify(fault).includes("internal words"));
    assert.deepEqual(new Fault("internal", "x").public, {});
  });

  test("stays itself when it is converted, and anything else becomes internal with the original as its cause", () => {
    const fault = new Fault("conflict", "x");
    assert.equal(toFault(fault), fault);
    for (const thrown of [new TypeError("secret words"), "text", undefined, null, 7, { code: "not_found", status: 404 }]) {
      const made = toFault(thrown);
      assert.deepEqual([made.code, made.status, made.public], ["internal", 500, {}]);
      if (thrown !== undefined) assert.equal(made.cause, thrown);
    }
  });
});
