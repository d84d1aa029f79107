import { basename } from "node:path/posix";
import {
  isClassDeclaration,
  isFunctionDeclaration,
  isInterfaceDeclaration,
  isTypeAliasDeclaration,
  isVariableStatement,
  type Statement,
  SyntaxKind,
} from "typescript/unstable/ast";
import { checkRatchet, type Ratchet } from "./ratchet.ts";
import { type Finding, hasModifier, lineOf, type Source } from "./source.ts";

/** Every exported name of `src/` has a doc comment right before it. An index.ts is excused: there the names come from elsewhere. */
export function checkDocs(sources: readonly Source[], ratchet: Ratchet): Finding[] {
  const written = sources.filter((source) => source.path.startsWith("src/") && basename(source.path) !== "index.ts");
  const files = written.map((source) => {
    const lines = undocumentedIn(source).map((statement) => lineOf(source.text, statement.getStart(source.tree)));
    const message = `exports a name without a /** sentence */ of what it guarantees, in line ${lines.join(", ")}`;
    return { key: source.path, path: source.path, line: lines[0] ?? 1, size: lines.length, message };
  });
  return checkRatchet(files, ratchet, 0);
}

function undocumentedIn(source: Source): Statement[] {
  const statements = [...source.tree.statements];
  return statements.filter((statement, at) => {
    if (!isExportedDeclaration(statement)) return false;
    const [before, after] = [statements[at - 1], statements[at + 1]];
    const partners = [isPair(before, statement) ? before : undefined, isPair(statement, after) ? after : undefined];
    return ![statement, ...partners].some((each) => each !== undefined && hasDoc(source, each));
  });
}

function isExportedDeclaration(statement: Statement): boolean {
  const kinds = [isFunctionDeclaration, isClassDeclaration, isInterfaceDeclaration, isTypeAliasDeclaration, isVariableStatement];
  return hasModifier(statement, SyntaxKind.ExportKeyword) && kinds.some((is) => is(statement));
}

/** Two neighbours that one comment speaks for: a list and the type made of it, or two signatures of one function. */
function isPair(first: Statement | undefined, second: Statement | undefined): boolean {
  if (first === undefined || second === undefined) return false;
  if (isFunctionDeclaration(first) && isFunctionDeclaration(second)) return first.name?.text === second.name?.text;
  if (!isVariableStatement(first) || !isTypeAliasDeclaration(second)) return false;
  const made = /\btypeof (\w+)/.exec(second.type.getText())?.[1];
  return first.declarationList.declarations.some((declaration) => declaration.name.getText() === made);
}

function hasDoc(source: Source, statement: Statement): boolean {
  const comments = source.text.slice(statement.pos, statement.getStart(source.tree)).trim();
  return comments.endsWith("*/") && comments.slice(comments.lastIndexOf("/*")).startsWith("/**");
}
