import {
  isArrayLiteralExpression,
  isArrowFunction,
  isBindingElement,
  isElementAccessExpression,
  isFunctionExpression,
  isIdentifier,
  isImportDeclaration,
  isLiteralTypeNode,
  isObjectLiteralExpression,
  isPropertyAccessExpression,
  isStatement,
  isStringLiteralLikeNode,
  isVariableDeclaration,
  type Node,
} from "typescript/unstable/ast";
import { ENVIRONMENT_READERS, SYSTEM_USERS } from "./house.ts";
import { type Finding, findingAt, type Source, walk } from "./source.ts";

/** Only the composition root knows the environment and the arguments: everything else is given its settings. */
export function checkEnvironment(sources: readonly Source[]): Finding[] {
  const message = "reads the environment or the arguments: take it as a setting, which src/cli fills in";
  return checkNodes(outside(sources, ENVIRONMENT_READERS), (node) => (readsEnvironment(node) ? message : undefined));
}

function readsEnvironment(node: Node): boolean {
  const secret = ["env", "argv"];
  if (isImportDeclaration(node)) {
    return /process["']$/.test(node.moduleSpecifier.getText()) && /\b(?:env|argv|process)\b|\*/.test(node.importClause?.getText() ?? "");
  }
  if (isVariableDeclaration(node)) return node.initializer !== undefined && isProcess(node.initializer) && !isIdentifier(node.name);
  const name = memberName(node);
  return name !== undefined && secret.includes(name) && isProcess((node as Node & { readonly expression: Node }).expression); // a member has it
}

function isProcess(node: Node): boolean {
  return /^(?:globalThis\.)?process$/.test(node.getText());
}

/** Data is reached without a tenant in listed places only. */
export function checkSystemData(sources: readonly Source[]): Finding[] {
  const message =
    "reaches data without a tenant: take a TenantScope, or add the place and its reason to SYSTEM_USERS in test/tidy/house.ts";
  return checkNodes(outside(sources, SYSTEM_USERS), (node) => (usesSystem(node) ? message : undefined));
}

function usesSystem(node: Node): boolean {
  if (isIdentifier(node) && node.text === "SystemData") return true;
  if (isBindingElement(node)) return (node.propertyName ?? node.name)?.getText() === "system";
  return memberName(node) === "system";
}

/** There is no default tenant: what names no tenant is refused. */
export function checkDefaultTenant(sources: readonly Source[]): Finding[] {
  const message = "makes up a tenant: refuse what does not name one";
  return checkNodes(outside(sources, []), (node) => (isDefaultTenant(node) ? message : undefined));
}

/** Whether this is the string "default" in an expression or declaration that speaks of a tenant. */
function isDefaultTenant(node: Node): boolean {
  if (!isStringLiteralLikeNode(node) || node.text !== "default") return false;
  for (let place = node.parent; !isBoundary(place); place = place.parent) if (/tenant/i.test(place.getText())) return true;
  return false;
}

/** Where something larger begins, that speaks of a tenant for another reason. */
function isBoundary(node: Node): boolean {
  const kinds = [
    isArrayLiteralExpression,
    isArrowFunction,
    isFunctionExpression,
    isLiteralTypeNode,
    isObjectLiteralExpression,
    isStatement,
  ];
  return kinds.some((is) => is(node));
}

/** The member that `a.name` or `a["name"]` reads. */
function memberName(node: Node): string | undefined {
  if (isPropertyAccessExpression(node)) return node.name.text;
  if (!isElementAccessExpression(node)) return undefined;
  return isStringLiteralLikeNode(node.argumentExpression) ? node.argumentExpression.text : undefined;
}

function outside(sources: readonly Source[], places: readonly string[]): Source[] {
  return sources.filter(({ path }) => path.startsWith("src/") && !places.some((place) => path.startsWith(place)));
}

function checkNodes(sources: readonly Source[], problemOf: (node: Node) => string | undefined): Finding[] {
  return sources.flatMap((source) => {
    const findings: Finding[] = [];
    walk(source.tree, (node) => {
      const message = problemOf(node);
      if (message !== undefined) findings.push(findingAt(source, node, message));
    });
    return findings;
  });
}
