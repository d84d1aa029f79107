import { basename, dirname } from "node:path/posix";
import {
  isArrowFunction,
  isCallExpression,
  isConstructorDeclaration,
  isEnumDeclaration,
  isExportAssignment,
  isExportSpecifier,
  isFunctionDeclaration,
  isFunctionExpression,
  isGetAccessorDeclaration,
  isIdentifier,
  isMethodDeclaration,
  isNoSubstitutionTemplateLiteral,
  isSetAccessorDeclaration,
  isTemplateExpression,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";
import { FILE_LINES_MAX, FUNCTION_LINES_MAX } from "./house.ts";
import { checkRatchet, type Ratchet, type Sized } from "./ratchet.ts";
import { type Finding, findingAt, hasModifier, lineOf, linesOf, type Source, walk } from "./source.ts";

const KEBAB_CASE = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
/** They say where code was put, not what it is. */
const EMPTY_NAME = /^(?:common|types)$|(?:^|-)(?:utils?|helpers?|managers?|misc)(?:-|$)/;

/** Files and folders are named in kebab-case, after what is in them. */
export function checkNames(sources: readonly Source[]): Finding[] {
  return sources.flatMap(({ path }) => {
    const stem = basename(path).replace(/(?:\.test|\.d)?\.ts$/, "");
    const message = nameProblem(path, stem);
    return message === undefined ? [] : [{ path, line: 1, message }];
  });
}

function nameProblem(path: string, stem: string): string | undefined {
  if (path.startsWith("src/") && path.endsWith(".test.ts")) return "is a test that would not be run: move it to test/";
  if ([stem, ...dirname(path).split("/")].some((name) => !KEBAB_CASE.test(name))) return "is not named in kebab-case: rename it";
  return EMPTY_NAME.test(stem) ? `"${stem}" says nothing: name the file after what it exports` : undefined;
}

/** No default exports and no enums. */
export function checkForms(sources: readonly Source[]): Finding[] {
  return sources.flatMap((source) => {
    const findings: Finding[] = [];
    walk(source.tree, (node) => {
      if (isDefaultExport(node)) findings.push(findingAt(source, node, "is a default export: export it by name"));
      if (isEnumDeclaration(node)) findings.push(findingAt(source, node, "is an enum: use a union of strings, or an array `as const`"));
    });
    return findings;
  });
}

function isDefaultExport(node: Node): boolean {
  if (isExportAssignment(node)) return true;
  if (isExportSpecifier(node)) return node.name.text === "default";
  return hasModifier(node, SyntaxKind.DefaultKeyword);
}

/** A file has no more lines than FILE_LINES_MAX; what was longer before the rule may only get shorter. */
export function checkFileLength(sources: readonly Source[], ratchet: Ratchet): Finding[] {
  const files = sources.map(({ path, text }) => {
    const size = linesOf(text).length;
    return { key: path, path, line: 1, size, message: `has ${size} lines, ${FILE_LINES_MAX} are allowed: divide it by what it does` };
  });
  return checkRatchet(files, ratchet, FILE_LINES_MAX);
}

/** A function has no more lines than FUNCTION_LINES_MAX; what was longer before the rule may only get shorter. */
export function checkFunctionLength(sources: readonly Source[], ratchet: Ratchet): Finding[] {
  const functions = sources.flatMap(functionsIn);
  // functions of a file that have the same name, or none, share a key: the entry of the ratchet is about the longest
  const longest = new Map(functions.toSorted((a, b) => a.size - b.size).map((each) => [each.key, each]));
  const counted = functions.filter((each) => ratchet[each.key] === undefined || longest.get(each.key) === each);
  return checkRatchet(counted, ratchet, FUNCTION_LINES_MAX);
}

function functionsIn(source: Source): Sized[] {
  const functions: Sized[] = [];
  walk(source.tree, (node) => {
    if (!isFunction(node) || isListOfTests(node)) return;
    const name = nameOf(node);
    const line = lineOf(source.text, node.getStart(source.tree));
    const size = newlinesIn(source, node) + 1 - newlinesOfTextIn(source, node);
    const message = `${name} has ${size} lines, ${FUNCTION_LINES_MAX} are allowed: divide it`;
    functions.push({ key: `${source.path}#${name}`, path: source.path, line, size, message });
  });
  return functions;
}

function newlinesIn(source: Source, node: Node): number {
  return linesOf(node.getText(source.tree)).length - 1;
}

/** The lines of SQL and other long texts inside a function: they are read, not followed. */
function newlinesOfTextIn(source: Source, node: Node): number {
  if (isTemplateExpression(node) || isNoSubstitutionTemplateLiteral(node)) return newlinesIn(source, node);
  let sum = 0;
  node.forEachChild((child) => {
    sum += newlinesOfTextIn(source, child);
  });
  return sum;
}

function isFunction(node: Node): boolean {
  const kinds = [isFunctionDeclaration, isFunctionExpression, isArrowFunction, isMethodDeclaration, isConstructorDeclaration];
  return [...kinds, isGetAccessorDeclaration, isSetAccessorDeclaration].some((is) => is(node));
}

/** Whether this is the function given to describe(), suite() or eachEngine(): it holds tests one after the other, and does nothing itself. */
function isListOfTests(node: Node): boolean {
  const call = node.parent;
  return (
    isCallExpression(call) &&
    isIdentifier(call.expression) &&
    ["describe", "suite", "eachEngine", "eachModel"].includes(call.expression.text)
  );
}

/** The name of a function, or of what it is assigned or given to. */
function nameOf(node: Node): string {
  const places: readonly (Node & { readonly name?: Node })[] = [node, node.parent];
  for (const place of places) {
    if (place.name) return place.name.getText();
    if (isCallExpression(place)) return place.expression.getText();
  }
  return isConstructorDeclaration(node) ? "constructor" : "anonymous";
}
