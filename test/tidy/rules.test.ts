import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkDocs } from "./doc-rules.ts";
import { FILE_LINES_MAX, FUNCTION_LINES_MAX } from "./house.ts";
import { checkDoors, checkFloors, checkImporters } from "./import-rules.ts";
import { checkDefaultTenant, checkEnvironment, checkSystemData } from "./isolation-rules.ts";
import { checkRatchet } from "./ratchet.ts";
import { checkFileLength, checkForms, checkFunctionLength, checkNames } from "./shape-rules.ts";
import { type Finding, parseSources, type Source } from "./source.ts";
import { checkMarks, checkSubject } from "./text-rules.ts";

type Rule = (sources: readonly Source[]) => Finding[];

/** `path:line` of what the rule finds in one file of this text. */
function found(rule: Rule, path: string, text: string): string[] {
  return rule(parseSources([{ path, text }])).map((finding) => `${finding.path}:${finding.line}`);
}

/** The rule finds something in each of these lines when it stands alone in the file, and says the right line. */
function assertRefused(rule: Rule, path: string, texts: readonly string[]): void {
  for (const text of texts) assert.deepEqual(new Set(found(rule, path, `\n${text}\n`)), new Set([`${path}:2`]), text);
}

function assertAccepted(rule: Rule, path: string, texts: readonly string[]): void {
  for (const text of texts) assert.deepEqual(found(rule, path, text), [], text);
}

const path = "src/gateway/route.ts";

describe("imports", () => {
  test("a higher floor, a sibling, an inner file and what is outside src/ are refused, in every form of an import", () => {
    assertRefused(checkFloors, path, [
      'import { a } from "../control/index.ts";',
      'import type { A } from "../agents/index.ts";',
      'import "../cli/main.ts";',
      'import { a } from "../kernel/secret.ts";',
      'export { a } from "../control/index.ts";',
      'export * from "../control/index.ts";',
      'const a = await import("../control/index.ts");',
      'type A = import("../control/index.ts").A;',
      'const a = new URL("../control/worker.ts", import.meta.url);',
      "const a = await import(name);",
      'import { a } from "../../test/tidy/source.ts";',
      'import { a } from "../nowhere/index.ts";',
    ]);
    assertRefused(checkFloors, "src/tenancy/policy/roles.ts", ['import { a } from "../identity/index.ts";']);
    assertRefused(checkFloors, "src/stores/data/port.ts", ['import { a } from "../events/index.ts";', 'import { a } from "../scope.ts";']);
  });

  test("the own room, lower floors through their index.ts, packages and the listed side doors are accepted", () => {
    assertAccepted(checkFloors, path, [
      'import { a } from "./compose.ts";',
      'import { a } from "./plugins/cors/settings.ts";',
      'import { a } from "../kernel/index.ts";',
      'import { a } from "../tenancy/policy/index.ts";',
      'import { a } from "zod";',
      'const a = "import { a } from \'../control/index.ts\'"; // import "../control/index.ts"',
      "const a = new URL(name, import.meta.url);",
    ]);
    assertAccepted(checkFloors, "src/gateway/plugins/cors/create.ts", ['import { a } from "../../compose.ts";']);
    assertAccepted(checkFloors, "src/stores/search/exact.ts", ['import { a } from "../data/index.ts";']);
    assertAccepted(checkFloors, "src/stores/scope.ts", ['import { a } from "./search/index.ts";']);
  });

  test("a file in no room is refused", () => {
    for (const stray of ["src/stray.ts", "src/other/a.ts", "src/stores/other/a.ts", "src/tenancy/a.ts", "src/constructor/a.ts"]) {
      assert.deepEqual(found(checkFloors, stray, "export {};"), [`${stray}:1`]);
    }
  });

  test("a room without an index.ts is refused, except the one on top", () => {
    assert.deepEqual(found(checkDoors, "src/stores/data/port.ts", ""), ["src/stores/data/index.ts:1"]);
    assertAccepted(checkDoors, "src/stores/data/index.ts", [""]);
    assertAccepted(checkDoors, "src/cli/main.ts", [""]);
  });

  test("a module with a place of its own is refused elsewhere, with and without node:", () => {
    const modules = ["node:http", "http", "node:net", "undici", "pg", "pg/lib/query.js", "jose", "pino", "commander", "node:vm"];
    assertRefused(
      checkImporters,
      path,
      [...modules, "@electric-sql/pglite"].map((name) => `import { a } from "${name}";`),
    );
    assertRefused(checkImporters, path, ['const a = await import("undici");', 'type A = import("node:http").Server;']);
    assertAccepted(checkImporters, path, [
      'import { a } from "node:crypto";',
      'import { a } from "pgpass";',
      'import { a } from "./http.ts";',
    ]);
    assertAccepted(checkImporters, "src/wire/server.ts", ['import { a } from "node:http";', 'import { a } from "undici";']);
    assertAccepted(checkImporters, "src/stores/data/adapters/postgresql.ts", ['import pg from "pg";', 'import { a } from "node:net";']);
  });
});

describe("isolation", () => {
  test("reading the environment or the arguments is refused outside src/cli", () => {
    const readers = [
      "const a = process.env.A;",
      'const a = process["env"];',
      "const a = process.argv.slice(2);",
      "const a = globalThis.process.env;",
      "const { env } = process;",
      'import { env } from "node:process";',
      'import process from "node:process";',
      'import * as all from "process";',
    ];
    assertRefused(checkEnvironment, path, readers);
    assertAccepted(checkEnvironment, "src/cli/settings.ts", readers);
    assertAccepted(checkEnvironment, path, [
      "const a = process.hrtime.bigint();",
      "const a = settings.env;",
      'import { hrtime } from "node:process";',
    ]);
  });

  test("data without a tenant is refused outside the listed places", () => {
    const users = [
      'import type { SystemData } from "../stores/data/index.ts";',
      "const a = data.system;",
      'const a = data["system"];',
      "const { system } = data;",
      "function a({ system: all }: Data) {}",
    ];
    assertRefused(checkSystemData, path, users);
    assertAccepted(checkSystemData, "src/tenancy/registry/load.ts", users);
    assertAccepted(checkSystemData, path, ['const a = { provedBy: "system" };', 'import { systemClock } from "../kernel/index.ts";']);
  });

  test("a made-up tenant is refused", () => {
    assertRefused(checkDefaultTenant, path, [
      'const tenant = header ?? "default";',
      'const a = request.tenantId || "default";',
      'function a(tenantId = "default") {}',
      'const a = b ? tenant.id : "default";',
      'const a = { tenant: header ?? "default" };',
      'const a = setHeader("x-tenant-id", "default");',
    ]);
    assertAccepted(checkDefaultTenant, path, [
      'const plan = name ?? "default";',
      'const reserved = ["default", "tenant"];',
      'const a = { plan: "default", tenant };',
      'type A = "default" | "tenant";',
    ]);
  });
});

describe("shape", () => {
  test("names that are not in kebab-case, say nothing, or are tests that would not run are refused", () => {
    const refused = [
      "src/wire/http-utils.ts",
      "src/wire/helpers.ts",
      "src/wire/types.ts",
      "src/wire/pool-manager.ts",
      "src/wire/httpParser.ts",
    ];
    for (const name of [...refused, "src/wire/HTTP.ts", "src/Wire/http.ts", "src/wire/a_b.ts", "src/wire/http.test.ts"]) {
      assert.deepEqual(found(checkNames, name, ""), [`${name}:1`]);
    }
    for (const name of [
      "src/wire/http.ts",
      "src/kernel/tenant-id.ts",
      "test/wire/http-1.test.ts",
      "src/wire/content-types.ts",
      "src/wire/pg.d.ts",
    ]) {
      assertAccepted(checkNames, name, [""]);
    }
  });

  test("default exports and enums are refused", () => {
    assertRefused(checkForms, path, [
      "export default 1;",
      "export default function a() {}",
      "export default class A {}",
      "export { a as default };",
      'export { a as default } from "./a.ts";',
      "enum A { B }",
      "export const enum A { B }",
    ]);
    assertAccepted(checkForms, path, ["export const a = 1;", 'import pg from "pg";', "switch (a) { default: }", "// export default enum"]);
  });

  test("a file that is too long is refused", () => {
    const rule: Rule = (sources) => checkFileLength(sources, {});
    assert.deepEqual(found(rule, path, "a;\n".repeat(FILE_LINES_MAX + 1)), [`${path}:1`]);
    assertAccepted(rule, path, ["a;\n".repeat(FILE_LINES_MAX)]);
  });

  test("a function that is too long is refused in every form; lists of tests and long texts do not count", () => {
    const rule: Rule = (sources) => checkFunctionLength(sources, {});
    const body = (lines: number): string => `{${"\n;".repeat(lines - 2)}\n}`;
    const long = body(FUNCTION_LINES_MAX + 1);
    assertRefused(rule, path, [
      `function a() ${long}`,
      `const a = () => ${long}`,
      `const a = function () ${long}`,
      `class A { a() ${long} }`,
      `class A { constructor() ${long} }`,
      `class A { get a() ${long} }`,
      `test("a", async () => ${long});`,
    ]);
    assertAccepted(rule, path, [
      `function a() ${body(FUNCTION_LINES_MAX)}`,
      `class A ${long}`,
      `describe("a", () => ${long});`,
      `const sql = () => \`${long}\`;`,
    ]);
  });

  test("an exported name without a doc comment right before it is refused", () => {
    const rule: Rule = (sources) => checkDocs(sources, {});
    assertRefused(rule, path, [
      "export const a = 1;",
      "export function a() {}",
      "export class A {}",
      "export interface A {}",
      "export type A = 1;",
      "export async function a() {}",
      "export const a = 1; /** Comes too late. */",
    ]);
    assert.deepEqual(found(rule, path, "/** Of a. */\n// not of b\nconst a = 1;\nexport const b = a;"), [`${path}:4`]);
    assert.deepEqual(found(rule, path, "/** Of b. */\n// which ends here\nexport const b = 1;"), [`${path}:3`]);
    assertAccepted(rule, path, [
      "/** Of a. */\nexport const a = 1;",
      "/** Of both. */\nexport const A = [1] as const;\nexport type B = (typeof A)[number];",
      "export const A = [1] as const;\n/** Of both. */\nexport type B = (typeof A)[number];",
      "/** Of both. */\nexport function a(b: 1): 1;\nexport function a(b: number): number { return b; }",
      "const a = 1;",
      'export { a } from "./a.ts";',
    ]);
    assertAccepted(rule, "src/gateway/index.ts", ["export const a = 1;"]);
  });

  test("what the ratchet lets pass may get smaller, not larger, and its entry follows", () => {
    const check = (size: number, known: number): number =>
      checkRatchet([{ key: "a", path: "a", line: 1, size, message: "is too large" }], { a: known }, 10).length;
    assert.equal(check(12, 12), 0);
    assert.equal(check(13, 12), 1);
    assert.equal(check(11, 12), 1);
    assert.equal(check(10, 12), 1);
    assert.equal(checkRatchet([], { a: 12 }, 10).length, 1);
  });
});

describe("text", () => {
  test("work left in a comment is refused in code", () => {
    const marks = [
      ["TO", "DO"],
      ["FIX", "ME"],
      ["X", "XX"],
      ["HA", "CK"],
    ]; // in two pieces, so that they are not found here
    assertRefused(
      checkMarks,
      path,
      marks.map((mark) => `// ${mark.join("")}: later`),
    );
    assertAccepted(checkMarks, path, ["const HACKS = 1;", "const todo = 1;"]);
  });

  test("what is not of the product is refused in every file", () => {
    const words = [
      ["/wo", "rk/main"],
      ["registry.", "npmjs.org"],
      ["sub", "agent"],
      ["Clau", "de"],
      ["GP", "T-5"],
    ];
    for (const [head = "", tail = ""] of words) {
      const text = `first\nsee ${head}${tail}`;
      assert.deepEqual(
        checkSubject([{ path: "docs/a.md", text }]).map(({ line }) => line),
        [2],
        text,
      );
    }
    assert.deepEqual(checkSubject([{ path: "docs/a.md", text: "ChatGPT, gpt-4o, homework/main, agent" }]), []);
  });
});
