import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";

const FILE = new URL("../../vectors/redos-patterns.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(FILE, "utf8")) as {
  readonly vectors: readonly { readonly re: string; readonly input: string }[];
};

/** Every place of a document that holds text against a pattern of its author, with the place of the text in a request. */
const PLACES: Readonly<Record<string, (re: string) => object>> = {
  vars: (re) => ({ vars: [["http_x", "~~", re]], plugins: {} }),
  "vars, case folded": (re) => ({ vars: [["arg_x", "~*", re]], plugins: {} }),
  "filter of a plugin": (re) => ({ plugins: { mocking: { _meta: { filter: [["http_x", "~~", re]] }, response_example: "x" } } }),
  "fault-injection": (re) => ({ plugins: { "fault-injection": { abort: { http_status: 418, vars: [[["http_x", "~~", re]]] } } } }),
  workflow: (re) => ({ plugins: { workflow: { rules: [{ case: [["http_x", "~~", re]], actions: [["return", { code: 418 }]] }] } } }),
  "traffic-split": (re) => ({
    plugins: { "traffic-split": { rules: [{ match: [{ vars: [["http_x", "~~", re]] }], weighted_upstreams: [{ weight: 1 }] }] } },
  }),
  "uri-blocker": (re) => ({ plugins: { "uri-blocker": { block_rules: [re] } } }),
  "ua-restriction": (re) => ({ plugins: { "ua-restriction": { denylist: [re] } } }),
  cors: (re) => ({ plugins: { cors: { allow_origins_by_regex: [re] } } }),
  "header of request-validation": (re) => ({
    plugins: { "request-validation": { header_schema: { type: "object", properties: { x: { type: "string", pattern: re } } } } },
  }),
};

test("no pattern that a document brings blocks the gateway, wherever it stands", { timeout: 60_000 }, async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const plane = await startPlane(t, { routes: [{ id: "0", uri: "/neighbour", upstream }] });
  const taken = new Map<string, number>();
  for (const [place, route] of Object.entries(PLACES))
    for (const { re, input } of vectors) {
      const document = {
        routes: [
          { id: "0", uri: "/neighbour", upstream },
          { id: "1", uri: "/*", upstream, ...route(re) },
        ],
      };
      const isTaken = await plane.apply(document).then(
        () => true,
        () => false,
      );
      if (!isTaken) continue;
      taken.set(place, (taken.get(place) ?? 0) + 1);
      const text = encodeURI(input).replaceAll("#", "%23").slice(0, 50).repeat(60);
      const headers = { x: text, origin: text, "user-agent": text };
      const [own, other] = await Promise.all([
        plane.send(`/x?x=${text}`, { as: "acme", headers }),
        plane.send("/neighbour", { as: "globex" }),
      ]);
      assert.ok(own.status < 500, `${place} ${re}: ${own.status}`);
      assert.equal(other.status, 200);
    }
  for (const place of Object.keys(PLACES)) assert.ok((taken.get(place) ?? 0) > vectors.length / 2, `${place}: ${taken.get(place) ?? 0}`);
});
