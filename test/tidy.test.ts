import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkDocs } from "./tidy/doc-rules.ts";
import { LONG_FILES, LONG_FUNCTIONS, UNDOCUMENTED } from "./tidy/house.ts";
import { checkDoors, checkFloors, checkImporters } from "./tidy/import-rules.ts";
import { checkDefaultTenant, checkEnvironment, checkSystemData } from "./tidy/isolation-rules.ts";
import { checkFileLength, checkForms, checkFunctionLength, checkNames } from "./tidy/shape-rules.ts";
import { type Finding, parseSources, readRepository } from "./tidy/source.ts";
import { checkMarks, checkSubject } from "./tidy/text-rules.ts";

const files = readRepository();
const sources = parseSources(files.filter((file) => /^(?:src|test|bench)\/.*\.ts$/.test(file.path)));

function assertNone(findings: readonly Finding[]): void {
  const lines = findings.map(({ path, line, message }) => `${path}:${line} ${message}`);
  assert.ok(lines.length === 0, `${lines.length} place(s) break this rule of the house:\n${lines.join("\n")}`);
}

describe("the rules of the house", () => {
  test("there is something to check", () => {
    assert.ok(files.some((file) => file.path === "package.json"));
    assert.ok(sources.some((source) => source.path === "src/kernel/index.ts"));
  });

  test("a file imports its own room and lower floors, and another room only through its index.ts", () => assertNone(checkFloors(sources)));
  test("every room has an index.ts", () => assertNone(checkDoors(sources)));
  test("a package or module with a place of its own is imported there only", () => assertNone(checkImporters(sources)));

  test("only src/cli reads the environment and the arguments", () => assertNone(checkEnvironment(sources)));
  test("data is reached without a tenant in listed places only", () => assertNone(checkSystemData(sources)));
  test("there is no default tenant", () => assertNone(checkDefaultTenant(sources)));

  test("files are named in kebab-case, after what they export", () => assertNone(checkNames(sources)));
  test("there are no default exports and no enums", () => assertNone(checkForms(sources)));
  test("no file is too long", () => assertNone(checkFileLength(sources, LONG_FILES)));
  test("no function is too long", () => assertNone(checkFunctionLength(sources, LONG_FUNCTIONS)));
  test("every exported name says what it guarantees", () => assertNone(checkDocs(sources, UNDOCUMENTED)));

  test("no comment leaves work for later", () => assertNone(checkMarks(files)));
  test("every text speaks of the product only", () => assertNone(checkSubject(files)));
});
