import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseGatewayDocument } from "../../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";
import { encodeControls, encodePath } from "../../../src/gateway/plugins/shared/encode-uri.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { routeWith } from "./content-document.ts";

const SEED = 20_261_120;
const HOSTILE = fc
  .array(fc.constantFrom("\r", "\n", "\0", "\r\n", "\u0085", "\u2028", "\u560d\u560a", "a", ": ", "X-Admin: 1", "%0d%0a"), {
    minLength: 1,
    maxLength: 8,
  })
  .map((parts) => parts.join(""));
/** What ends a field or a line in a message. */
const LINE_ENDS: readonly string[] = ["\r", "\n", "\0"];

function endsLine(text: string): boolean {
  return LINE_ENDS.some((end) => text.includes(end));
}

/** Places where settings hold text that becomes a header field. */
const PLACES: readonly ((value: string) => object)[] = [
  (value) => ({ "proxy-rewrite": { headers: { set: { "X-A": value } } } }),
  (value) => ({ "proxy-rewrite": { headers: { add: { "X-A": ["fine", value] } } } }),
  (value) => ({ "response-rewrite": { headers: { set: { "X-A": value } } } }),
  (value) => ({ "fault-injection": { abort: { http_status: 400, headers: { "X-A": value } } } }),
  (value) => ({ mocking: { response_example: "", response_headers: { "X-A": value } } }),
  (value) => ({ "forward-auth": { uri: "https://auth.test/", extra_headers: { "X-A": value } } }),
];

function isTaken(plugins: object): boolean {
  try {
    parseGatewayDocument(routeWith("127.0.0.1:1", plugins), { profile: "strict", plugins: PLUGINS });
    return true;
  } catch {
    return false;
  }
}

describe("text in header fields and addresses", () => {
  it(`a setting with a control character is refused when it is saved, wherever it stands (seed ${SEED})`, () => {
    fc.assert(
      fc.property(HOSTILE, (value) => {
        for (const place of PLACES) assert.equal(isTaken(place(value)), !/[^\x20-\x7e]/.test(value), JSON.stringify(place(value)));
      }),
      { seed: SEED, numRuns: 30 },
    );
  });

  it(`encoded text has visible ASCII only, and decodes to what it was (seed ${SEED})`, () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const path = encodePath(text);
        assert.match(path, /^[!-~]*$/);
        assert.ok(!/[?#]/.test(path));
        assert.equal(decodeURIComponent(path), text.toWellFormed());
        assert.match(encodeControls(text), /^[!-~]*$/);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it(`whatever a caller sends becomes one value of one field, or nothing at all (seed ${SEED})`, async (t) => {
    const echo = await startEcho(t);
    const headers = { set: { "X-Value": "<$arg_v>" } };
    const plugins = { "proxy-rewrite": { headers }, "response-rewrite": { headers } };
    const { send } = await startPlane(t, routeWith(echo.node, plugins));
    await fc.assert(
      fc.asyncProperty(HOSTILE, async (value) => {
        const before = echo.received.length;
        const reply = await send(`/x?v=${encodeURIComponent(value)}`, { as: "acme" });
        const [seen] = echo.received.slice(before);
        if (endsLine(value)) assert.notEqual(reply.status, 200);
        assert.equal(seen?.headers["x-admin"], undefined);
        assert.equal(reply.headers["x-admin"], undefined);
        if (reply.status === 200) assert.ok(!endsLine(String(seen?.headers["x-value"])));
      }),
      { seed: SEED, numRuns: 100 },
    );
  });

  it("no pattern of an address or a body blocks the gateway: each is refused when it is saved or runs in linear time", async (t) => {
    const echo = await startEcho(t);
    const text = readFileSync(new URL("../../vectors/redos-patterns.json", import.meta.url), "utf8");
    const { vectors } = JSON.parse(text) as { readonly vectors: readonly { readonly re: string; readonly input: string }[] };
    const { send, apply } = await startPlane(t, routeWith(echo.node, {}));
    for (const { re, input } of vectors) {
      echo.answer = (_received, response) => response.end(input.repeat(200));
      const filters = [{ regex: re, replace: "x", scope: "global" }];
      const places: readonly object[] = [
        { "proxy-rewrite": { regex_uri: [re, "/x"] } },
        { redirect: { regex_uri: [re, "/x"] } },
        { "response-rewrite": { filters } },
      ];
      for (const plugins of places) {
        if (!isTaken(plugins)) continue;
        await apply(routeWith(echo.node, plugins));
        const { status } = await send(`/${encodeURIComponent(input.repeat(20))}`, { as: "acme" });
        assert.ok(status < 500, `${re}: ${status}`);
      }
    }
  });
});
