import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createHeaderList, isForgedInternal } from "../../src/wire/index.ts";
import { parseHost } from "../../src/wire/host.ts";

describe("a header list", () => {
  const list = createHeaderList(["X-A", "1", "x-a", "2", "Host", "a.example", "__proto__", "x"]);

  test("keeps order, case and repetition", () => {
    assert.deepEqual(list.fields, [
      ["X-A", "1"],
      ["x-a", "2"],
      ["Host", "a.example"],
      ["__proto__", "x"],
    ]);
    assert.deepEqual(list.all("x-A"), ["1", "2"]);
  });

  test("gives the one value of a field, and none for an absent one", () => {
    assert.equal(list.one("HOST"), "a.example");
    assert.equal(list.one("constructor"), undefined);
    assert.deepEqual(list.all("absent"), []);
  });

  test("never chooses between two values", () => {
    assert.throws(() => list.one("X-A"), { code: "malformed_request" });
  });
});

describe("a field that only the gateway may set", () => {
  const internal = ["x-tenant-id", "x-tenant-context", "x-request-id", "traceparent", "baggage", "x-original-url"];

  test("is known in every spelling that an upstream could read as its name", (t) => {
    const seed = Date.now();
    t.diagnostic(`seed ${seed}`);
    const separators = fc.array(fc.constantFrom("-", "_", "."), { minLength: 4, maxLength: 4 });
    const spelling = fc
      .tuple(fc.mixedCase(fc.constantFrom(...internal)), separators)
      .map(([name, between]) => name.split("-").reduce((left, right, i) => `${left}${between[i] ?? "-"}${right}`));
    fc.assert(
      fc.property(spelling, (name) => isForgedInternal(name)),
      { seed },
    );
  });

  test("is not any other field", () => {
    for (const name of ["x-tenant", "tracestate", "content-type", "x-tenant-idx", "authorization"])
      assert.equal(isForgedInternal(name), false);
  });
});

describe("a Host field", () => {
  for (const [value, host] of Object.entries({
    "A.Example": "a.example",
    "a.example:8443": "a.example",
    localhost: "localhost",
    "127.0.0.1:1": "127.0.0.1",
    "[::1]:8080": "[::1]",
    "tenant-a.api.example.com": "tenant-a.api.example.com",
  })) {
    test(`is read: ${value}`, () => assert.equal(parseHost(value), host));
  }

  const refused = [
    "",
    "a@b",
    "go od",
    "a:99999",
    "a:0",
    "a:",
    "api/#",
    "api/?",
    "a..b",
    ".a",
    "a.",
    "-a",
    "a_b",
    "127.1",
    "0x7f.1",
    "::1",
    "[::1",
    "[::1%25lo]",
  ];
  for (const value of [...refused, "a,b", "a\\b", "caf\u00e9", "1.2.3.256", `${"a".repeat(64)}.b`, `${"a.".repeat(127)}a`]) {
    test(`is refused: ${JSON.stringify(value.slice(0, 40))}`, () => assert.throws(() => parseHost(value), { code: "malformed_request" }));
  }
});

test("lines that were appended are fields like all others", () => {
  const edit = createHeaderList(["Host", "a.example", "X-One", "1", "x-two", "2", "X-ONE", "3"]).edit();
  edit.add("X-Three", "3");
  edit.removeAll(new Set(["x-one", "x-three"]));
  edit.append("X-Four: 4\r\nX-Five: 5: five\r\n", new Set(["x-four", "x-five"]));
  assert.equal(edit.text(), "Host: a.example\r\nx-two: 2\r\nX-Four: 4\r\nX-Five: 5: five\r\n");
  assert.equal(edit.get("host"), "a.example");
  assert.equal(edit.get("x-five"), "5: five");
  edit.remove("X-Four");
  edit.append("X-Six: 6\r\n", new Set(["x-six"]));
  edit.append("X-Seven: 7\r\n", new Set(["x-seven"]));
  edit.removeAll(new Set(["x-six"]));
  assert.deepEqual(edit.fields(), [
    ["Host", "a.example"],
    ["x-two", "2"],
    ["X-Five", "5: five"],
    ["X-Seven", "7"],
  ]);
});

test("a list knows whether a name has a character that others take for a hyphen", () => {
  assert.equal(createHeaderList(["X-Tenant-ID", "a_b.c"]).odd, false);
  for (const name of ["X_Tenant-ID", "x.tenant-id"]) assert.equal(createHeaderList([name, "a"]).odd, true);
});
