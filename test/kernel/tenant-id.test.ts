import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import { parseTenantId } from "../../src/kernel/index.ts";

const alphanumeric = fc.stringMatching(/^[a-z0-9]{1,6}$/);
/** Texts that are tenant ids but for a reserved word, a number or a length here and there. */
const slugs = fc.array(alphanumeric, { minLength: 1, maxLength: 8 }).map((parts) => parts.join("-"));

describe("a tenant id", () => {
  test("reads as the same text to JSON, to YAML, in a URL, in a host name and in a path", () => {
    fc.assert(
      fc.property(slugs, (slug) => {
        const id = parseTenantId(slug);
        if (id === undefined) return;
        assert.deepEqual(parse(`tenant: ${id}`, { schema: "core" }), { tenant: id });
        assert.equal(
          new URL(`https://${id}.api.example.com/tenants/${id}/x?tenant=${id}`).href,
          `https://${id}.api.example.com/tenants/${id}/x?tenant=${id}`,
        );
        assert.equal(id.normalize("NFKC").toLowerCase().trim(), id);
      }),
      { numRuns: 3_000 },
    );
  });

  test("is never a text that some reader takes for a number, a date, a truth value or nothing", () => {
    for (const text of [
      "0",
      "00",
      "1000",
      "1e3",
      "1e999",
      "0x10",
      "0b1",
      "0o17",
      "017",
      "yes",
      "no",
      "on",
      "off",
      "y",
      "n",
      "true",
      "null",
      "nan",
      "2024-01-31",
      "2024-1-1",
    ]) {
      assert.equal(parseTenantId(text), undefined, text);
    }
    for (const text of ["a1", "1a", "e3", "1e", "0x", "yes-1", "x-no", "2024-01", "24-01-31"]) assert.equal(parseTenantId(text), text);
  });

  test("is a label of the domain name system: 63 characters at the most", () => {
    assert.equal(parseTenantId("a".repeat(63)), "a".repeat(63));
    assert.equal(parseTenantId("a".repeat(64)), undefined);
  });
});
