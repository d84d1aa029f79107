import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Fault } from "../../src/kernel/index.ts";
import { parseTarget } from "../../src/wire/index.ts";
import { SEGMENTS_MAX, TARGET_BYTES_MAX } from "../../src/wire/target.ts";

interface Vector {
  readonly target: string;
  readonly expect: string;
  readonly why: string;
}

const { vectors } = JSON.parse(readFileSync(new URL("../vectors/path-vectors.json", import.meta.url), "utf8")) as { vectors: Vector[] };

/** Allowed by the parser; whether the first segment is a tenant is a later question. */
const LATER = new Set(["/tenants/a./x"]);

const malformed = (error: unknown): boolean => error instanceof Fault && error.code === "malformed_request";

function isMalformed(raw: string): boolean {
  try {
    parseTarget(raw);
    return false;
  } catch (error) {
    if (malformed(error)) return true;
    throw error;
  }
}

describe("a request target", () => {
  for (const { target, expect, why } of vectors) {
    const refuses = (/^deny-400(?: except OPTIONS)?$/.test(expect) || expect === "414 or 400") && !LATER.has(target);
    test(`${refuses ? "is refused" : "is read"}: ${target.slice(0, 60)} ${why.slice(0, 60)}`, () => {
      assert.equal(isMalformed(target), refuses);
    });
  }

  test("is kept byte for byte and decoded once", () => {
    const target = parseTarget("/tenants/a/files/caf%C3%A9%20x?q=a%2Fb%25&r");
    assert.deepEqual(target, {
      raw: "/tenants/a/files/caf%C3%A9%20x?q=a%2Fb%25&r",
      path: "/tenants/a/files/caf%C3%A9%20x",
      segments: ["tenants", "a", "files", "café x"],
      query: "q=a%2Fb%25&r",
    });
  });

  test("keeps a slash at its end as an empty segment", () => {
    assert.deepEqual(parseTarget("/a/").segments, ["a", ""]);
  });

  test("of the root has no segments", () => {
    assert.deepEqual(parseTarget("/").segments, []);
    assert.equal(parseTarget("/?").query, "");
  });

  const refused: Record<string, string> = {
    "an empty target": "",
    "authority form": "a.example:443",
    "two slashes at the end": "/a//",
    "two slashes alone": "//",
    "an encoded slash in lower case": "/a%2fb",
    "an encoded dot inside a name": "/a%2Etxt",
    "an encoded percent": "/a%25",
    "a raw semicolon": "/a;b=c",
    "an encoded line feed": "/a%0Ab",
    "an encoded C1 control": "/a%C2%85",
    "an encoded line separator": "/a%E2%80%A8",
    "an overlong slash": "/a%C0%AFb",
    "an encoded surrogate": "/a%ED%A0%80",
    "a full-width slash": "/a%EF%BC%8Fb",
    "a one dot leader": "/%E2%80%A4%E2%80%A4/b",
    "a raw non-ASCII letter": "/caf\u00e9",
    "a space": "/a b",
    "a curly bracket": "/{a}",
    "a fragment after the query": "/a?b#c",
    "a control in the query": "/a?b\u0001",
    "an encoded NUL in the query": "/a?b=%00",
    "a broken encoding in the query": "/a?b=%f",
    "a target over the limit": `/${"a".repeat(TARGET_BYTES_MAX)}`,
    "too many segments": "/a".repeat(SEGMENTS_MAX + 1),
  };
  for (const [what, raw] of Object.entries(refused)) test(`is refused with ${what}`, () => assert.ok(isMalformed(raw)));

  test("means the same to the URL parser of the platform, whatever it is made of", (t) => {
    const piece = fc.constantFrom(
      "/",
      ".",
      "%2e",
      "%2F",
      "%5c",
      "a",
      "B",
      "~",
      "%C3%A9",
      "?",
      "#",
      "\\",
      ";",
      "%",
      "@",
      ":",
      "'",
      "//",
      "\t",
    );
    const seed = Date.now();
    t.diagnostic(`seed ${seed}`);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((pieces) => pieces.join("")),
        ),
        (tail) => {
          const raw = `/${tail}`;
          if (isMalformed(raw)) return;
          const target = parseTarget(raw);
          assert.equal(new URL(`http://a.example${raw}`).pathname, target.path);
          assert.ok(
            target.segments.every(
              (segment, at) =>
                (segment !== "" || at === target.segments.length - 1) &&
                segment !== "." &&
                segment !== ".." &&
                !/[\\/;%\p{Cc}]/u.test(segment),
            ),
          );
          assert.equal(raw, target.query === "" && !raw.includes("?") ? target.path : `${target.path}?${target.query}`);
        },
      ),
      { seed, numRuns: 2_000 },
    );
  });
});
