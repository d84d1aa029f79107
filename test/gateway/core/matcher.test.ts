import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileExpression } from "../../../src/gateway/routing/expression.ts";
import { type MatchRequest, type MatchRule, RouteMatcher } from "../../../src/gateway/routing/matcher.ts";
import { createPatternCompiler } from "../../../src/gateway/routing/pattern.ts";
import { type Asked, slowMatch } from "./slow-matcher.ts";

const SEED = 20_261_120;
const pattern = createPatternCompiler("strict", () => {});

interface Drawn {
  readonly paths: readonly string[];
  readonly hosts: readonly string[];
  readonly methods: readonly string[] | undefined;
  readonly tenant: string | undefined;
  readonly negated: boolean;
  readonly priority: number;
}

// few letters, so that patterns meet each other all the time
const segment = fc.constantFrom("a", "ab", "b", "aba", "x");
const segments = fc.array(segment, { minLength: 0, maxLength: 3 });
const path = segments.map((parts) => `/${parts.join("/")}`);
const named = fc.tuple(segments, segments).map(([before, after]) => `/${[...before, ":id", ...after].join("/")}`);
const patternPath = fc.oneof(
  path,
  path.map((text) => `${text}*`),
  path.map((text) => `${text === "/" ? "" : text}/*`),
  named,
);
const host = fc.constantFrom("a.test", "b.a.test", "c.b.a.test", "test", "ba.test");
const patternHost = fc.oneof(host, fc.constantFrom("*.a.test", "*.test", "*a.test", "*.b.a.test"));
const tenant = fc.constantFrom("acme", "globex", "initech");
const drawnRule: fc.Arbitrary<Drawn> = fc.record({
  paths: fc.uniqueArray(patternPath, { minLength: 1, maxLength: 2 }),
  hosts: fc.oneof(fc.constant([]), fc.uniqueArray(patternHost, { minLength: 1, maxLength: 2 })),
  methods: fc.option(fc.subarray(["GET", "POST", "PUT"], { minLength: 1 }), { nil: undefined }),
  tenant: fc.option(tenant, { nil: undefined }),
  negated: fc.boolean(),
  priority: fc.integer({ min: -1, max: 2 }),
});
const asked: fc.Arbitrary<Asked> = fc.record({
  method: fc.constantFrom("GET", "POST", "DELETE"),
  host: fc.option(host, { nil: undefined }),
  path: fc.oneof(
    path,
    path.map((text) => `${text}/`),
  ),
  tenant: fc.option(tenant, { nil: undefined }),
});

function toRule(drawn: Drawn, index: number): MatchRule<string> {
  const vars = drawn.tenant === undefined ? undefined : [["tenant_id", drawn.negated ? "~=" : "==", drawn.tenant]];
  return {
    value: `route-${index}`,
    paths: drawn.paths,
    hosts: drawn.hosts,
    methods: drawn.methods && new Set(drawn.methods),
    addresses: undefined,
    vars: vars && compileExpression(vars, pattern),
    priority: drawn.priority,
  };
}

function toRequest({ method, host: name, path: at, tenant: id }: Asked): MatchRequest {
  return {
    method,
    host: name,
    path: at,
    remoteAddress: "127.0.0.1",
    pathParameters: undefined,
    variable: (variable) => (variable === "tenant_id" ? id : undefined),
  };
}

test("the matcher chooses what going through all routes would choose", () => {
  fc.assert(
    // beyond 16 routes under one path the index by equality takes part
    fc.property(
      fc.array(drawnRule, { minLength: 1, maxLength: 60 }),
      fc.array(asked, { minLength: 1, maxLength: 8 }),
      (drawn, requests) => {
        const rules = drawn.map(toRule);
        const matcher = new RouteMatcher(rules);
        for (const request of requests) assert.equal(matcher.find(toRequest(request)), slowMatch(rules, request));
      },
    ),
    { seed: SEED, numRuns: 2_000 },
  );
});

test("many routes under one path that ask for one tenant each are chosen as if they were gone through", () => {
  const sameplace = drawnRule.map((drawn) => ({ ...drawn, paths: ["/a*"], hosts: [], negated: false }));
  fc.assert(
    fc.property(fc.array(sameplace, { minLength: 16, maxLength: 60 }), asked, (drawn, request) => {
      const rules = drawn.map(toRule);
      const at = { ...request, path: "/ab" };
      assert.equal(new RouteMatcher(rules).find(toRequest(at)), slowMatch(rules, at));
    }),
    { seed: SEED, numRuns: 1_000 },
  );
});

test("the named parts of a path are those of the route that was taken", () => {
  const rule = (value: string, at: string, methods?: string[]): MatchRule<string> => ({
    ...toRule({ paths: [at], hosts: [], methods, tenant: undefined, negated: false, priority: 0 }, 0),
    value,
  });
  const matcher = new RouteMatcher([
    rule("file", "/blog/:year/*file"),
    rule("post", "/blog/:post", ["GET"]),
    rule("all", "/blog/*"),
    rule("verb", "/v1/models:list"),
  ]);
  const ask = (method: string, at: string): { taken: string | undefined; parts: Record<string, string> } => {
    const request = toRequest({ method, host: undefined, path: at, tenant: undefined });
    const taken = matcher.find(request);
    return { taken, parts: Object.fromEntries(request.pathParameters ?? []) };
  };
  assert.deepEqual(ask("GET", "/blog/2026/a/b.txt"), { taken: "file", parts: { year: "2026", file: "a/b.txt" } });
  assert.deepEqual(ask("GET", "/blog/hello"), { taken: "post", parts: { post: "hello" } });
  assert.deepEqual(ask("POST", "/blog/hello"), { taken: "all", parts: {} });
  assert.deepEqual(ask("GET", "/blog/"), { taken: "all", parts: {} });
  assert.deepEqual(ask("GET", "/v1/models:list"), { taken: "verb", parts: {} });
});

test("a look-up visits no more routes when there are a hundred thousand of them", () => {
  const count = 100_000;
  const visits = { of: 0 };
  const rules = Array.from({ length: count }, (_, index): MatchRule<string> => {
    const vars = compileExpression([["tenant_id", "==", `tenant-${index}`]], pattern);
    const counted = { ...vars, holds: (source: Parameters<typeof vars.holds>[0]) => (visits.of++, vars.holds(source)) };
    const base = toRule({ paths: ["/api/*"], hosts: [], methods: undefined, tenant: undefined, negated: false, priority: 0 }, index);
    return index % 2 === 0 ? { ...base, vars: counted } : { ...base, vars: counted, hosts: [`t${index}.example.com`] };
  });
  const matcher = new RouteMatcher(rules);
  for (const index of [0, 42_000, 99_998]) {
    visits.of = 0;
    const request = toRequest({ method: "GET", host: "api.example.com", path: "/api/x", tenant: `tenant-${index}` });
    assert.equal(matcher.find(request), `route-${index}`);
    assert.equal(visits.of, 1);
  }
  const byHost = toRequest({ method: "GET", host: "t77777.example.com", path: "/api/x", tenant: "tenant-77777" });
  assert.equal(matcher.find(byHost), "route-77777");
});
