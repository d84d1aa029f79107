import { dirname, join } from "node:path/posix";
import {
  isCallExpression,
  isExportDeclaration,
  isImportDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
  isMetaProperty,
  isNewExpression,
  isPropertyAccessExpression,
  isStringLiteralLikeNode,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";
import { FLOORS, IMPORTERS, SIDE_DOORS } from "./house.ts";
import { type Finding, findingAt, type Source, walk } from "./source.ts";

/** One mention of another module: import, export … from, import(), an import type or new URL(…, import.meta.url). */
interface Mention {
  readonly node: Node;
  /** Undefined when it is worked out at run time. */
  readonly target: string | undefined;
}

/** Folders of `src/` that hold rooms: whatever is inside one is a room of its own. */
const WINGS: ReadonlySet<string> = new Set(
  Object.keys(FLOORS).flatMap((room) => (room.includes("/") ? room.slice(0, room.indexOf("/")) : [])),
);

/** The room that a path of `src/` is in, or undefined when it is in none. */
export function roomOf(path: string): string | undefined {
  const [first, second] = dirname(path).split("/").slice(1);
  if (first === undefined) return undefined;
  const room = WINGS.has(first) && second !== undefined ? `${first}/${second}` : first;
  return Object.hasOwn(FLOORS, room) ? room : undefined;
}

/** A file imports its own room and lower floors, and another room only through its index.ts. */
export function checkFloors(sources: readonly Source[]): Finding[] {
  return sources.filter((source) => source.path.startsWith("src/")).flatMap(checkFloorsOf);
}

function checkFloorsOf(source: Source): Finding[] {
  const room = roomOf(source.path);
  if (room === undefined) {
    return [{ path: source.path, line: 1, message: "is in no room: move it into one, or add the room to FLOORS in test/tidy/house.ts" }];
  }
  return mentionsIn(source).flatMap(({ node, target }) => {
    const message =
      target === undefined ? "imports what is only known at run time: name it in a string" : doorProblem(source.path, room, target);
    return message === undefined ? [] : [findingAt(source, node, message)];
  });
}

/** What is wrong with importing `target` from a file of `room`, if anything. */
function doorProblem(path: string, room: string, target: string): string | undefined {
  if (!target.startsWith(".")) return undefined;
  const resolved = join(dirname(path), target);
  const other = resolved.startsWith("src/") ? roomOf(resolved) : undefined;
  if (other === undefined) return `imports ${resolved}, which is in no room of src/`;
  if (other === room) return undefined;
  const [here = 0, there = 0] = [FLOORS[room], FLOORS[other]];
  if (there >= here && !SIDE_DOORS[room]?.includes(other)) {
    return `imports ${other} (floor ${there}) from ${room} (floor ${here}): take what it needs as a port, or move the code`;
  }
  if (resolved !== `src/${other}/index.ts`) return `imports ${resolved}: import src/${other}/index.ts, and export the name there`;
  return undefined;
}

/** Some packages and built-in modules may be imported in one place only. */
export function checkImporters(sources: readonly Source[]): Finding[] {
  return sources
    .filter((source) => source.path.startsWith("src/"))
    .flatMap((source) =>
      mentionsIn(source).flatMap(({ node, target }) => {
        const places = target === undefined ? undefined : importersOf(target);
        if (places === undefined || places.some((place) => source.path.startsWith(place))) return [];
        const where = places.length === 0 ? "nowhere in src/" : `only in ${places.join(", ")}`;
        return [
          findingAt(
            source,
            node,
            `imports ${target ?? ""}, which is imported ${where}: use that room, or change IMPORTERS in test/tidy/house.ts`,
          ),
        ];
      }),
    );
}

function importersOf(target: string): readonly string[] | undefined {
  const names = [target, `node:${target}`];
  const entry = Object.entries(IMPORTERS).find(([name]) =>
    name.endsWith("*") ? target.startsWith(name.slice(0, -1)) : names.includes(name),
  );
  return entry?.[1];
}

/** A room that others may import has an index.ts. */
export function checkDoors(sources: readonly Source[]): Finding[] {
  const paths = new Set(sources.map((source) => source.path));
  const top = Math.max(...Object.values(FLOORS));
  const rooms = new Set(sources.flatMap((source) => (source.path.startsWith("src/") ? (roomOf(source.path) ?? []) : [])));
  return [...rooms]
    .filter((room) => FLOORS[room] !== top && !paths.has(`src/${room}/index.ts`))
    .map((room) => ({
      path: `src/${room}/index.ts`,
      line: 1,
      message: "is missing: every room has one, and exports there what others may use",
    }));
}

function mentionsIn(source: Source): Mention[] {
  const mentions: Mention[] = [];
  walk(source.tree, (node) => {
    const named = moduleNode(node);
    const target = named && isStringLiteralLikeNode(named) ? named.text : undefined;
    // a URL that is put together names data, not code
    if (named && (target !== undefined || !isNewExpression(node))) mentions.push({ node, target });
  });
  return mentions;
}

/** The part of the node that names another module, if it is one of the nodes that do. */
function moduleNode(node: Node): Node | undefined {
  if (isImportDeclaration(node) || isExportDeclaration(node)) return node.moduleSpecifier;
  if (isImportTypeNode(node)) return isLiteralTypeNode(node.argument) ? node.argument.literal : node.argument;
  if (isCallExpression(node)) return node.expression.kind === SyntaxKind.ImportKeyword ? node.arguments[0] : undefined;
  return isNewExpression(node) && isBesideThisFile(node.arguments?.[1]) ? node.arguments?.[0] : undefined;
}

/** Whether this is the `import.meta.url` of `new URL(…, import.meta.url)`, by which a worker is found. */
function isBesideThisFile(base: Node | undefined): boolean {
  return base !== undefined && isPropertyAccessExpression(base) && isMetaProperty(base.expression) && base.name.text === "url";
}
