import { globSync, readFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";
import type { Node, SourceFile, SyntaxKind } from "typescript/unstable/ast";
import { API } from "typescript/unstable/sync";

/** One TypeScript file of the repository, parsed. */
export interface Source {
  /** From the root of the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly tree: SourceFile;
}

/** One file of the repository as plain text. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** A place that breaks a rule, and what to do about it. */
export interface Finding {
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
}

const ROOT = join(import.meta.dirname, "../..");
const BINARY = /\.(?:png|jpe?g|gif|ico|woff2?|gz|tgz|zip|pdf|wasm)$/;
/** Made by npm, not written by anyone. */
const GENERATED: ReadonlySet<string> = new Set(["package-lock.json"]);

/** Data derived from another project's tests, with its licence beside it: what it says is not ours to word. */
const DERIVED = /^test\/conformance\/apisix\/(?:cases\.json$|fixtures\/)|^test\/vectors\/apisix-/;

/** Every text file of the repository: what is on disk, less what `.gitignore` names. */
export function readRepository(): TextFile[] {
  const ignored = [".git", ...patternsOf(readFileSync(join(ROOT, ".gitignore"), "utf8"))];
  const exclude = (name: string): boolean => ignored.some((pattern) => matchesGlob(name.split("/").at(-1) ?? name, pattern));
  const entries = globSync(["**/*", "**/.*", "**/.*/**/*"], { cwd: ROOT, withFileTypes: true, exclude: (entry) => exclude(entry.name) });
  const paths = entries
    .filter((entry) => entry.isFile() && !exclude(entry.name) && !BINARY.test(entry.name) && !GENERATED.has(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1));
  const written = paths.filter((path) => !DERIVED.test(path));
  return [...new Set(written)].toSorted().map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

/** The names in a `.gitignore` made of plain names and `*`, which is all that is read here. */
function patternsOf(gitignore: string): string[] {
  const lines = gitignore.split("\n").map((line) => line.trim());
  const patterns = lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => line.replace(/\/$/, ""));
  const other = patterns.find((pattern) => pattern.includes("/") || pattern.startsWith("!"));
  if (other !== undefined) throw new Error(`.gitignore: "${other}" is not a plain name, which is all that test/tidy/source.ts reads`);
  return patterns;
}

const texts = new Map<string, string>();
// One compiler serves all and ends with the process. Its interface is called unstable: the pinned version keeps it as it is.
const compiler = new API({
  cwd: "/",
  // null is "no such file"; undefined would be "look on the disk"
  fs: { readFile: (path) => texts.get(path) ?? null, fileExists: (path) => texts.has(path), realpath: (path) => path },
});

/** The TypeScript files among these, parsed but not resolved: an import may name a file that does not exist. */
export function parseSources(files: readonly TextFile[]): Source[] {
  const root = `/${texts.size}`;
  const config = `${root}/tsconfig.json`;
  const wanted = files.filter((file) => file.path.endsWith(".ts"));
  for (const { path, text } of wanted) texts.set(`${root}/${path}`, text);
  const options = { noLib: true, noResolve: true, types: [] };
  texts.set(config, JSON.stringify({ compilerOptions: options, files: wanted.map(({ path }) => path) }));
  const snapshot = compiler.updateSnapshot({ openProjects: [config] });
  return wanted.map(({ path, text }) => {
    const tree = snapshot.getProject(config)?.program.getSourceFile(`${root}/${path}`);
    if (!tree) throw new Error(`${path} was not parsed`);
    return { path, text, tree };
  });
}

/** Calls `visit` with every node of the tree, parents before children. */
export function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

/** A finding at a node of the source. */
export function findingAt(source: Source, node: Node, message: string): Finding {
  return { path: source.path, line: lineOf(source.text, node.getStart(source.tree)), message };
}

/** The number, counted from 1, of the line that holds this offset. */
export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** The lines of a text; a newline at the end starts no further line. */
export function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Whether the node is marked `export`, `default` or the like. */
export function hasModifier(node: Node, kind: SyntaxKind): boolean {
  const { modifiers } = node as Node & { readonly modifiers?: readonly Node[] }; // declarations have them
  return modifiers?.some((modifier) => modifier.kind === kind) ?? false;
}
